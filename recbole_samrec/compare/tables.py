"""Frames that compare the entries of one data set: accuracy over seeds, significance, cost, shares of training users.

A column of a frame is a column of the CSV file: ``<metric>_mean``, ``<metric>_std`` and so on. A difference is always
entry minus reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from recbole_samrec.evaluator.statistics import Estimate, estimate_over_users, estimate_over_users_and_seeds
from recbole_samrec.evaluator.user_metrics import score_users

if TYPE_CHECKING:
    from recbole_samrec.experiments.results import Run

METRICS = ("hr@5", "hr@10", "hr@20", "ndcg@5", "ndcg@10", "ndcg@20", "mrr")
DIGITS = 4
"""Decimals that are shown; figures that look equal share their place."""
BUDGET = ("gradient_passes", "cpu_seconds")
"""Costs that later versions of this package recorded."""
COSTS = ("parameters", "seconds_per_epoch", "seconds_to_best", *BUDGET, "peak_memory_mb")
DIFFERENCE = ("difference", "low", "high", "low_with_seeds", "high_with_seeds", "mde", "p", "p_holm")
"""Figures of a difference, for each metric; see :func:`compute_differences`."""
OF_GPU = "peak_device_memory_mb"
"""Cost of runs on a GPU; tables of other runs do not have it."""


def rank_column(masked: bool) -> str:
    """Return the name of the column of ranks, with the history unmasked or masked."""
    return "masked_rank" if masked else "rank"


def score_runs(runs: Sequence[Run], masked: bool = False, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Compute the metrics of each run from its ranks, as means over users.

    Args:
        runs: Runs with ranks.
        masked: Whether the history is masked in the rankings.
        metrics: See :func:`~recbole_samrec.evaluator.statistics.compute_user_metric`.

    Returns:
        One line per run: ``entry``, ``seed``, ``fraction`` and the metrics.
    """
    lines = []
    for run in runs:
        ranks = run.ranks[rank_column(masked)].to_numpy()
        means = {metric: score_users(ranks, metric, run.users, run.prediction).mean() for metric in metrics}
        lines.append({"entry": run.entry, "seed": run.seed, "fraction": run.fraction, **means})
    return pd.DataFrame(lines, columns=["entry", "seed", "fraction", *metrics])


def average_seeds(lines: pd.DataFrame, by: Sequence[str], metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Compute mean and sample standard deviation over seeds, in the order in which the groups come.

    Args:
        lines: A line for each seed, with ``seed`` and the metrics.
        by: Columns that identify a group.
        metrics: Columns to average.

    Returns:
        One line per group: ``seeds``, and ``<metric>_mean`` and ``<metric>_std`` (NaN of a single seed).
    """
    grouped = lines.groupby(list(by), sort=False)
    columns = {"seeds": grouped["seed"].nunique()}
    for metric in metrics:
        columns[f"{metric}_mean"] = grouped[metric].mean()
        columns[f"{metric}_std"] = grouped[metric].std(ddof=1)
    return pd.DataFrame(columns)


def rank_means(means: Sequence[float]) -> list[int]:
    """Return the place of each mean: the best (1), the second (2) or neither (0), as displayed.

    Means that look equal share a place. NaN has none, and neither has a mean without another to compare with.
    """
    shown = [f"{mean:.{DIGITS}f}" if np.isfinite(mean) else "" for mean in means]
    distinct = sorted({one for one in shown if one}, key=float, reverse=True)
    if sum(map(bool, shown)) < 2:
        return [0] * len(shown)
    return [1 + distinct.index(one) if one in distinct[:2] else 0 for one in shown]


def compute_gains(table: pd.DataFrame, reference: str, metrics: Sequence[str] = METRICS) -> dict[str, float]:
    """Compute how much better the reference is than the best baseline for each metric, in percent of the baseline.

    Entries with SAM are not baselines.

    Args:
        table: With the entries as index, ``<metric>_mean`` and perhaps ``with_sam``.
        reference: One of the entries.
        metrics: Those to compare.

    Returns:
        The percentages by metric, NaN where there is nothing to compare with.
    """
    with_sam = table.get("with_sam", pd.Series(False, table.index)).fillna(False).astype(bool)
    others = table[(table.index != reference) & ~with_sam]
    percent = {}
    for metric in metrics:
        best = others[f"{metric}_mean"].max()
        mine = table[f"{metric}_mean"].get(reference, np.nan)
        percent[metric] = float(100 * (mine / best - 1)) if best > 0 else np.nan
    return percent


def compare_with_reference(
    runs: Sequence[Run],
    reference: str,
    masked: bool = False,
    metrics: Sequence[str] = METRICS,
) -> pd.DataFrame:
    """Compute how each other entry differs from the reference; see :func:`compute_differences` for the arguments.

    Returns:
        One line for each other entry: ``reference``, and the columns of :func:`compute_differences`, which are of the
        entry minus the reference.
    """
    others = dict.fromkeys(run.entry for run in runs if run.entry != reference)
    table = compute_differences(runs, [(entry, reference) for entry in others], masked, metrics)
    return table.reset_index("reference")


def compare_variants(
    runs: Sequence[Run],
    reference: str,
    variant_of: Mapping[str, str],
    masked: bool = False,
    metrics: Sequence[str] = METRICS,
) -> pd.DataFrame:
    """Compute how each variant differs from its base entry, except where :func:`compare_with_reference` does.

    Args:
        runs: Runs of one data set with the same share of training users, with ranks.
        reference: The entry that all others are compared with.
        variant_of: The base entry of each variant.
        masked: Whether the history is masked in the rankings.
        metrics: See :func:`~recbole_samrec.evaluator.statistics.compute_user_metric`.

    Returns:
        One line for each variant: ``variant_of``, and the columns of :func:`compute_differences`, which are of the
        variant minus its base entry, named ``variant_...``.
    """
    entries = dict.fromkeys(run.entry for run in runs)
    pairs = [(entry, variant_of[entry]) for entry in entries if entry in variant_of]
    table = compute_differences(runs, [pair for pair in pairs if reference not in pair], masked, metrics)
    return table.add_prefix("variant_").rename_axis(["entry", "variant_of"]).reset_index("variant_of")


def compute_differences(
    runs: Sequence[Run],
    pairs: Sequence[tuple[str, str]],
    masked: bool = False,
    metrics: Sequence[str] = METRICS,
) -> pd.DataFrame:
    """Compute how entries differ from references, over users whose metrics are averaged over seeds.

    Args:
        runs: Runs of one data set with the same share of training users, with ranks.
        pairs: Entries and their references; pairs of which one has no runs are skipped.
        masked: Whether the history is masked in the rankings.
        metrics: See :func:`~recbole_samrec.evaluator.statistics.compute_user_metric`.

    Returns:
        One line for each pair with the index ``entry`` and ``reference``, with these columns for each metric:
        ``_difference`` (entry minus reference); ``_low`` and ``_high`` (95 % interval over users, of the models as
        trained); ``_low_with_seeds`` and ``_high_with_seeds`` (over users and seeds), ``_mde`` (minimal detectable
        effect) and ``_p`` (two-sided) of the same t test; ``_p_holm``, which only primary comparisons have. All but the
        difference are NaN where an entry has one seed and is not deterministic.
    """
    scores = score_entries(runs, masked, metrics)
    pairs = [pair for pair in pairs if all(entry in scores for entry in pair)]
    index = pd.MultiIndex.from_tuples(pairs, names=["entry", "reference"])
    if not pairs:
        return pd.DataFrame(index=index)
    lines = [_list_figures(scores[entry], scores[reference], metrics) for entry, reference in pairs]
    return pd.DataFrame(lines, index=index)


def _list_figures(mine: Scores, other: Scores, metrics: Sequence[str]) -> dict[str, float]:
    """List the figures of one difference; see :func:`compute_differences`."""
    estimate = mine.subtract(other)
    of_users = mine.values.mean(axis=1) - other.values.mean(axis=1)
    ends = np.where(np.isnan(estimate.error), np.nan, estimate_over_users(of_users).interval())
    figures = ([column.mean() for column in of_users.T], *ends, *estimate.interval(), estimate.minimal_detectable())
    named = dict(zip(DIFFERENCE, (*figures, estimate.p(), np.full(len(metrics), np.nan)), strict=True))
    return {f"{metric}_{name}": float(named[name][i]) for i, metric in enumerate(metrics) for name in DIFFERENCE}


class Scores(NamedTuple):
    """The metrics of an entry.

    Attributes:
        values: Each user's metrics by each seed, shape ``[U, seeds, metrics]``.
        deterministic: Whether they are the same with every seed.
    """

    values: np.ndarray
    deterministic: bool

    def subtract(self, other: Scores) -> Estimate:
        """Estimate the differences from another entry, over users and seeds."""
        return estimate_over_users_and_seeds(self.values, other.values, (self.deterministic, other.deterministic))


def score_entries(runs: Sequence[Run], masked: bool, metrics: Sequence[str]) -> dict[str, Scores]:
    """Compute the metrics of each entry from the ranks of its runs, which are of one data set."""
    of_entry: dict[str, list[Run]] = {}
    for run in runs:
        of_entry.setdefault(run.entry, []).append(run)
    return {
        entry: Scores(_score_seeds(own, masked, metrics), all(run.is_deterministic for run in own))
        for entry, own in of_entry.items()
    }


def _score_seeds(runs: Sequence[Run], masked: bool, metrics: Sequence[str]) -> np.ndarray:
    ranks = np.stack([run.ranks[rank_column(masked)].to_numpy() for run in runs], axis=1)
    users, prediction = runs[0].users, runs[0].prediction
    return np.stack([score_users(ranks, metric, users, prediction) for metric in metrics], axis=2)


def average_costs(runs: Sequence[Run]) -> pd.DataFrame:
    """Compute parameters, seconds, passes and memory of each entry: means over seeds, and the maximum of memory.

    Returns:
        One line per entry with the columns of ``COSTS``, and ``OF_GPU`` if a run used a GPU; NaN where a model has
        none, such as epochs of counts, and where a run has no record of a column of ``BUDGET``.
    """
    lines, names = [], [*COSTS, *[OF_GPU] * any(run.result.get(OF_GPU) for run in runs)]
    for run in runs:
        result, best = run.result, run.result.get("best_epoch")
        seconds = result.get("seconds_per_epoch")
        before = (result.get("pretraining") or {}).get("seconds", 0.0)
        again = result.get("retraining")
        to_best = None if seconds is None or best is None else before + seconds * (best + 1)
        if to_best is not None and again:  # the first training has to end before the second begins
            to_best = before + seconds * result["epochs_run"] + (again["seconds_per_epoch"] or 0) * again["epochs"]
        figures = {"entry": run.entry, **{name: result.get(name) for name in names}}
        lines.append(figures | {"seconds_to_best": to_best})
    frame = pd.DataFrame(lines).astype(dict.fromkeys(names, "float64"))
    ways: dict[str, Any] = dict.fromkeys(names, "mean") | {name: "max" for name in names if "memory" in name}
    ways |= dict.fromkeys(BUDGET, lambda values: values.mean(skipna=False))
    return frame.groupby("entry", sort=False).agg(ways)


def build_main_table(
    runs: Sequence[Run],
    entries: Sequence[str],
    reasons: Mapping[str, str] | None = None,
    masked: bool = False,
    variant_of: Mapping[str, str] | None = None,
    primary: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Build the table of all numbers of the entries of one data set.

    Args:
        runs: Runs of one data set with the same share of training users, with ranks.
        entries: Their names in the order to show; the first is the reference.
        reasons: Why entries have no runs, or fewer than requested.
        masked: Whether the history is masked in the rankings.
        variant_of: The base entry of each variant.
        primary: Lines of :func:`~recbole_samrec.compare.primary.build_primary_table` on the data set, with the
            corrected p-values.

    Returns:
        One line per entry, also of those without runs: ``seeds``; ``with_sam``; mean and standard deviation of each
        metric; the columns of :func:`compare_with_reference`; those of :func:`average_costs`; those of
        :func:`compare_variants`, if there are any; ``<metric>_gain_percent`` of the reference; ``note``.
    """
    table = average_seeds(score_runs(runs, masked), ["entry"])
    for part in (
        compare_with_reference(runs, entries[0], masked),
        average_costs(runs),
        compare_variants(runs, entries[0], variant_of or {}, masked),
    ):
        table = table.join(part) if len(part) else table
    table = table.reindex(pd.Index(entries, name="entry"))
    if primary is not None:
        fill_corrected(table, primary)
    with_sam = {run.entry for run in runs if (run.result.get("config") or {}).get("sam_rho")}
    table["with_sam"] = table.index.isin(with_sam)
    table["seeds"] = table["seeds"].fillna(0).astype(int)
    for metric, percent in compute_gains(table, entries[0]).items():
        table[f"{metric}_gain_percent"] = np.where(table.index == entries[0], percent, np.nan)
    table["note"] = [(reasons or {}).get(entry, "") for entry in entries]
    return table


def fill_corrected(table: pd.DataFrame, primary: pd.DataFrame) -> None:
    """Fill in the corrected p-values of the primary comparisons, in whichever direction they were declared.

    Args:
        table: Made of :func:`compare_with_reference` and :func:`compare_variants`, with the entries as index; changed.
        primary: Made by :func:`~recbole_samrec.compare.primary.build_primary_table`, of the same data set.
    """
    for line in primary[primary["test"] == DIFFERENCE[0]].itertuples():
        for entry, other in ((line.entry, line.reference), (line.reference, line.entry)):
            for of, prefix in (("reference", ""), ("variant_of", "variant_")):
                if entry in table.index and of in table and table.loc[entry, of] == other:
                    table.loc[entry, f"{prefix}{line.metric}_p_holm"] = line.p_holm


def build_fraction_table(
    runs: Sequence[Run], entries: Sequence[str], masked: bool = False, metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Build the table of the metrics of each entry against the share of training users.

    Returns:
        One line for each entry, in the order given, and share, ascending: ``entry``, ``fraction``, ``seeds``, and mean
        and standard deviation of each metric.
    """
    table = average_seeds(score_runs(runs, masked, metrics), ["entry", "fraction"], metrics).reset_index()
    return table.sort_values(
        ["entry", "fraction"], key=lambda values: values.map(list(entries).index) if values.name == "entry" else values
    ).reset_index(drop=True)
