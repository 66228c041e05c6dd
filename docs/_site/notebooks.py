"""Jupyter notebooks as pages: their cells, with the outputs that the file holds; nothing is executed.

The notebook becomes Markdown, which is parsed as that of every other page: links are checked, and code is highlighted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from myst_parser.parsers.sphinx_ import MystParser

STYLE = re.compile(r"<style scoped>.*?</style>\s*", re.DOTALL)
FRAME = '<table border="1" class="dataframe"'
"""Beginning of a table of pandas."""


class NotebookParser(MystParser):
    """Parses a notebook of format 4."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: Any) -> None:
        """Add the nodes of a notebook to a document."""
        super().parse(convert_to_markdown(inputstring), document)


def convert_to_markdown(text: str) -> str:
    """Convert the text of a notebook to Markdown."""
    return "\n\n".join(part for cell in json.loads(text)["cells"] for part in _convert_cell(cell)) + "\n"


def _convert_cell(cell: dict[str, Any]) -> Iterator[str]:
    source = _join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
    elif cell["cell_type"] == "code":
        yield _fence("python", source)
        for output in cell["outputs"]:
            yield _convert_output(output, cell["metadata"].get("alt", ""))


def _convert_output(output: dict[str, Any], alt: str) -> str:
    """Convert an output to a picture, a table or text, the first of these that it has."""
    data = output.get("data", {})
    if "image/png" in data:
        size = output["metadata"].get("image/png", {})
        options = f":class: output\n:alt: {alt}\n" + (f":width: {size['width']}px\n" if "width" in size else "")
        return _fence(f"{{image}} data:image/png;base64,{_join(data['image/png']).replace(chr(10), '')}", options)
    if "text/html" in data:
        table = STYLE.sub("", _join(data["text/html"])).replace(FRAME, '<table class="docutils"')
        return _fence("{raw} html", f'<div class="output table-wrapper">\n{table}\n</div>')
    text = _join(output["text"] if output["output_type"] == "stream" else data["text/plain"])
    return _fence("{code-block} text", f":class: output\n\n{text}")


def _join(lines: str | list[str]) -> str:
    """Join lines, which a notebook holds as text or as a list."""
    return lines if isinstance(lines, str) else "".join(lines)


def _fence(name: str, content: str) -> str:
    """Put content into a fence that is longer than any inside."""
    longest = max(map(len, re.findall(r"`{3,}", content)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{name}\n{content.rstrip()}\n{fence}"


def setup(app: Any) -> dict[str, bool]:
    """Register the parser for files that end in ``.ipynb``."""
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
