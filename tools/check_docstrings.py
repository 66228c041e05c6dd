"""Check that docstrings are complete, beyond what ruff checks; part of ``make lint``.

Ruff requires a docstring of every public module, class and function, and an entry for every argument once there is an
``Args`` section. This check requires the sections themselves:

- Names on the pages of the Python API have ``Args``, ``Returns`` and ``Raises`` if they apply, and their public methods
  have ``Args`` if they have two or more parameters. Names exported by ``recbole_samrec`` also have ``Example``.
- Every other public function has ``Args`` if it has :data:`MANY` or more parameters.

A docstring that refers to another one ("see :func:`search` for the arguments") does not need ``Args``.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "recbole_samrec"
PAGES = ROOT / "docs" / "reference" / "api"
DIRECTIVE = re.compile(
    r"^\.\. auto(?P<kind>\w+):: (?P<name>[\w.]+)(?:\(\))?(?:\n +:members: (?P<members>.+))?", re.MULTILINE
)
MANY = 5

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> int:
    """Print the missing sections, one line each.

    Returns:
        1 if something is missing, else 0.
    """
    findings = list(check_package(ROOT / PACKAGE, PAGES))
    for finding in findings:
        print(finding)
    print(f"{len(findings)} incomplete docstrings" if findings else "All public docstrings are complete.")
    return 1 if findings else 0


def check_package(package: Path, pages: Path) -> Iterator[str]:
    """Check all docstrings of a package.

    Args:
        package: Folder of the package, whose ``__init__.py`` names the exported objects under ``TYPE_CHECKING``.
        pages: Folder of the pages of the Python API.

    Yields:
        ``file:line: name: what is missing``.
    """
    exported = set(list_exported(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))))
    documented = exported | set(list_documented(pages))
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package.parent).as_posix()
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
                shown = (module, "*") in documented or any(
                    name == node.name and f"{module}.".startswith(f"{owner}.") for owner, name in documented
                )
                for line, name, missing in _check_definition(node, shown, (module, node.name) in exported):
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


def list_documented(pages: Path) -> Iterator[tuple[str, str]]:
    """List the module and the name of each object on the pages of the Python API; ``*`` stands for a whole module.

    Args:
        pages: Folder of the pages, which contain directives of Sphinx's autodoc.
    """
    for page in sorted(pages.glob("*.md")):
        for match in DIRECTIVE.finditer(page.read_text(encoding="utf-8")):
            if match["kind"] == "module":
                yield from ((match["name"], name) for name in (match["members"] or "*").split(", "))
            else:
                module, _, name = match["name"].rpartition(".")
                yield module, name


def _check_definition(
    node: ast.ClassDef | Function, documented: bool, exported: bool
) -> Iterator[tuple[int, str, list[str]]]:
    """Check a function, or a class with its public methods."""
    if missing := _find_missing(node, documented, exported):
        yield node.lineno, node.name, missing
    for method in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(method, Function) and not method.name.startswith("_") and not _is_declared_in_base(node, method):
            if _lacks_arguments(method, _list_parameters(method)[1:], 2 if documented else MANY):
                yield method.lineno, f"{node.name}.{method.name}", ["Args"]


def _find_missing(node: ast.ClassDef | Function, documented: bool, exported: bool) -> list[str]:
    """Find the sections that the docstring of a class or function lacks."""
    function = node if isinstance(node, Function) else _find_constructor(node)
    parameters = _list_parameters(function) if function else []
    if isinstance(node, ast.ClassDef):
        parameters = parameters[1:]
    missing = ["Args"] if _lacks_arguments(node, parameters, 1 if documented else MANY) else []
    needed = {
        "Returns": documented and function is node and _returns_something(node) and not _has_section(node, "Yields"),
        "Raises": documented and function is not None and _raises(function),
        "Example": exported,
    }
    return missing + [section for section, wanted in needed.items() if wanted and not _has_section(node, section)]


def _find_constructor(node: ast.ClassDef) -> Function | None:
    return next((one for one in node.body if isinstance(one, Function) and one.name == "__init__"), None)


def _list_parameters(function: Function) -> list[str]:
    arguments = function.args
    return [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def _lacks_arguments(node: ast.ClassDef | Function, parameters: list[str], fewest: int) -> bool:
    refers = "for the arguments" in " ".join((ast.get_docstring(node) or "").split())
    return len(parameters) >= fewest and not refers and not _has_section(node, "Args")


def _is_declared_in_base(owner: ast.ClassDef, method: Function) -> bool:
    """Return True for a callback's method, which the base class documents."""
    return bool(owner.bases) and method.name.startswith("on_")


def _has_section(node: ast.ClassDef | Function, section: str) -> bool:
    lines = (ast.get_docstring(node) or "").splitlines()
    return any(line.strip() in (f"{section}:", f"{section}::") for line in lines)


def _returns_something(function: Function) -> bool:
    return function.returns is not None and ast.unparse(function.returns) not in ("None", "NoReturn", "Iterator[None]")


def _raises(function: Function) -> bool:
    """Return True for a function that contains a ``raise`` with an error."""
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(function))


if __name__ == "__main__":
    sys.exit(main())
