"""Settings of a user's own model, from its class attribute ``settings`` and its source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

THEIRS = frozenset({*sys.stdlib_module_names, "torch", "recbole", "recbole_samrec"})
"""Top-level modules whose classes do not belong to users."""


def list_own_classes(model_class: type) -> list[type]:
    """List the classes of a model that neither RecBole, torch nor this package define, the model first."""
    return [base for base in model_class.__mro__ if base.__module__.partition(".")[0] not in THEIRS]


def collect_own_defaults(model_class: type) -> dict[str, Any]:
    """Return the defaults that a model and its bases declare, as in ``settings = {"mean_size": 32}``."""
    defaults: dict[str, Any] = {}
    for base in reversed(list_own_classes(model_class)):
        declared = vars(base).get("settings")
        if isinstance(declared, Mapping) and all(isinstance(key, str) for key in declared):
            defaults |= declared
    return defaults


def list_own_keys(model_class: type) -> set[str]:
    """List the settings that a model declares, and those that the files of its classes look up in ``config``."""
    files = {getattr(sys.modules.get(base.__module__), "__file__", None) for base in list_own_classes(model_class)}
    found = (
        _list_look_ups(Path(file), Path(file).stat().st_mtime_ns) for file in files if file and Path(file).is_file()
    )
    return set(collect_own_defaults(model_class)).union(*found)


@cache
def _list_look_ups(source: Path, changed: int) -> frozenset[str]:
    """List the settings that a Python file looks up; ``changed`` is the time of its last change."""
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    return frozenset(_find_look_ups(tree))


def _find_look_ups(tree: ast.AST) -> Iterator[str]:
    """Yield each ``key`` of ``config["key"]`` and ``config.get("key")``, also of ``self.config``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            where, key = node.value, node.slice
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            where, key = node.func.value, node.args[0]
        else:
            continue
        name = where.id if isinstance(where, ast.Name) else getattr(where, "attr", "")
        if name.endswith("config") and isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value
