"""Checks of the runs on a page: metrics that two computations disagree on, and entries that do not differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from recbole_samrec.compare.tables import rank_column
from recbole_samrec.evaluator.user_metrics import ONE_BY_ONE, score_users

if TYPE_CHECKING:
    from recbole_samrec.experiments.results import Run


def check_ranks(run: Run) -> list[str]:
    """List test metrics of RecBole's evaluator that differ from those of the ranks, one line each.

    They can differ where items have equal scores, whose order is undefined. The evaluator averages over predictions:
    over events that are predicted one by one, not over users.
    """
    predictions = np.arange(len(run.ranks)) if run.prediction == ONE_BY_ONE else run.users
    config = run.result.get("config") or {}
    ranks = run.ranks[rank_column(bool(config.get("mask_history")))].to_numpy()
    rounding = 0.5 * 10.0 ** -int(config.get("metric_decimal_place") or 4)
    lines = []
    for name, written in (run.result.get("test") or {}).items():
        if name.partition("@")[0] in ("hr", "ndcg", "mrr"):
            counted = score_users(ranks, name, predictions, run.prediction).mean()
            if abs(counted - written) > rounding + 1e-6:  # the evaluator may sum in single precision
                lines.append(
                    f"{run.entry}, seed {run.seed}: {name.upper()} is {counted:.4f} by its ranks and {written:.4f} by "
                    "RecBole's evaluator"
                )
    return lines


def list_identical(runs: Sequence[Run]) -> list[str]:
    """List the entries whose runs have equal ranks with every seed, one line for each group of them.

    Such as SAMRec and SASRec, if validation chose no perturbation. Seeds are not paired in an interval, so that it may
    be wide all the same.

    Args:
        runs: Runs of one data set with the same share of training users, with ranks.
    """
    of_entry: dict[str, dict[int, bytes]] = {}
    for run in runs:
        of_entry.setdefault(run.entry, {})[run.seed] = run.ranks[rank_column(False)].to_numpy(np.int64).tobytes()
    alike: dict[tuple[tuple[int, bytes], ...], list[str]] = {}
    for entry, ranks in of_entry.items():
        alike.setdefault(tuple(sorted(ranks.items())), []).append(entry)
    return [
        f"{', '.join(entries)}: their ranks are equal with every seed, so they do not differ, whatever the interval"
        for entries in alike.values()
        if len(entries) > 1
    ]
