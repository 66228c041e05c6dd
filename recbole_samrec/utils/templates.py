"""HTML pages from templates, in which everything that is put in is escaped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jinja2


def template(file: Path, **filters: Callable[..., str]) -> jinja2.Template:
    """The template of a page.

    Args:
        file: The template.
        filters: Functions that it may use, by name.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(file.parent),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=True,
    )
    environment.filters.update(filters)
    return environment.get_template(file.name)
