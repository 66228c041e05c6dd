"""Pages of tables as Markdown and LaTeX, and frames as CSV."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recbole_samrec.compare.layout import SPREAD, Cell, Grid, Page
from recbole_samrec.evaluator.marks import EQUIVALENT, SIGNIFICANT
from recbole_samrec.utils.console import print_line, print_note
from recbole_samrec.utils.templates import load_template

TEMPLATES = Path(__file__).parent / "templates"

_MARKDOWN = str.maketrans({**{one: f"\\{one}" for one in "\\|*_`[]~$"}, "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_WORDS = re.compile(r"(?!\bto\b)[A-Za-z]{2}")
"""Letters of a cell that is neither a number nor an interval."""
_LATEX = str.maketrans(
    {
        **{one: f"\\{one}" for one in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
        "|": r"\textbar{}",
        "±": r"$\pm$",
        "\N{MINUS SIGN}": "$-$",
        "\N{EN DASH}": "--",
        SIGNIFICANT: r"$^{\dagger}$",
        EQUIVALENT: r"$\approx$",
    }
)


def write_csv(table: pd.DataFrame) -> str:
    """Return a frame as CSV, with plain numbers in full precision; unknown values stay empty."""
    return table.to_csv(index=table.index.name is not None, lineterminator="\n")


def write_markdown(page: Page) -> str:
    """Return a page as Markdown for GitHub, the best values bold, the second-best underlined."""
    filters: dict[str, Callable[..., Any]] = {"md": escape_markdown, "cell": _markdown_cell, "rule": _markdown_rule}
    return load_template(TEMPLATES / "markdown.md.jinja", html=False, **filters).render(page=page)


def write_latex(page: Page) -> str:
    """Return a page as LaTeX tables for a paper; they require only the package booktabs."""
    filters: dict[str, Callable[..., Any]] = {"tex": escape_latex, "cell": _latex_cell, "label": _label}
    filters["align"] = align_columns
    return load_template(TEMPLATES / "latex.tex.jinja", html=False, **filters).render(page=page)


def align_columns(grid: Grid) -> list[str]:
    """Align each column: ``r`` for numbers and intervals, ``l`` for text, as for the names in the first column."""
    columns = list(zip(*grid.body, strict=True))[1:] or [()] * (len(grid.header) - 1)
    return ["l", *("l" if any(_WORDS.search(cell.text) for cell in column) else "r" for column in columns)]


def escape_markdown(text: str) -> str:
    """Escape text so that nothing in it is markup."""
    return " ".join(text.split()).translate(_MARKDOWN)


def escape_latex(text: str) -> str:
    """Escape text so that nothing in it is a command."""
    return " ".join(text.split()).translate(_LATEX)


STYLES = ("", "bold", "underline")
IN_TERMINAL = ("entry", "HR@10", "NDCG@10", "MRR")
"""Columns of the table of accuracy that a terminal has room for."""


def print_page(console: Console, page: Page, printed: set[str]) -> None:
    """Print the accuracy table of a data set, the best of each column bold and the second-best underlined.

    Args:
        console: Where it is printed.
        page: The page of the data set.
        printed: Notes that other pages had, which are not repeated; those of this page are added.
    """
    for grid in page.grids[:1]:
        table = Table(title=page.title, title_justify="left")
        columns = [number for number, name in enumerate(grid.header) if name in IN_TERMINAL]
        for number in columns:
            table.add_column(grid.header[number], justify="right" if number else "left")
        for line in grid.body:
            cells = [line[number] for number in columns]
            table.add_row(*(Text(cell.text + cell.mark, STYLES[cell.place]) for cell in cells))
        console.print(table)
        for caption in grid.captions[1:]:
            console.print(caption, highlight=False, markup=False)
    if not page.grids:
        print_line(console, f"{page.title}: {' '.join(page.remarks)}")
    for note in page.notes:
        if note not in printed:
            print_note(console, note)
            printed.add(note)


def _markdown_rule(grid: Grid) -> str:
    """The line under a header, which aligns the columns."""
    return f"| {' | '.join('---:' if side == 'r' else '---' for side in align_columns(grid))} |"


def _markdown_cell(cell: Cell) -> str:
    mean, *std = escape_markdown(cell.text).split(SPREAD)
    mean = {1: f"**{mean}**", 2: f"<u>{mean}</u>"}.get(cell.place, mean)
    return SPREAD.join([mean, *std]) + cell.mark


def _latex_cell(cell: Cell) -> str:
    mean, *std = map(escape_latex, cell.text.split(SPREAD))
    mean = {1: rf"\textbf{{{mean}}}", 2: rf"\underline{{{mean}}}"}.get(cell.place, mean)
    small = [rf"\,{{\tiny$\pm$\,{one}}}" for one in std]  # seven metrics have to fit side by side on a page
    return "".join([mean, *small]) + escape_latex(cell.mark)


def _label(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-")
