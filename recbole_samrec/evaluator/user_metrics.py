"""Metrics of users who may have several test events, from the ranks of these events.

Sequential models predict the events of a user one by one, each from the events before it; the metrics are averaged
within the user. General models predict all events at once as a set, with RecBole's metrics for sets. In both cases each
user counts once, so that intervals and tests over users are clustered by user.
"""

from __future__ import annotations

import numpy as np

from recbole_samrec.evaluator.statistics import compute_user_metric

ONE_BY_ONE, AT_ONCE = "one by one", "at once"
"""Two ways to predict the test events of a user."""


def score_users(ranks: np.ndarray, metric: str, users: np.ndarray, prediction: str = ONE_BY_ONE) -> np.ndarray:
    """Compute the metric of each user from the ranks of the user's test events.

    For events that are predicted at once, HR@K is 1 if one of them is among the first K, MRR is 1 / rank of the best,
    and NDCG@K is divided by that of the best order, which has min(events, K) of them at the top.

    Args:
        ranks: Ranks in the full ranking, from 1, shape ``[N]`` or ``[N, seeds]``.
        metric: See :func:`~recbole_samrec.evaluator.statistics.compute_user_metric`.
        users: Number of the user of each event, ascending, shape ``[N]``.
        prediction: :data:`ONE_BY_ONE` or :data:`AT_ONCE`.

    Returns:
        Shape ``[U]`` or ``[U, seeds]``.
    """
    gains = compute_user_metric(ranks, metric)
    starts = find_starts(users)
    if len(starts) == len(users):
        return gains
    counts = np.diff(np.append(starts, len(users))).reshape(-1, *[1] * (gains.ndim - 1))
    if prediction == ONE_BY_ONE:
        return np.add.reduceat(gains, starts) / counts
    if metric.startswith("ndcg"):
        best = np.cumsum(compute_user_metric(np.arange(1, counts.max() + 1), metric))
        return np.add.reduceat(gains, starts) / best[counts - 1]
    return np.maximum.reduceat(gains, starts)


def find_starts(users: np.ndarray) -> np.ndarray:
    """Find the first event of each user.

    Args:
        users: Number of the user of each event, ascending from 0 on, shape ``[N]``.

    Returns:
        Indices, shape ``[U]``.
    """
    return np.flatnonzero(np.diff(users, prepend=-1))
