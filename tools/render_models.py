"""The table of features that each model supports as Markdown, from ``docs/models.csv``; for the page of models."""

from __future__ import annotations

from recbole_samrec.cli.model_table import COLUMNS, format_lines, number_reasons, read_models
from tools.markdown import escape, make_table


def render_models() -> str:
    """Return the table, and the numbered reasons below it."""
    lines = read_models()
    numbers = number_reasons(lines)
    rows = [[escape(cell) for cell in line] for line in format_lines(lines, numbers)]
    reasons = "".join(f"{number}. {escape(reason)}\n" for reason, number in numbers.items())
    return f"{make_table(COLUMNS, rows)}\nReasons:\n\n{reasons}"
