"""Width of text in tables: marks cells by the length of their text, so that no column is one word wide on a phone."""

from __future__ import annotations

from typing import Any

from docutils import nodes

LENGTHS = {"long-text": 80, "some-text": 24}
"""Classes of cells, each with the number of characters from which a cell gets it; ``site.css`` has their widths."""


def mark_cells(app: Any, doctree: nodes.document) -> None:
    """Give a class to each cell of a table's body with more than a few words.

    Args:
        app: The application.
        doctree: The page, whose cells are changed.
    """
    for body in doctree.findall(nodes.tbody):
        for cell in body.findall(nodes.entry):
            length = len(cell.astext())
            cell["classes"] += [name for name, least in LENGTHS.items() if length >= least][:1]


def setup(app: Any) -> dict[str, bool]:
    """Register :func:`mark_cells` for all pages."""
    app.connect("doctree-read", mark_cells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
