"""The page of a sharpness report: one HTML file with all its figures inside, which needs no network."""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from recbole_samrec.sharpness.aggregate import (
    ADAPTIVE_RHO,
    CONVERGED,
    ERROR,
    PRODUCTS,
    RHO,
    SLOPE_TARGETS,
    TARGETS,
)
from recbole_samrec.sharpness.verdict import COMPARATIVES, DIGITS, digits_for
from recbole_samrec.utils.files import write_atomically
from recbole_samrec.utils.templates import template

if TYPE_CHECKING:
    from recbole_samrec.sharpness.figure_layout import Drawn
    from recbole_samrec.sharpness.measure import Budget

TEMPLATE = Path(__file__).parent / "templates" / "report.html.jinja"


def write_report(
    file: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    runs: pd.DataFrame,
    summary: pd.DataFrame,
    sentences: Sequence[str],
    figures: Sequence[Drawn],
    notes: Sequence[str],
    budget: Budget,
) -> None:
    """Write what was measured of some runs as one HTML file.

    Args:
        file: Where to write; replaced as a whole or not at all.
        title: Heading of the page.
        facts: Data, versions, device, commands and so on, in the order to show.
        runs: A line a run, as :func:`recbole_samrec.sharpness.aggregate.per_run` makes it.
        summary: The measures, as :func:`recbole_samrec.sharpness.aggregate.measures` makes them.
        sentences: What the measures show in words.
        figures: What is drawn, as :func:`recbole_samrec.sharpness.figures.draw` gives it.
        notes: What a reader has to keep in mind.
        budget: How much was computed.

    Raises:
        ConfigError: The file cannot be written.
    """
    write_atomically(file, page(title, facts, runs, summary, sentences, figures, notes, budget), folder="--out")


def page(
    title: str,
    facts: Mapping[str, str],
    runs: pd.DataFrame,
    summary: pd.DataFrame,
    sentences: Sequence[str],
    figures: Sequence[Drawn],
    notes: Sequence[str],
    budget: Budget,
) -> str:
    """The text of the page; see :func:`write_report`."""
    labels = list(dict.fromkeys(summary["label"]))
    cells = {(line["label"], line["measure"]): line for line in summary.to_dict("records")}
    in_sum, singly = in_order(sentences)
    return template(TEMPLATE, short=_short, address=_address).render(
        title=title,
        facts=facts,
        sentences=in_sum,
        singly=singly,
        notes=notes,
        labels={label: int((runs["label"] == label).sum()) for label in labels},
        measures={
            measure: _told_apart([cells.get((label, measure)) for label in labels])
            for measure in dict.fromkeys(summary["measure"])
        },
        missed=not all(line["converged"] for line in cells.values()),
        runs=list(runs["run"]),
        lines=_by_run(runs),
        figures=figures,
        budget=budget,
        products=_range(runs[PRODUCTS]),
        targets=_range(runs[TARGETS]),
        slope_targets=_range(runs[SLOPE_TARGETS]),
        rho=RHO,
        adaptive_rho=ADAPTIVE_RHO,
    )


def in_order(sentences: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sentences as a page shows them.

    Returns:
        What holds in sum, what a reader has to be careful of, and then all others that are about no single kind of
        measure; and apart from them those about one kind.
    """
    kinds = tuple(f"{kind.capitalize()}: " for kind in COMPARATIVES)
    singly = [sentence for sentence in sentences if sentence.startswith(kinds)]
    others = [sentence for sentence in sentences if sentence not in singly]
    return sorted(others, key=lambda sentence: not sentence.startswith(("In sum", "Careful"))), singly


def _by_run(runs: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The figures of :func:`~recbole_samrec.sharpness.aggregate.per_run`, a line each, with its details in cells."""
    apart = {"run", "label", "seed", *(name for name in runs if name.startswith((ERROR, CONVERGED)))}
    records = runs.to_dict("records")
    return {
        name: _told_apart(
            {"value": run[name], "error": run.get(ERROR + name, math.nan), "converged": run.get(CONVERGED + name, True)}
            for run in records
        )
        for name in runs
        if name not in apart
    }


def _told_apart(cells: Iterable[dict[str, Any] | None]) -> list[dict[str, Any] | None]:
    """The cells of a line, with how many digits they need for figures that differ not to print alike."""
    cells = list(cells)
    values = [float(cell["value"]) for cell in cells if cell is not None and cell["value"] is not None]
    digits = digits_for(itertools.combinations(filter(math.isfinite, values), 2))
    return [cell if cell is None else {**cell, "digits": digits} for cell in cells]


def _range(values: Iterable[int]) -> str:
    """One number, or the least and the most."""
    least, most = min(values), max(values)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _short(value: Any, digits: int = DIGITS) -> str:
    """A number with some significant digits, whole numbers in full; nothing where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    number = float(value)
    if not math.isfinite(number):
        return "not finite"
    return f"{number:,.0f}" if number.is_integer() else f"{number:.{digits}g}"


def _address(png: bytes) -> str:
    """An image as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
