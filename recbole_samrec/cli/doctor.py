"""``doctor``: reports versions, the device, the patches of RecBole and the data sets, with remedies.

This module does not need RecBole, torch or any other package at import, so that it can report that they are missing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from recbole_samrec.cli.model_table import print_models, read_models
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.installer import make_extra_command, make_install_command, make_recbole_command
from recbole_samrec.version import EXTRAS, NEWEST_PYTHON, PYTHON, RECBOLE, REQUIRES, __version__

HELP = """Lists the versions of packages, the device, the defects of RecBole that are patched, and the data sets, with
the command that fixes each problem; or, with --models, what works with which model."""
MODULES = {"scikit-learn": "sklearn", "pyyaml": "yaml"}
USERS = {"report": "compare, tune and sharpness", "tune": "compare and tune"}
"""The commands that need the packages of each extra."""
# The longest table first, so that problems are shown last, on the screen.
TOPICS = {
    "patches": "Defects of RecBole (silent: wrong results and no error)",
    "versions": "Versions",
    "device": "Device",
    "data": "Data sets",
}


@dataclass(frozen=True)
class Finding:
    """A line of the report; the package does not work with a ``bad`` one."""

    topic: str
    name: str
    found: str
    wanted: str = ""
    state: str = ""
    remedy: str = ""
    bad: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``doctor``."""
    parser.add_argument("--data_path", default="dataset", help="folder of the data sets (default: dataset)")
    parser.add_argument("--models", action="store_true", help="list what works with which model instead, and why not")


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Any = None) -> int:
    """Print the report, or the table of models.

    Args:
        arguments: See :func:`add_arguments`.
        rest: Nothing.
        console: Not used; the report is printed also where there is no rich.

    Returns:
        0 when nothing that is required is missing, else 1.

    Raises:
        ConfigError: There is an argument that the command does not have.
    """
    if rest:
        raise ConfigError(f"{rest[0]}: unknown argument; --help lists the arguments")
    if arguments.models:
        print_models(read_models())
        return 0
    findings = collect_findings(arguments.data_path)
    print_findings(findings)
    return 0 if is_healthy(findings) else 1


def collect_findings(data_path: str = "dataset") -> list[Finding]:
    """Collect all findings.

    Args:
        data_path: Folder of the data sets.
    """
    return [*list_patches(), *check_versions(), *check_device(), *list_data_sets(data_path)]


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Return True if nothing that is required is missing."""
    return not any(one.bad for one in findings)


def check_versions() -> Iterator[Finding]:
    """Compare the installed versions with the required ones."""
    python = platform.python_version()
    yield Finding("versions", "python", python, f"{PYTHON} to {NEWEST_PYTHON}", "ok")  # others cannot import it
    yield Finding("versions", "recbole-samrec", __version__, state="ok")
    extras = {name: extra for extra in ("tune", "report") for name in EXTRAS[extra]}  # the smaller extra last
    oldest = {**REQUIRES, **EXTRAS["tune"], **EXTRAS["report"]}
    wanted = {"recbole": f"=={RECBOLE}"} | {name: f">={version}" for name, version in oldest.items()}
    # All versions before any import: Ray puts its own copies of psutil and colorama in front of the installed ones.
    found = {name: _find_version(name.split("[")[0]) for name in wanted}
    for name in wanted:
        if name in extras and found[name] is None:
            yield _describe_missing_extra(name, wanted[name], extras[name])
        else:
            yield _check_package(name, wanted[name], found[name])


def check_device() -> Iterator[Finding]:
    """Describe the device that a run uses by default."""
    try:
        torch = _import_quietly("torch")
    except Exception:
        return
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(index).total_memory
            yield Finding(
                "device", f"cuda:{index}", f"{torch.cuda.get_device_name(index)}, {_format_gigabytes(memory)}"
            )
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif torch.backends.mps.is_available():
        yield Finding("device", "mps", f"{platform.machine()}, {_find_memory()}")
        native = True
    else:
        yield Finding("device", "cpu", f"{platform.machine()}, {torch.get_num_threads()} threads, {_find_memory()}")
        native = _cpu_has_bf16(torch)
        if shutil.which("nvidia-smi") and torch.version.cuda is None:
            remedy = make_install_command("--force-reinstall", f"torch=={torch.__version__.split('+')[0]}")
            yield Finding("device", "cuda", "an NVIDIA driver, but a torch without CUDA", state="unused", remedy=remedy)
    yield Finding("device", "bf16", "in hardware" if native else "emulated: works, and is slow")


def list_patches() -> Iterator[Finding]:
    """List the known defects of RecBole, and whether this installation had them."""
    try:
        compat = _import_quietly("recbole_samrec.compat")
    except Exception as error:
        yield Finding("patches", "not known", f"RecBole cannot be patched: {_first_line(error)}", bad=True)
        return
    for one in compat.PATCHES.values():
        state = ("patched, silent" if one.silent else "patched") if one.is_applied else "not there"
        yield Finding("patches", one.name, f"{one.defect} [{one.where}]", state=state)


def list_data_sets(data_path: str) -> Iterator[Finding]:
    """List the available data sets, and the published ones that could be added."""
    try:
        find = importlib.import_module("recbole_samrec.data.find")
        known = importlib.import_module("recbole_samrec.data.catalog")
        found = find.list_datasets(data_path)
    except Exception as error:
        yield Finding("data", "not known", _first_line(error))
        return
    for one in found:
        yield Finding("data", one.name, f"{one.size / 1e6:,.1f} MB in {os.path.relpath(one.path)}")
    for name in sorted(set(known.PUBLISHED) - {one.name for one in found}):
        yield Finding("data", name, "", state="not here", remedy=known.describe_source(name))


def print_findings(findings: Sequence[Finding]) -> None:
    """Print a table for each topic and, below them, the commands that fix problems."""
    try:
        _show_tables(findings)
    except ImportError:  # rich may be missing
        for one in findings:
            print(f"{one.name:28} {one.found:24} {one.wanted:10} {one.state}".rstrip())
    urgent = dict.fromkeys(one.remedy for one in findings if one.remedy and one.bad)
    others = dict.fromkeys(one.remedy for one in findings if one.remedy and not one.bad)
    # A command is never wrapped, so that it can be copied; only the words before it are on a separate line.
    for title, remedies in {"To fix:": urgent, "If you want more:": others}.items():
        if remedies:
            print(title, *(remedy.replace("then run: ", "then run:\n    ") for remedy in remedies), sep="\n  ")
    print("All is well." if is_healthy(findings) else "Something required is missing.")


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
                style = "red" if one.bad else "yellow" if one.state.startswith(("unused", "not here")) else ""
                table.add_row(*(Text(cell, overflow="fold") for cell in _cells(one)), style=style)
        if table.row_count:
            console.print(table, end="\n\n")


def _cells(one: Finding) -> tuple[str, ...]:
    """Return the cells of one line, without columns that are empty in all lines of its topic."""
    if one.topic == "patches":
        return one.state or one.name, f"{one.name}: {one.found}" if one.state else one.found
    if one.topic == "versions":
        return one.name, one.found, one.wanted, one.state
    return one.name, " ".join(filter(None, (one.found, one.state)))


def _describe_missing_extra(name: str, wanted: str, extra: str) -> Finding:
    """Describe a missing package that only some commands require."""
    state = f"not here, needed by {USERS[extra]}"
    return Finding("versions", name.split("[")[0], "-", wanted, state, make_extra_command(extra))


def _check_package(name: str, wanted: str, found: str | None) -> Finding:
    distribution = name.split("[")[0]
    remedy = make_recbole_command() if name == "recbole" else make_install_command(f"{name}{wanted}")
    state = _compare_version(found, wanted)
    if state == "ok" and name == "recbole":
        remedy = ""  # its top module is empty; imports of the rest are checked with the patches
    elif found is not None and state == "ok":
        try:
            _import_quietly(MODULES.get(distribution, distribution.replace("-", "_")))
            remedy = ""
        except Exception as error:
            exact = f"{distribution}=={found.split('+')[0]}"
            remedy = make_install_command("--force-reinstall", "--no-deps", exact)
            state, found = "broken", f"{found}: {_first_line(error)}"
    return Finding("versions", distribution, found or "-", wanted, state, remedy, bad=state != "ok")


def _compare_version(found: str | None, wanted: str) -> str:
    if found is None:
        return "missing"
    relation, version = wanted[:2], wanted[2:]
    if relation == "==":
        return "ok" if found == version else "wrong"
    return "ok" if _parse_release(found) >= _parse_release(version) else "too old"


def _first_line(error: Exception) -> str:
    """Return the first line of an error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _find_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _parse_release(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, without trailing zeros: "2.13.0+cpu" is (2, 13)."""
    numbers = [int(part) for part in re.split(r"[^\d.]", version, maxsplit=1)[0].split(".") if part]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _import_quietly(module: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def _format_gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _find_memory() -> str:
    try:
        return _format_gigabytes(importlib.import_module("psutil").virtual_memory().total)
    except ImportError:
        return "memory unknown"


def _cpu_has_bf16(torch) -> bool:
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(value for name, value in capabilities.items() if "bf16" in name)
