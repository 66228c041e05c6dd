"""Test events in groups: users by the length of their history, items by their frequency in the training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recbole_samrec.compare.tables import average_seeds, rank_column
from recbole_samrec.evaluator.user_metrics import score_users

if TYPE_CHECKING:
    from recbole_samrec.experiments.results import Run

METRICS = ("ndcg@10", "hr@10")
KINDS = {"history": "events before the test item", "popularity": "training events of the test item"}
"""Columns of the ranks by which test events are divided, and what they count."""


@dataclass(frozen=True)
class Groups:
    """A division of test events.

    Attributes:
        codes: Group of each event, shape ``[U]``.
        bounds: The lowest and the highest value of each group.
        sizes: Number of events of each group.
    """

    codes: np.ndarray
    bounds: list[tuple[int, int]]
    sizes: list[int]


def divide_events(values: np.ndarray, parts: int = 4) -> Groups:
    """Divide events into groups of about equal size by an integer value of each event.

    Equal values stay together, so that there may be fewer groups, and of unequal size, where many are equal.

    Args:
        values: Integers, shape ``[U]``.
        parts: Number of groups to aim at.
    """
    values = np.asarray(values)
    shares = np.arange(1, parts) / parts
    tops = np.unique(np.append(np.quantile(values, shares, method="inverted_cdf"), values.max()))
    codes = np.searchsorted(tops, values)
    members = [values[codes == code] for code in range(len(tops))]
    return Groups(codes, [(int(one.min()), int(one.max())) for one in members], [len(one) for one in members])


def label_groups(table: pd.DataFrame) -> dict[int, tuple[str, str]]:
    """Return labels of the groups of one kind: their bounds and number of test events.

    Args:
        table: Made by :func:`build_group_table`.
    """
    firsts = table.drop_duplicates("group").set_index("group")
    return {
        group: (f"{low:,}" if low == high else f"{low:,}\N{EN DASH}{high:,}", f"n = {events:,}")
        for group, low, high, events in firsts[["low", "high", "events"]].itertuples()
    }


def build_group_table(
    runs: Sequence[Run], masked: bool = False, metrics: Sequence[str] = METRICS, parts: int = 4
) -> pd.DataFrame:
    """Build the table of the metrics of each entry in each group of users and of items of one data set.

    A metric of a group is the mean over the users with events in it, of these events only.
    The groups are those of the first run's events, which are the events of all runs.

    Args:
        runs: Runs of one data set with the same share of training users, with ranks.
        masked: Whether the history is masked in the rankings.
        metrics: See :func:`~recbole_samrec.evaluator.statistics.compute_user_metric`.
        parts: Number of groups to aim at.

    Returns:
        One line for each kind, group and entry: ``kind`` (``history`` or ``popularity``), ``group`` (counted from 1),
        its bounds ``low`` and ``high``, ``events``, ``entry``, ``seeds``, and mean and standard deviation over seeds of
        each metric.
    """
    return pd.concat([_tabulate_kind(runs, kind, masked, metrics, parts) for kind in KINDS], ignore_index=True)


def _tabulate_kind(runs: Sequence[Run], kind: str, masked: bool, metrics: Sequence[str], parts: int) -> pd.DataFrame:
    groups = divide_events(runs[0].ranks[kind].to_numpy(), parts)
    lines = []
    for run in runs:
        ranks = run.ranks[rank_column(masked)].to_numpy()
        for code, ((low, high), size) in enumerate(zip(groups.bounds, groups.sizes, strict=True)):
            group = {"kind": kind, "group": code + 1, "low": low, "high": high, "events": size}
            inside = groups.codes == code
            means = {
                metric: _add_up(of_users := score_users(ranks[inside], metric, run.users[inside], run.prediction))
                / len(of_users)
                for metric in metrics
            }
            lines.append({**group, "entry": run.entry, "seed": run.seed, **means})
    by = ["kind", "group", "low", "high", "events", "entry"]
    return average_seeds(pd.DataFrame(lines), by, metrics).reset_index()


def _add_up(values: np.ndarray) -> float:
    """Sum values from first to last, so that the last digit does not depend on their number."""
    return float(np.bincount(np.zeros(len(values), dtype=int), weights=values)[0])
