"""The directive ``generated``: inserts the result of a function of ``tools/``, so that a page cannot go stale.

The argument names the function, as ``tools.list_messages:make_table``. It returns Markdown, which is read as a part of
the page, or a drawing that begins with ``<svg``, which is placed into the page so that its colors follow the theme.
"""

from __future__ import annotations

import importlib
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Generated(SphinxDirective):
    """Insert the result of a function without arguments."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Call the function, and return the nodes of its text."""
        self.env.note_reread()  # the function's input may have changed since the last build
        module, _, name = self.arguments[0].partition(":")
        text = getattr(importlib.import_module(module), name)()
        if text.startswith("<svg"):
            return [nodes.raw("", f'<div class="drawing">{text}</div>', format="html")]
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
