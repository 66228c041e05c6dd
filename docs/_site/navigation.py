"""The navigation, made from the tables of the home page, so that pages are listed only once by hand."""

from __future__ import annotations

import posixpath
import re
from typing import Any

LISTING = {"results/README": ("*", "*/*"), "docs/reference/api/index": ("*",)}
"""Pages below which other pages stand, by patterns of their names."""
TREE = "\n```{{toctree}}\n:hidden:\n{options}\n{pages}\n```\n"


def add_trees(app: Any, docname: str, source: list[str]) -> None:
    """Add the navigation to a page that lists others.

    Args:
        app: The application.
        docname: Name of the page.
        source: Its text, the only element, which is replaced.
    """
    if docname == app.config.root_doc:
        source[0] += "".join(_make_trees(docname, source[0]))
    elif docname in LISTING:
        source[0] += TREE.format(options=":glob:", pages="\n" + "\n".join(LISTING[docname]))


def _make_trees(docname: str, text: str) -> list[str]:
    """Return a tree for each section, with the pages that its table links to."""
    folder, trees = posixpath.dirname(docname), []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        caption = section.partition("\n")[0]
        links = re.findall(r"\]\(([\w./-]+)\.(?:md|ipynb)\)", section)
        pages = ["/" + posixpath.normpath(posixpath.join(folder, link)) for link in links]
        trees.append(TREE.format(options=f":caption: {caption}", pages="\n" + "\n".join(pages)))
    return trees


def setup(app: Any) -> dict[str, bool]:
    """Register :func:`add_trees` for all pages."""
    app.connect("source-read", add_trees)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
