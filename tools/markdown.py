"""Markdown for generated pages: tables, and text in which no character is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|$~#])")


def escape(text: str) -> str:
    """Return plain text as Markdown, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Return text as code in a cell of a table."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text.replace('|', chr(92) + '|')}{fence}" if text else ""


def make_table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """Return a table of cells that are Markdown already.

    Args:
        head: Names of the columns.
        rows: Cells of each line.
        numbers: How many of the last columns have numbers, which are aligned to the right and do not wrap.
    """
    lines = [head, ["---"] * (len(head) - numbers) + ["---:"] * numbers, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
