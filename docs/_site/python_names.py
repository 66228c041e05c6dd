"""The Python API: the names that are shown, and the pages that names in docstrings refer to."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.util.nodes import make_refnode

PACKAGE = "recbole_samrec"


def skip_constants(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Skip module constants, whose docstrings are for developers of the module."""
    return True if what == "module" and name.isupper() else None


class WholeDocstrings:
    """Keeps napoleon from taking "Lines of the table: one for each entry" of an attribute for "type: description"."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def remember(self, app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        """Remember a docstring; called before napoleon."""
        self._lines = list(lines)

    def restore(self, app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        """Restore the docstring of an attribute to which napoleon gave a type; called after napoleon."""
        if what in ("attribute", "property", "data") and any(line.startswith(":type:") for line in lines):
            lines[:] = self._lines


def draw_dashes(app: Any, doctree: Any) -> None:
    """Put a dash between an argument and its description, in place of Sphinx's two hyphens."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))  # noqa: RUF001


def resolve_short_name(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Resolve a reference that Sphinx has not found.

    Public names are documented as ``recbole_samrec.run``, and docstrings name them by their module, or alone.

    Returns:
        A link to the one documented object with that last name; the bare name of an object of the package that has no
        page; None if there is no such object, which Sphinx reports.
    """
    if node.get("refdomain") != "py":
        return None
    objects, target = env.get_domain("py").objects, node["reftarget"]
    found = [name for name in objects if _ends_alike(name, target, parts=1)]
    if len(found) > 1:
        found = [name for name in found if _ends_alike(name, target, parts=2)]
    if len(found) == 1:
        place = objects[found[0]]
        return make_refnode(app.builder, node.get("refdoc", ""), place.docname, place.node_id, contnode, found[0])
    module = node.get("py:module") or PACKAGE
    return contnode if _exists(target) or _exists(f"{module}.{target}") else None


def _ends_alike(name: str, other: str, parts: int) -> bool:
    return name.split(".")[-parts:] == other.split(".")[-parts:]


def _exists(name: str) -> bool:
    """Check if a dotted name is the name of an object of the package."""
    words = name.split(".")
    if words[0] != PACKAGE:
        return False
    for count in range(len(words), 0, -1):
        try:
            found: Any = import_module(".".join(words[:count]))
        except ImportError:
            continue
        for word in words[count:]:
            found = getattr(found, word, None)
        return found is not None
    return False


def setup(app: Any) -> dict[str, bool]:
    """Register all parts of this extension."""
    whole = WholeDocstrings()
    app.connect("autodoc-skip-member", skip_constants)
    app.connect("autodoc-process-docstring", whole.remember, priority=499)
    app.connect("autodoc-process-docstring", whole.restore, priority=501)
    app.connect("doctree-read", draw_dashes)
    app.connect("missing-reference", resolve_short_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
