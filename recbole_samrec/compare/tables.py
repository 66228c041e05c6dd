"""Frames that compare the rows of one data set: accuracy over seeds, significance, cost, shares of training users.

A column of a frame is a column of the CSV file: ``<metric>_mean``, ``<metric>_std`` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recbole_samrec.evaluator.statistics import (
    holm,
    interval_over_users,
    interval_over_users_and_seeds,
    per_user,
    randomisation_test,
)

if TYPE_CHECKING:
    from recbole_samrec.experiments.results import Run

METRICS = ("hr@5", "hr@10", "hr@20", "ndcg@5", "ndcg@10", "ndcg@20", "mrr")
DIGITS = 4
"""Decimals that are shown; figures that look equal are marked as equal."""
COSTS = ("parameters", "seconds_per_epoch", "seconds_to_best", "peak_memory_mb")


def rank_column(masked: bool) -> str:
    """The column of ranks among all items, or among those that the user had not before."""
    return "masked_rank" if masked else "rank"


def disagreements(run: Run) -> list[str]:
    """Where the test metrics that RecBole's evaluator wrote down differ from those of the ranks, one line each.

    They can where items have equal scores, whose order is no one's choice.
    """
    config = run.result.get("config") or {}
    ranks = run.ranks[rank_column(bool(config.get("mask_history")))].to_numpy()
    rounding = 0.5 * 10.0 ** -int(config.get("metric_decimal_place") or 4)
    lines = []
    for name, written in (run.result.get("test") or {}).items():
        if name.partition("@")[0] in ("hr", "ndcg", "mrr"):
            counted = per_user(ranks, name).mean()
            if abs(counted - written) > rounding + 1e-6:  # the evaluator may add up in single precision
                lines.append(
                    f"{run.row}, seed {run.seed}: {name.upper()} is {counted:.4f} by its ranks and {written:.4f} by "
                    "RecBole's evaluator"
                )
    return lines


def scores(runs: Sequence[Run], masked: bool = False, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """The metrics of each run from its ranks.

    Args:
        runs: Runs with ranks.
        masked: Whether what a user had before is left out of the rankings.
        metrics: See :func:`~recbole_samrec.evaluator.statistics.per_user`.

    Returns:
        One line a run: ``row``, ``seed``, ``fraction`` and the metrics.
    """
    lines = []
    for run in runs:
        ranks = run.ranks[rank_column(masked)].to_numpy()
        means = {metric: per_user(ranks, metric).mean() for metric in metrics}
        lines.append({"row": run.row, "seed": run.seed, "fraction": run.fraction, **means})
    return pd.DataFrame(lines, columns=["row", "seed", "fraction", *metrics])


def spread(lines: pd.DataFrame, by: Sequence[str], metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Mean and sample standard deviation over seeds, in the order in which the groups come.

    Args:
        lines: A line for each seed, with ``seed`` and the metrics.
        by: Columns whose values tell the groups apart.
        metrics: Columns to average.

    Returns:
        A line a group: ``seeds``, and ``<metric>_mean`` and ``<metric>_std`` (NaN of a single seed).
    """
    grouped = lines.groupby(list(by), sort=False)
    columns = {"seeds": grouped["seed"].nunique()}
    for metric in metrics:
        columns[f"{metric}_mean"] = grouped[metric].mean()
        columns[f"{metric}_std"] = grouped[metric].std(ddof=1)
    return pd.DataFrame(columns)


def places(means: Sequence[float]) -> list[int]:
    """Whether each figure is the best (1), the second (2) or neither (0), as shown.

    All that share a place are marked; NaN has none, and a figure without another to compare with neither.
    """
    shown = [f"{mean:.{DIGITS}f}" if np.isfinite(mean) else "" for mean in means]
    distinct = sorted({one for one in shown if one}, key=float, reverse=True)
    if sum(map(bool, shown)) < 2:
        return [0] * len(shown)
    return [1 + distinct.index(one) if one in distinct[:2] else 0 for one in shown]


def gains(table: pd.DataFrame, reference: str, metrics: Sequence[str] = METRICS) -> dict[str, float]:
    """How much better the reference is than the best baseline, in percent of that, for each metric.

    Rows with SAM are no baselines.

    Args:
        table: With the rows as index, ``<metric>_mean`` and perhaps ``with_sam``.
        reference: One of the rows.
        metrics: Those to compare.

    Returns:
        NaN where there is nothing to compare with.
    """
    with_sam = table.get("with_sam", pd.Series(False, table.index)).fillna(False).astype(bool)
    others = table[(table.index != reference) & ~with_sam]
    percent = {}
    for metric in metrics:
        best = others[f"{metric}_mean"].max()
        mine = table[f"{metric}_mean"].get(reference, np.nan)
        percent[metric] = float(100 * (mine / best - 1)) if best > 0 else np.nan
    return percent


def comparisons(
    runs: Sequence[Run], reference: str, masked: bool = False, metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """How the reference differs from each other row.

    Args:
        runs: Runs of one data set with the same share of training users, with ranks.
        reference: The row that the others are compared with.
        masked: Whether what a user had before is left out of the rankings.
        metrics: See :func:`~recbole_samrec.evaluator.statistics.per_user`.

    Returns:
        A line for each other row with the columns of :func:`differences`, which are of the reference minus that row.
    """
    others = dict.fromkeys(run.row for run in runs if run.row != reference)
    return differences(runs, [(reference, row) for row in others], masked, metrics).droplevel(0).rename_axis("row")


def variants(
    runs: Sequence[Run],
    reference: str,
    variant_of: Mapping[str, str],
    masked: bool = False,
    metrics: Sequence[str] = METRICS,
) -> pd.DataFrame:
    """How each variant of a row differs from that row, where :func:`comparisons` does not say so already.

    Args:
        runs: Runs of one data set with the same share of training users, with ranks.
        reference: The row that all others are compared with.
        variant_of: Of each variant, the row that it varies.
        masked: Whether what a user had before is left out of the rankings.
        metrics: See :func:`~recbole_samrec.evaluator.statistics.per_user`.

    Returns:
        A line for each variant: ``variant_of``, and the columns of :func:`differences`, named ``variant_...``.
    """
    rows = dict.fromkeys(run.row for run in runs)
    pairs = [(row, variant_of[row]) for row in rows if row in variant_of]
    table = differences(runs, [pair for pair in pairs if reference not in pair], masked, metrics)
    return table.add_prefix("variant_").rename_axis(["row", "variant_of"]).reset_index("variant_of")


def differences(
    runs: Sequence[Run], pairs: Sequence[tuple[str, str]], masked: bool = False, metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """How rows differ, over users whose metrics are averaged over each row's seeds.

    Args:
        runs: Runs of one data set with the same share of training users, with ranks.
        pairs: Rows, and what is taken from each; pairs of which one row has no runs are left out.
        masked: Whether what a user had before is left out of the rankings.
        metrics: See :func:`~recbole_samrec.evaluator.statistics.per_user`.

    Returns:
        A line for each pair, its rows as index ``row`` and ``minus``, with these for each metric: ``_difference``,
        ``_low`` and ``_high`` (95 % interval over users), ``_low_with_seeds`` and ``_high_with_seeds`` (over users and
        seeds, NaN where a row has one seed), ``_p`` (randomisation test) and ``_p_holm`` (corrected over the pairs).
    """
    of_row: dict[str, list[Run]] = {}
    for run in runs:
        of_row.setdefault(run.row, []).append(run)
    pairs = [pair for pair in pairs if all(row in of_row for row in pair)]
    index = pd.MultiIndex.from_tuples(pairs, names=["row", "minus"])
    if not pairs:
        return pd.DataFrame(index=index)
    values = {row: _users_and_seeds(of_row[row], masked, metrics) for row in {row for pair in pairs for row in pair}}
    of_users, intervals = [], []
    for mine, other in ((values[row], values[minus]) for row, minus in pairs):
        of_users.append(mine.mean(axis=1) - other.mean(axis=1))
        intervals.append([*interval_over_users(of_users[-1]), *interval_over_users_and_seeds(mine, other)])
    p = randomisation_test(np.concatenate(of_users, axis=1)).reshape(len(pairs), -1)
    columns = {}
    for i, metric in enumerate(metrics):
        columns[f"{metric}_difference"] = [one[:, i].mean() for one in of_users]
        for j, end in enumerate(("low", "high", "low_with_seeds", "high_with_seeds")):
            columns[f"{metric}_{end}"] = [one[j][i] for one in intervals]
        columns[f"{metric}_p"], columns[f"{metric}_p_holm"] = p[:, i], holm(p[:, i])
    return pd.DataFrame(columns, index=index)


def _users_and_seeds(runs: Sequence[Run], masked: bool, metrics: Sequence[str]) -> np.ndarray:
    """Each user's metrics by each seed of a row, shape ``[U, seeds, metrics]``."""
    ranks = np.stack([run.ranks[rank_column(masked)].to_numpy() for run in runs], axis=1)
    return np.stack([per_user(ranks, metric) for metric in metrics], axis=2)


def costs(runs: Sequence[Run]) -> pd.DataFrame:
    """Parameters, seconds and memory of each row: means over seeds, and of memory the most.

    Returns:
        A line a row with the columns of ``COSTS``; NaN where a model has none, such as epochs of counts.
    """
    lines = []
    for run in runs:
        result, best = run.result, run.result.get("best_epoch")
        seconds = result.get("seconds_per_epoch")
        before = (result.get("pretraining") or {}).get("seconds", 0.0)
        to_best = None if seconds is None or best is None else before + seconds * (best + 1)
        figures = (result.get("parameters"), seconds, to_best, result.get("peak_memory_mb"))
        lines.append({"row": run.row, **dict(zip(COSTS, figures, strict=True))})
    frame = pd.DataFrame(lines).astype(dict.fromkeys(COSTS, "float64"))
    ways = dict.fromkeys(COSTS, "mean") | {"peak_memory_mb": "max"}
    return frame.groupby("row", sort=False).agg(ways)


def main_table(
    runs: Sequence[Run],
    rows: Sequence[str],
    reasons: Mapping[str, str] | None = None,
    masked: bool = False,
    variant_of: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Everything that is said of the rows of one data set.

    Args:
        runs: Runs of one data set with the same share of training users, with ranks.
        rows: Labels in the order to show; the first is the reference.
        reasons: Why rows have no runs, or fewer than asked for.
        masked: Whether what a user had before is left out of the rankings.
        variant_of: Of each variant, the row that it varies.

    Returns:
        A line a row, also of those without runs: ``seeds``; ``with_sam``; mean and standard deviation of each metric;
        the columns of :func:`comparisons`; those of :func:`costs`; those of :func:`variants`, if there are any;
        ``<metric>_gain_percent`` of the reference; ``note``.
    """
    table = spread(scores(runs, masked), ["row"])
    for part in (
        comparisons(runs, rows[0], masked),
        costs(runs),
        variants(runs, rows[0], variant_of or {}, masked),
    ):
        table = table.join(part) if len(part) else table
    table = table.reindex(pd.Index(rows, name="row"))
    with_sam = {run.row for run in runs if (run.result.get("config") or {}).get("sam_rho")}
    table["with_sam"] = table.index.isin(with_sam)
    table["seeds"] = table["seeds"].fillna(0).astype(int)
    for metric, percent in gains(table, rows[0]).items():
        table[f"{metric}_gain_percent"] = np.where(table.index == rows[0], percent, np.nan)
    table["note"] = [(reasons or {}).get(row, "") for row in rows]
    return table


def fraction_table(
    runs: Sequence[Run], rows: Sequence[str], masked: bool = False, metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Metrics of each row against the share of training users.

    Returns:
        A line for each row, in the order given, and share, ascending: ``row``, ``fraction``, ``seeds``, and mean and
        standard deviation of each metric.
    """
    table = spread(scores(runs, masked, metrics), ["row", "fraction"], metrics).reset_index()
    return table.sort_values(
        ["row", "fraction"], key=lambda values: values.map(list(rows).index) if values.name == "row" else values
    ).reset_index(drop=True)
