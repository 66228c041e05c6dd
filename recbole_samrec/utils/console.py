"""Lines on a console that are printed as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def print_line(console: Console, text: str) -> None:
    """Print a text without markup and highlights, and without breaking lines."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def print_note(console: Console, text: str) -> None:
    """Print a warning as a line that begins with ``note:``."""
    print_line(console, f"note: {text}")
