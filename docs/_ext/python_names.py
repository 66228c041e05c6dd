"""The Python API: which names are shown, and how a short name in a docstring finds its page."""

from __future__ import annotations

from typing import Any

from sphinx.util.nodes import make_refnode


def skip_constants(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave module constants out, whose docstrings are for those who change the module."""
    return True if what == "module" and name.isupper() else None


def resolve_short_name(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Return a link to the one documented object that has the last name of a reference; None if there is none.

    Public names are documented as ``recbole_samrec.run``, and docstrings name them by their module, or alone.
    """
    if node.get("refdomain") != "py":
        return None
    domain, last = env.get_domain("py"), node["reftarget"].rpartition(".")[2]
    parent = node["reftarget"].rpartition(".")[0].rpartition(".")[2]
    found = [name for name in domain.objects if name.rpartition(".")[2] == last]
    if len(found) > 1:
        found = [name for name in found if name.rpartition(".")[0].rpartition(".")[2] == parent]
    if len(found) != 1 or not found[0].startswith("recbole_samrec"):
        return None
    place = domain.objects[found[0]]
    return make_refnode(app.builder, node.get("refdoc", ""), place.docname, place.node_id, contnode, found[0])


def setup(app: Any) -> dict[str, bool]:
    """Register both functions."""
    app.connect("autodoc-skip-member", skip_constants)
    app.connect("missing-reference", resolve_short_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
