"""The page of a sharpness report: one self-contained HTML file."""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from recbole_samrec.evaluator.marks import MEANINGS, NOT_CONVERGED
from recbole_samrec.sharpness import captions
from recbole_samrec.sharpness.aggregate import ADAPTIVE_RHO, ERROR, PRODUCTS, RHO, SLOPE_TARGETS, TARGETS
from recbole_samrec.sharpness.comparisons import CONVERGED
from recbole_samrec.utils.files import write_atomically
from recbole_samrec.utils.templates import load_template

if TYPE_CHECKING:
    from recbole_samrec.sharpness.figure_layout import Drawn
    from recbole_samrec.sharpness.measure import Budget

TEMPLATE = Path(__file__).parent / "templates" / "report.html.jinja"
DIGITS = 4
"""Significant digits of a number."""


def write_report(
    file: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    entries: pd.DataFrame,
    comparisons: pd.DataFrame,
    measures: pd.DataFrame,
    runs: pd.DataFrame,
    figures: Sequence[Drawn],
    notes: Sequence[str],
    budget: Budget,
) -> None:
    """Write the measures of some runs as one HTML file.

    Args:
        file: Where to write; replaced as a whole or not at all.
        title: Heading of the page.
        facts: Data, versions, device, command and so on, in the order to show.
        entries: Made by :func:`recbole_samrec.sharpness.entries.describe_entries`.
        comparisons: Made by :func:`recbole_samrec.sharpness.aggregate.compare_runs`.
        measures: Made by :func:`recbole_samrec.sharpness.aggregate.average_measures`.
        runs: Made by :func:`recbole_samrec.sharpness.aggregate.list_runs`.
        figures: Made by :func:`recbole_samrec.sharpness.figures.draw_figures`.
        notes: Names of notes, as :func:`recbole_samrec.sharpness.notes.list_notes` gives them.
        budget: How much was computed.

    Raises:
        ConfigError: The file cannot be written.
    """
    labels = list(entries["entry"])
    cells = {(line["entry"], line["measure"]): line for line in measures.to_dict("records")}
    text = load_template(TEMPLATE, short=format_number, signed=_signed, address=_address).render(
        title=title,
        facts=facts,
        entries=entries.to_dict("records"),
        comparisons=comparisons.to_dict("records"),
        marks={mark: MEANINGS[mark] for mark in MEANINGS if mark in set(comparisons["mark"])},
        measures={
            measure: _choose_line_digits([cells.get((label, measure)) for label in labels])
            for measure in dict.fromkeys(measures["measure"])
        },
        not_converged=NOT_CONVERGED,
        missed=not all(line["converged"] for line in cells.values()),
        runs=list(runs["run"]),
        lines=_list_by_run(runs),
        figures=figures,
        notes=[captions.NOTES[name] for name in notes],
        captions=captions,
        budget=budget,
        products=_join_range(runs[PRODUCTS]),
        targets=_join_range(runs[TARGETS]),
        slope_targets=_join_range(runs[SLOPE_TARGETS]),
        rho=RHO,
        adaptive_rho=ADAPTIVE_RHO,
    )
    write_atomically(file, text, folder="--out")


def _list_by_run(runs: pd.DataFrame) -> dict[str, list[dict[str, Any] | None]]:
    """Return the numbers of ``runs``, one line for each with a cell for each run."""
    hidden = {"run", "entry", "seed", *(name for name in runs if name.startswith((ERROR, CONVERGED)))}
    records = runs.to_dict("records")
    return {
        name: _choose_line_digits(
            {"value": run[name], "error": run.get(ERROR + name, math.nan), "converged": run.get(CONVERGED + name, True)}
            for run in records
        )
        for name in runs
        if name not in hidden
    }


def _choose_line_digits(cells: Iterable[dict[str, Any] | None]) -> list[dict[str, Any] | None]:
    """Format the cells of a line with as many digits as different numbers need to look different."""
    cells = list(cells)
    values = [float(cell["value"]) for cell in cells if cell is not None and cell["value"] is not None]
    digits = choose_digits(itertools.combinations(filter(math.isfinite, values), 2))
    return [cell if cell is None else {**cell, "digits": digits} for cell in cells]


def choose_digits(pairs: Iterable[tuple[float, float]]) -> int:
    """Return the number of significant digits for pairs of numbers: one more if two that differ would look alike."""
    return DIGITS + any(a != b and round_digits(a, DIGITS) == round_digits(b, DIGITS) for a, b in pairs)


def round_digits(value: float, digits: int = DIGITS) -> str:
    """Return a number with some significant digits, without an exponent where it reads well without one."""
    return f"{float(f'{value:.{digits}g}'):.10g}"


def format_number(value: Any, digits: int = DIGITS) -> str:
    """Return a number with some significant digits, integers in full, and nothing where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    number = float(value)
    if not math.isfinite(number):
        return "not finite"
    return f"{number:,.0f}" if number.is_integer() else f"{number:.{digits}g}"


def _signed(value: float) -> str:
    text = format_number(value, 3)
    return f"+{text}" if value > 0 else text.replace("-", "\N{MINUS SIGN}")


def _join_range(values: Iterable[int]) -> str:
    """Format one number, or the range of several."""
    least, most = min(values), max(values)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _address(png: bytes) -> str:
    """Return the address of an image that contains its data."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
