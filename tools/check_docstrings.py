"""Check that docstrings are complete, beyond what ruff checks; part of ``make lint``.

Ruff requires a docstring of every public module, class and function, and an entry for every argument once there is an
``Args`` section. This check requires the sections themselves:

- What ``recbole_samrec`` exports has ``Example``, and ``Args``, ``Returns`` and ``Raises`` as far as they apply; its
  public methods have ``Args`` from two parameters on.
- Every other public function has ``Args`` from :data:`MANY` parameters on.

A docstring that refers to another one ("see :func:`search` for the arguments") needs no ``Args``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "recbole_samrec"
MANY = 5

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> int:
    """Print the missing sections, one line each.

    Returns:
        1 if something is missing, else 0.
    """
    findings = list(check_package(ROOT / PACKAGE))
    for finding in findings:
        print(finding)
    print(f"{len(findings)} incomplete docstrings" if findings else "All public docstrings are complete.")
    return 1 if findings else 0


def check_package(package: Path) -> Iterator[str]:
    """Check all docstrings of a package.

    Args:
        package: Folder of the package, whose ``__init__.py`` names the exported objects under ``TYPE_CHECKING``.

    Yields:
        ``file:line: name: what is missing``.
    """
    exported = set(list_exported(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))))
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package.parent).as_posix()
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
                for line, name, missing in _check_definition(node, (module, node.name) in exported):
                    yield f"{place}:{line}: {name}: no {', '.join(missing)}"


def list_exported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """List the module and the name of each object that a package exports.

    Args:
        tree: The package's ``__init__.py``, which imports the objects under ``if TYPE_CHECKING``.
    """
    for block in tree.body:
        if isinstance(block, ast.If):
            for node in block.body:
                if isinstance(node, ast.ImportFrom):
                    yield from ((node.module or "", alias.name) for alias in node.names)


def _check_definition(node: ast.ClassDef | Function, exported: bool) -> Iterator[tuple[int, str, list[str]]]:
    """Check a function, or a class with its public methods."""
    if missing := _find_missing(node, exported):
        yield node.lineno, node.name, missing
    for method in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(method, Function) and not method.name.startswith("_") and not _is_declared_in_base(node, method):
            if _lacks_arguments(method, _list_parameters(method)[1:], 2 if exported else MANY):
                yield method.lineno, f"{node.name}.{method.name}", ["Args"]


def _find_missing(node: ast.ClassDef | Function, exported: bool) -> list[str]:
    """Find the sections that the docstring of a class or function lacks."""
    function = node if isinstance(node, Function) else _find_constructor(node)
    parameters = _list_parameters(function) if function else []
    if isinstance(node, ast.ClassDef):
        parameters = parameters[1:]
    missing = ["Args"] if _lacks_arguments(node, parameters, 1 if exported else MANY) else []
    if exported:
        needed = {
            "Returns": function is node and _returns_something(node),
            "Raises": function is not None and _raises(function),
            "Example": True,
        }
        missing += [section for section, wanted in needed.items() if wanted and not _has_section(node, section)]
    return missing


def _find_constructor(node: ast.ClassDef) -> Function | None:
    return next((one for one in node.body if isinstance(one, Function) and one.name == "__init__"), None)


def _list_parameters(function: Function) -> list[str]:
    arguments = function.args
    return [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def _lacks_arguments(node: ast.ClassDef | Function, parameters: list[str], fewest: int) -> bool:
    refers = "for the arguments" in (ast.get_docstring(node) or "")
    return len(parameters) >= fewest and not refers and not _has_section(node, "Args")


def _is_declared_in_base(owner: ast.ClassDef, method: Function) -> bool:
    """Return True for a callback's method, which the base class documents."""
    return bool(owner.bases) and method.name.startswith("on_")


def _has_section(node: ast.ClassDef | Function, section: str) -> bool:
    lines = (ast.get_docstring(node) or "").splitlines()
    return any(line.strip() in (f"{section}:", f"{section}::") for line in lines)


def _returns_something(function: Function) -> bool:
    return function.returns is not None and ast.unparse(function.returns) not in ("None", "NoReturn")


def _raises(function: Function) -> bool:
    """Return True for a function that contains a ``raise`` with an error."""
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(function))


if __name__ == "__main__":
    sys.exit(main())
