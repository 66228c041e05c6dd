"""Printing on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def print_line(console: Console, text: str) -> None:
    """Print a text as it is, in one line."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
