"""Metrics of each user from ranks, and what differences between two models' users allow to say; plain numpy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

FLIPS = 100_000
"""Draws of a randomisation test: p-values near 0.05 are then exact to about 0.0014."""
RESAMPLES = 10_000
EXACT = 16
"""Up to so many users that differ, every one of the 2^16 assignments of signs is counted."""

_CELLS = 2**22
"""Numbers of a block of draws, which take 32 MB."""


def per_user(ranks: np.ndarray, metric: str) -> np.ndarray:
    """The metric of each user whose one test item has the given rank.

    HR@K is 1 if the rank is at most K, NDCG@K is 1 / log2(rank + 1) there, MRR is 1 / rank; MRR without a K is not cut
    off.

    Args:
        ranks: Places in the full ranking, 1 is the best, shape ``[U]``.
        metric: ``hr@K``, ``ndcg@K``, ``mrr@K`` or ``mrr``.

    Returns:
        Shape ``[U]``.

    Raises:
        ValueError: The metric is none of these.
    """
    name, _, cut = metric.partition("@")
    ranks = np.asarray(ranks, dtype=np.float64)
    if name == "hr" and cut:
        gain = np.ones_like(ranks)
    elif name == "ndcg" and cut:
        gain = 1 / np.log2(ranks + 1)
    elif name == "mrr":
        gain = 1 / ranks
    else:
        raise ValueError(f"{metric} is not a metric of ranks; take hr@K, ndcg@K, mrr@K or mrr")
    return np.where(ranks <= (int(cut) if cut else math.inf), gain, 0.0)


def randomisation_test(differences: np.ndarray, draws: int = FLIPS, seed: int = 0) -> np.ndarray:
    """Two-sided paired randomisation test of whether the mean difference is zero, for several comparisons.

    If two models were interchangeable, each user's difference could as well have the other sign. The p-value is the
    share of all assignments of signs whose sum is at least as far from zero as the observed one. It is counted where
    few users differ, and else estimated from draws as (1 + reached) / (1 + draws), which is never zero (Phipson and
    Smyth 2010). The comparisons share the draws, which leaves each p-value valid and saves most of the work.

    Args:
        differences: Of each user's metric between two models, shape ``[U, C]`` for C comparisons.
        draws: Assignments of signs that are drawn.
        seed: Of the draws.

    Returns:
        P-values, shape ``[C]``; 1 where no user differs.
    """
    differences = np.asarray(differences, dtype=np.float64)
    differing = np.count_nonzero(differences, axis=0)
    p = np.ones(differences.shape[1])
    for column in np.flatnonzero((differing > 0) & (differing <= EXACT)):
        values = differences[:, column]
        p[column] = _counted(values[values != 0])
    many = differing > EXACT
    if many.any():
        p[many] = _drawn(differences[:, many], draws, seed)
    return p


def _counted(values: np.ndarray) -> float:
    signs = 1 - 2 * ((np.arange(2 ** len(values))[:, None] >> np.arange(len(values))) & 1)
    return float(_as_far(signs @ values[:, None], values[:, None]).mean())


def _drawn(differences: np.ndarray, draws: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    users, total = len(differences), differences.sum(axis=0)
    reached = np.zeros(differences.shape[1])
    for size in _blocks(draws, users):
        width = -(-users // 8)
        bits = np.frombuffer(generator.bytes(size * width), dtype=np.uint8).reshape(size, width)
        flipped = np.unpackbits(bits, axis=1, count=users).astype(np.float64)
        reached += _as_far(total - 2 * (flipped @ differences), differences).sum(axis=0)
    return (1 + reached) / (1 + draws)


def _as_far(sums: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Whether sums are as far from zero as the observed one; rounding must not tell equal sums apart."""
    rounding = 1e-10 * np.abs(differences).sum(axis=0)
    return np.abs(sums) >= np.abs(differences.sum(axis=0)) - rounding


def holm(p: Sequence[float]) -> np.ndarray:
    """P-values corrected for the number of comparisons (Holm 1979), in the order given.

    The smallest of n is multiplied by n, the next by n - 1 and so on; none may be below one before it, or above 1.
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return corrected


def bootstrap_intervals(
    differences: np.ndarray, level: float = 0.95, draws: int = RESAMPLES, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap intervals of mean differences, for several comparisons over the same users.

    Args:
        differences: Of each user's metric between two models, shape ``[U, C]``.
        level: Share of the resampled means that lies in the interval.
        draws: Times that as many users are drawn with replacement.
        seed: Of the draws.

    Returns:
        Lower and upper ends, each of shape ``[C]``.
    """
    differences = np.asarray(differences, dtype=np.float64)
    generator = np.random.default_rng(seed)
    users, means = len(differences), []
    for size in _blocks(draws, users):
        drawn = generator.integers(users, size=(size, users)) + users * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * users).reshape(size, users).astype(np.float64)
        means.append(times @ differences / users)
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _blocks(draws: int, users: int) -> Iterator[int]:
    """Sizes of blocks of draws that together are all of them."""
    size = max(1, _CELLS // users)
    for start in range(0, draws, size):
        yield min(size, draws - start)
