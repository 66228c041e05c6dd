"""Templates of pages: HTML, which escapes all inserted values, and plain text such as Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jinja2

TEXT = {
    "block_start_string": "<%",
    "block_end_string": "%>",
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
    "keep_trailing_newline": True,
    "autoescape": False,
}
"""Markers that are unused in LaTeX and Markdown; filters escape inserted values."""


def load_template(file: Path, *, html: bool = True, **filters: Callable[..., str]) -> jinja2.Template:
    """Load the template of a page.

    Args:
        file: The template.
        html: Whether it generates HTML; otherwise it generates plain text and uses the markers of :data:`TEXT`.
        filters: Filters of the template, by name.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(file.parent),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        **({"autoescape": True} if html else TEXT),
    )
    environment.filters.update(filters)
    return environment.get_template(file.name)
