"""Differences between the entries of a report: estimate, interval, p-value and mark of each measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from recbole_samrec.evaluator.marks import NOT_COMPARABLE, NOT_CONVERGED, mark_differences
from recbole_samrec.evaluator.statistics import holm

PLAIN, ADAPTIVE, ACCURACY, ROBUSTNESS = KINDS = ("sharpness", "adaptive sharpness", "accuracy", "robustness")
CONVERGED = "converged: "
"""Before a measure's name: the column of :func:`compare_entries`'s ``runs`` with True where it converged."""
COLUMNS = (
    "entry", "reference", "measure", "kind", "better", "difference", "low", "high", "p", "p_holm", "runs",
    "reference_runs", "mark",
)  # fmt: skip
LEVEL = 0.95


@dataclass(frozen=True)
class Meaning:
    """The kind and direction of a measure.

    Args:
        kind: One of :data:`KINDS`.
        smaller_is_better: Whether the smaller of two is the flatter, more accurate or more robust one.

    Raises:
        ValueError: There is no such kind.
    """

    kind: str
    smaller_is_better: bool = True

    def __post_init__(self) -> None:
        """Check the kind."""
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not a kind of measure; there are: {', '.join(KINDS)}")


class Difference(NamedTuple):
    """A mean difference, the ends of its 95 % interval, and its p-value; NaN where they are unknown."""

    value: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan


def compare_entries(
    runs: pd.DataFrame, meanings: Mapping[str, Meaning], losses: Mapping[str, str], reference: str
) -> pd.DataFrame:
    """Compare each entry with the reference in each measure.

    Args:
        runs: One line per run: ``entry``, and the measures by name; for some of them :data:`CONVERGED` and the name,
            whether it did. NaN where a run has no such measure.
        meanings: The measures to compare.
        losses: The training loss of each entry; sharpness, which is in units of the loss, is compared only between
            entries of one loss.
        reference: The entry that the others are compared with.

    Returns:
        One line for each other entry and measure: ``entry``, ``reference``, ``measure``, ``kind``, ``better``
        (``lower`` or ``higher``), ``difference`` (entry minus reference), ``low`` and ``high`` (95 % interval), ``p``,
        ``p_holm`` (corrected for all lines that have a p), ``runs`` and ``reference_runs``, and ``mark``.

    Raises:
        ValueError: The reference is not among the entries.
    """
    of_entry = dict(iter(runs.groupby("entry", sort=False)))
    if reference not in of_entry:
        raise ValueError(f"{reference} is not among the entries: {', '.join(of_entry)}")
    lines = []
    for entry in (entry for entry in of_entry if entry != reference):
        for measure, meaning in meanings.items():
            mine, other = (_values(of_entry[name], measure) for name in (entry, reference))
            if not mine or not other:
                continue
            comparable = meaning.kind not in (PLAIN, ADAPTIVE) or losses.get(entry) == losses.get(reference)
            converged = all(_converged(of_entry[name], measure) for name in (entry, reference))
            found, mark = _compare(mine, other, comparable, converged)
            better = "lower" if meaning.smaller_is_better else "higher"
            runs_of_both = len(mine), len(other)
            lines.append((entry, reference, measure, meaning.kind, better, *found, math.nan, *runs_of_both, mark))
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    known = table["p"].notna()
    table.loc[known, "p_holm"] = holm(table.loc[known, "p"].to_numpy())
    marks = mark_differences(table["p_holm"], table["low"], table["high"])
    return table.assign(mark=[one or other for one, other in zip(table["mark"], marks, strict=True)])


def _compare(
    mine: Sequence[float], other: Sequence[float], comparable: bool, converged: bool
) -> tuple[Difference, str]:
    """Return the difference of two samples, with the mark of one that is not compared."""
    if not comparable:
        return Difference(math.nan), NOT_COMPARABLE
    if not converged:
        return Difference(float(np.mean(mine)) - float(np.mean(other))), NOT_CONVERGED
    return subtract_means(mine, other), ""


def subtract_means(mine: Sequence[float], other: Sequence[float]) -> Difference:
    """Return the difference of two means with Welch's interval and test.

    Args:
        mine: A measure of the runs of an entry.
        other: That of the reference.

    Returns:
        The difference; without interval and p-value where either has one run, or a value is not finite.
    """
    value = float(np.mean(mine)) - float(np.mean(other))
    if not math.isfinite(value) or min(len(mine), len(other)) < 2:
        return Difference(value if math.isfinite(value) else math.nan)
    parts = [float(np.var(values, ddof=1)) / len(values) for values in (mine, other)]
    variance = sum(parts)
    if variance == 0:
        return Difference(value, value, value, float(value == 0))
    spread = sum(part**2 / (len(values) - 1) for part, values in zip(parts, (mine, other), strict=True))
    freedom, error = variance**2 / spread, math.sqrt(variance)
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Difference(value, value - half, value + half, float(2 * stats.t.sf(abs(value) / error, freedom)))


def _values(runs: pd.DataFrame, measure: str) -> list[float]:
    return [] if measure not in runs else runs[measure].dropna().astype(float).tolist()


def _converged(runs: pd.DataFrame, measure: str) -> bool:
    column = CONVERGED + measure
    return column not in runs or bool(runs[column].astype(bool).all())
