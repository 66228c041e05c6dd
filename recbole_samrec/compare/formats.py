"""Pages of tables as Markdown and LaTeX, and frames as CSV."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
import pandas as pd

from recbole_samrec.compare.captions import MARK
from recbole_samrec.compare.layout import SPREAD, Cell, Page

_MARKDOWN = str.maketrans({**{one: f"\\{one}" for one in "\\|*_`[]~$"}, "&": "&amp;", "<": "&lt;", ">": "&gt;"})
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
        MARK: r"$^{\dagger}$",
    }
)


def csv(table: pd.DataFrame) -> str:
    """A frame with plain numbers in full precision; what is not known stays empty."""
    return table.to_csv(index=table.index.name is not None, lineterminator="\n")


def markdown(page: Page) -> str:
    """A page as GitHub shows it: the best bold, the second underlined."""
    return _template("markdown.md.jinja", md=markdown_text, cell=_markdown_cell).render(page=page)


def latex(page: Page) -> str:
    """A page as floats for a paper; they need the package booktabs and nothing else."""
    return _template("latex.tex.jinja", tex=latex_text, cell=_latex_cell, label=_label).render(page=page)


def markdown_text(text: str) -> str:
    """Text in which nothing is taken for markup."""
    return " ".join(text.split()).translate(_MARKDOWN)


def latex_text(text: str) -> str:
    """Text in which nothing is taken for a command."""
    return " ".join(text.split()).translate(_LATEX)


def _markdown_cell(cell: Cell) -> str:
    mean, *std = markdown_text(cell.text).split(SPREAD)
    mean = {1: f"**{mean}**", 2: f"<u>{mean}</u>"}.get(cell.place, mean)
    return SPREAD.join([mean, *std]) + MARK * cell.marked


def _latex_cell(cell: Cell) -> str:
    mean, *std = map(latex_text, cell.text.split(SPREAD))
    mean = {1: rf"\textbf{{{mean}}}", 2: rf"\underline{{{mean}}}"}.get(cell.place, mean)
    small = [rf"\,{{\tiny$\pm$\,{one}}}" for one in std]  # seven metrics have to stand beside each other
    return "".join([mean, *small]) + latex_text(MARK) * cell.marked


def _label(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-")


def _template(name: str, **filters) -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # what is written is no HTML; the filters escape
    )
    environment.filters.update(filters)
    return environment.get_template(name)
