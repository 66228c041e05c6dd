"""The folders of the package: their order, their purposes, and the imports between them."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "recbole_samrec"
ARCHITECTURE = ROOT / "docs" / "contributing" / "architecture.md"


def list_layers() -> list[str]:
    """List the folders from the top down, as the contract in ``pyproject.toml`` orders them."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    return next(one["layers"] for one in tools["importlinter"]["contracts"] if one["type"] == "layers")


def read_purposes() -> dict[str, str]:
    """Read the purpose of each folder from the table on the page of the architecture."""
    return dict(re.findall(r"^\| `(\w+)/` \| (.*?) \|$", ARCHITECTURE.read_text(encoding="utf-8"), re.MULTILINE))


def count_imports() -> dict[tuple[str, str], int]:
    """Count the imports between each pair of folders, including those in functions: (importing, imported): number."""
    counts: dict[tuple[str, str], int] = {}
    for folder in list_layers():
        for file in (PACKAGE / folder).rglob("*.py"):
            for other in _imported_folders(file):
                if other != folder:
                    counts[folder, other] = counts.get((folder, other), 0) + 1
    return counts


def _imported_folders(file: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            # ``from recbole_samrec import compat`` names the folder behind the import, others name it in the module.
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    layers = set(list_layers())
    parts = (name.split(".") for name in names)
    return [part[1] for part in parts if part[0] == PACKAGE.name and len(part) > 1 and part[1] in layers]


def reduce_imports(imports: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Remove each import that a chain of other imports implies (transitive reduction)."""
    follows: dict[str, set[str]] = {}
    for folder in reversed(list_layers()):
        direct = {b for a, b in imports if a == folder}
        follows[folder] = direct.union(*(follows.get(other, set()) for other in direct))
    return {
        (a, b)
        for a, b in imports
        if not any(b in follows.get(other, set()) for first, other in imports if first == a and other != b)
    }
