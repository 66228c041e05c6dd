"""Says what is installed, on what device, what was mended in RecBole, which data is there, and what to do about it.

Nothing here needs RecBole, torch or any other package at import, so that it can report that they are missing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from recbole_samrec.version import PYTHON, RECBOLE, REQUIRES, __version__

ENVIRONMENT = (
    "activate the environment that has it (that of make: . .venv/bin/activate), or see python -m recbole_samrec doctor"
)
INSTALL_RECBOLE = f"pip install --no-deps recbole=={RECBOLE}"
MODULES = {"scikit-learn": "sklearn", "pyyaml": "yaml"}
# The longest first, so that what may need doing stands at the end, on the screen.
TOPICS = {
    "mends": "Defects of RecBole (silent: wrong results and no error)",
    "versions": "Versions",
    "device": "Device",
    "data": "Data sets",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report; only a bad one keeps the package from working."""

    topic: str
    name: str
    found: str
    wanted: str = ""
    state: str = ""
    remedy: str = ""
    bad: bool = False


def report(data_path: str = "dataset", error: Exception | None = None) -> list[Finding]:
    """Look at everything there is to report.

    Args:
        data_path: Folder of the data sets.
        error: What ended the import of this package, if it could not be imported.
    """
    return [*mends(error), *versions(), *device(), *data_sets(data_path)]


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing that is required is missing."""
    return not any(one.bad for one in findings)


def main(argv: Sequence[str] | None = None, error: Exception | None = None) -> int:
    """Print the report; 0 when all is well, 1 when something required is missing."""
    parser = argparse.ArgumentParser("recbole-samrec doctor", description=__doc__.splitlines()[0])
    parser.add_argument("--data_path", default="dataset", help="folder of the data sets (default: dataset)")
    findings = report(parser.parse_args(argv).data_path, error)
    show(findings)
    return 0 if healthy(findings) else 1


def rescue(error: Exception) -> None:
    """Say what is missing where the package cannot be imported, or run the doctor if that was asked for.

    ``python -m recbole_samrec doctor`` imports the package first, and just when the doctor is needed that fails. The
    package's ``__init__`` therefore calls this before it lets the error pass.

    Args:
        error: What ended the import.

    Raises:
        SystemExit: The doctor was asked for, and has reported; or another command, which lacks a package.
        ImportError: It was not, and RecBole is missing; the message says how to install it.
    """
    # While Python looks for the module of `python -m`, sys.argv[0] is "-m".
    program = os.path.basename(sys.argv[0]).removesuffix(".exe")
    ours = program in ("-m", "recbole-samrec")
    if ours and sys.argv[1:2] == ["doctor"]:
        raise SystemExit(main(sys.argv[2:], error))
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if (ours or program == "run_recbole.py") and missing and missing.partition(".")[0] != __package__:
        remedy = INSTALL_RECBOLE if missing == "recbole" else ENVIRONMENT
        print(f"error: {sys.executable} has no {missing}: {remedy}", file=sys.stderr)
        raise SystemExit(2)
    if isinstance(error, ImportError) and error.name == "recbole":
        raise ImportError(f"recbole_samrec needs RecBole {RECBOLE}: {INSTALL_RECBOLE}", name="recbole") from None


def versions() -> Iterator[Finding]:
    """Compare what is installed with what is required."""
    python = platform.python_version()
    if _release(python) < _release(PYTHON):
        remedy = f"install Python {PYTHON} or later, then: make PYTHON=python{PYTHON} test"
        yield Finding("versions", "python", python, f">={PYTHON}", "too old", remedy, True)
    else:
        yield Finding("versions", "python", python, f">={PYTHON}", "ok")
    yield Finding("versions", "recbole-samrec", __version__, state="ok")
    wanted = {"recbole": f"=={RECBOLE}"} | {name: f">={oldest}" for name, oldest in REQUIRES.items()}
    # All versions before any import: Ray puts its own copies of psutil and colorama in front of the installed ones.
    found = {name: _installed(name.split("[")[0]) for name in wanted}
    for name in wanted:
        yield _package(name, wanted[name], found[name])


def device() -> Iterator[Finding]:
    """Describe what a run computes on by default."""
    try:
        torch = _quiet_import("torch")
    except Exception:
        return
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(index).total_memory
            yield Finding("device", f"cuda:{index}", f"{torch.cuda.get_device_name(index)}, {_gigabytes(memory)}")
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif torch.backends.mps.is_available():
        yield Finding("device", "mps", f"{platform.machine()}, {_memory()}")
        native = True
    else:
        yield Finding("device", "cpu", f"{platform.machine()}, {torch.get_num_threads()} threads, {_memory()}")
        native = _cpu_has_bf16(torch)
        if shutil.which("nvidia-smi") and torch.version.cuda is None:
            remedy = f"pip install --force-reinstall torch=={torch.__version__.split('+')[0]}"
            yield Finding("device", "cuda", "an NVIDIA driver, but a torch without CUDA", state="unused", remedy=remedy)
    yield Finding("device", "bf16", "in hardware" if native else "emulated: works, and is slow")


def mends(error: Exception | None = None) -> Iterator[Finding]:
    """List the defects of RecBole that were looked for, and whether they were there."""
    if error is not None:
        yield Finding("mends", "not known", f"recbole_samrec cannot be imported: {_reason(error)}", bad=True)
        return
    compat = importlib.import_module("recbole_samrec.compat")
    for one in compat.MENDS.values():
        state = ("mended, silent" if one.silent else "mended") if one.applied else "not there"
        yield Finding("mends", one.name, f"{one.defect} [{one.where}]", state=state)


def data_sets(data_path: str) -> Iterator[Finding]:
    """List the data sets that a run can name, and the published ones that could be added."""
    try:
        find = importlib.import_module("recbole_samrec.data.find")
        known = importlib.import_module("recbole_samrec.data.catalog")
        found = find.available(data_path)
    except Exception as error:
        yield Finding("data", "not known", _reason(error))
        return
    for one in found:
        yield Finding("data", one.name, f"{one.size / 1e6:,.1f} MB in {os.path.relpath(one.path)}")
    for name in sorted(set(known.PUBLISHED) - {one.name for one in found}):
        yield Finding("data", name, "", state="not here", remedy=known.recipe(name))


def show(findings: Sequence[Finding]) -> None:
    """Print a table for each topic and, below them, the commands that put things right."""
    try:
        _show_tables(findings)
    except ImportError:  # rich is among what may be missing
        for one in findings:
            print(f"{one.name:28} {one.found:24} {one.wanted:10} {one.state}".rstrip())
    urgent = dict.fromkeys(one.remedy for one in findings if one.remedy and one.bad)
    others = dict.fromkeys(one.remedy for one in findings if one.remedy and not one.bad)
    # A command is never wrapped, so that it can be copied; only the words before it get a line of their own.
    for title, remedies in {"To put right:": urgent, "If you want more:": others}.items():
        if remedies:
            print(title, *(remedy.replace("then run: ", "then run:\n    ") for remedy in remedies), sep="\n  ")
    print("All is well." if healthy(findings) else "Something required is missing.")


def _show_tables(findings: Sequence[Finding]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for topic, title in TOPICS.items():
        frame = box.SIMPLE if console.is_terminal else None
        table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=frame)
        for one in findings:
            if one.topic == topic:
                style = "red" if one.bad else "yellow" if one.state in ("unused", "not here") else ""
                table.add_row(*(Text(cell, overflow="fold") for cell in _cells(one)), style=style)
        if table.row_count:
            console.print(table, end="\n\n")


def _cells(one: Finding) -> tuple[str, ...]:
    """The columns of one line, none of them empty in all lines of its topic."""
    if one.topic == "mends":
        return one.state or one.name, f"{one.name}: {one.found}" if one.state else one.found
    if one.topic == "versions":
        return one.name, one.found, one.wanted, one.state
    return one.name, " ".join(filter(None, (one.found, one.state)))


def _package(name: str, wanted: str, found: str | None) -> Finding:
    distribution = name.split("[")[0]
    remedy = INSTALL_RECBOLE if name == "recbole" else f'pip install "{name}{wanted}"'
    state = _state(found, wanted)
    if state == "ok":
        try:
            _quiet_import(MODULES.get(distribution, distribution))
            remedy = ""
        except Exception as error:
            remedy = f'pip install --force-reinstall --no-deps "{distribution}=={found.split("+")[0]}"'
            state, found = "broken", f"{found}: {_reason(error)}"
    return Finding("versions", distribution, found or "-", wanted, state, remedy, bad=state != "ok")


def _state(found: str | None, wanted: str) -> str:
    if found is None:
        return "missing"
    relation, version = wanted[:2], wanted[2:]
    if relation == "==":
        return "ok" if found == version else "wrong"
    return "ok" if _release(found) >= _release(version) else "too old"


def _reason(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, without trailing zeros: "2.13.0+cpu" is (2, 13)."""
    numbers = [int(part) for part in re.match(r"[\d.]*", version)[0].split(".") if part]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _quiet_import(module: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _memory() -> str:
    try:
        return _gigabytes(importlib.import_module("psutil").virtual_memory().total)
    except ImportError:
        return "memory unknown"


def _cpu_has_bf16(torch) -> bool:
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(value for name, value in capabilities.items() if "bf16" in name)
