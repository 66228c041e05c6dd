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
from typing import NoReturn

from recbole_samrec.version import PYTHON, RECBOLE, REQUIRES, __version__

INSTALL_RECBOLE = f"pip install --no-deps recbole=={RECBOLE}"
MODULES = {"scikit-learn": "sklearn", "pyyaml": "yaml"}
TOPICS = {"versions": "Versions", "device": "Device", "mends": "Mended in RecBole", "data": "Data sets"}


@dataclass(frozen=True)
class Finding:
    """One line of the report; only a bad one keeps the package from working."""

    topic: str
    name: str
    found: str
    state: str = "ok"
    wanted: str = ""
    remedy: str = ""
    bad: bool = False


def report(data_path: str = "dataset", error: ImportError | None = None) -> list[Finding]:
    """Look at everything there is to report.

    Args:
        data_path: Folder of the data sets.
        error: What ended the import of this package, if it could not be imported.
    """
    return [*versions(), *device(), *mends(error), *data_sets(data_path)]


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing that is required is missing."""
    return not any(one.bad for one in findings)


def main(argv: Sequence[str] | None = None, error: ImportError | None = None) -> int:
    """Print the report; 0 when all is well, 1 when something required is missing."""
    parser = argparse.ArgumentParser("recbole-samrec doctor", description=__doc__.splitlines()[0])
    parser.add_argument("--data_path", default="dataset", help="folder of the data sets (default: dataset)")
    findings = report(parser.parse_args(argv).data_path, error)
    show(findings)
    return 0 if healthy(findings) else 1


def rescue(error: ImportError) -> NoReturn:
    """Run the doctor if that is what was asked for, else say in one line how to make this package importable.

    ``python -m recbole_samrec doctor`` imports the package first, and just when it is needed that import fails; the
    package therefore hands its error over to here.

    Raises:
        ImportError: The doctor was not asked for.
        SystemExit: It was, and has reported.
    """
    # While Python looks for the module of `python -m`, sys.argv[0] is "-m".
    if os.path.basename(sys.argv[0]).removesuffix(".exe") in ("-m", "recbole-samrec") and sys.argv[1:2] == ["doctor"]:
        raise SystemExit(main(sys.argv[2:], error))
    if (error.name or "").split(".")[0] == "recbole":
        raise ImportError(f"recbole_samrec needs RecBole {RECBOLE}: {INSTALL_RECBOLE}", name="recbole") from None
    raise ImportError(f"{error} (python -m recbole_samrec doctor tells more)", name=error.name) from error


def versions() -> Iterator[Finding]:
    """Compare what is installed with what is required."""
    python_is_old = _release(platform.python_version()) < _release(PYTHON)
    yield Finding(
        "versions",
        "python",
        platform.python_version(),
        "too old" if python_is_old else "ok",
        f">={PYTHON}",
        f"make clean, then make PYTHON=python{PYTHON} test" if python_is_old else "",
        python_is_old,
    )
    yield Finding("versions", "recbole-samrec", __version__)
    yield _recbole()
    for name, oldest in REQUIRES.items():
        yield _package(name, oldest)


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
            yield Finding("device", "cuda", "an NVIDIA driver, but a torch without CUDA", "unused", remedy=remedy)
    yield Finding("device", "bf16", "in hardware" if native else "emulated: works, and is slow")


def mends(error: ImportError | None = None) -> Iterator[Finding]:
    """List the defects of RecBole that were looked for, and whether they were there."""
    if error is not None:
        yield Finding("mends", "recbole_samrec", str(error), "broken", bad=True)
        return
    compat = importlib.import_module("recbole_samrec.compat")
    for one in compat.MENDS.values():
        defect = f"{one.defect} [{one.where}]"
        state = ("mended, silent" if one.silent else "mended") if one.applied else "not needed"
        yield Finding("mends", one.name, defect, state)


def data_sets(data_path: str) -> Iterator[Finding]:
    """List the data sets that a run can name."""
    raise NotImplementedError


def show(findings: Sequence[Finding]) -> None:
    """Print a table for each topic and, below them, the commands that put things right."""
    try:
        _show_tables(findings)
    except ImportError:  # rich is among what may be missing
        for one in findings:
            print(f"{one.name:28} {one.state:12} {one.found} {one.wanted}".rstrip())
    remedies = list(dict.fromkeys(one.remedy for one in findings if one.remedy))
    if remedies:
        print("To put right:", *remedies, sep="\n  ")
    else:
        print("All is well.")


def _show_tables(findings: Sequence[Finding]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for topic, title in TOPICS.items():
        rows = [one for one in findings if one.topic == topic]
        if not rows:
            continue
        table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, title=title, title_justify="left")
        for header in ("name", "found", "wanted", "state"):
            table.add_column(header, overflow="fold")
        for one in rows:
            style = "red" if one.bad else "" if one.state == "ok" else "yellow"
            table.add_row(one.name, one.found, one.wanted, one.state, style=style)
        console.print(table, markup=False)
        console.print()


def _recbole() -> Finding:
    found = _installed("recbole")
    if found is None:
        return Finding("versions", "recbole", "-", "missing", f"=={RECBOLE}", INSTALL_RECBOLE, True)
    wrong = found != RECBOLE
    state = "other version" if wrong else "ok"
    return Finding("versions", "recbole", found, state, f"=={RECBOLE}", INSTALL_RECBOLE if wrong else "", wrong)


def _package(name: str, oldest: str) -> Finding:
    distribution = name.split("[")[0]
    found, wanted, remedy = _installed(distribution), f">={oldest}", f'pip install "{name}>={oldest}"'
    if found is None:
        return Finding("versions", distribution, "-", "missing", wanted, remedy, True)
    if _release(found) < _release(oldest):
        return Finding("versions", distribution, found, "too old", wanted, remedy, True)
    try:
        _quiet_import(MODULES.get(distribution, distribution))
    except Exception as error:
        remedy = f'pip install --force-reinstall --no-deps "{distribution}=={found}"'
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Finding("versions", distribution, f"{found}, but: {reason}", "broken", wanted, remedy, True)
    return Finding("versions", distribution, found, "ok", wanted)


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
