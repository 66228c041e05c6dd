"""Metrics of recommended lists as a whole: coverage, evenness and popularity of their items.

Lists have one row per prediction; 0, the padding, marks a place without a candidate. Such a place is not counted, and
the mean over a list is the mean over its items. Lists without items are skipped.
"""

from __future__ import annotations

import math

import numpy as np
import torch

LIST_METRICS = ("itemcoverage", "giniindex", "shannonentropy", "averagepopularity", "tailpercentage")
"""Names of RecBole's metrics that this module computes."""


def drop_excluded(items: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Set items to 0 that are not candidates, because their score is minus infinity.

    Args:
        items: Items with the highest scores, shape ``[B, K]``.
        scores: Scores of all items, shape ``[B, items]``.
    """
    return items.masked_fill(scores.gather(1, items) == -torch.inf, 0)


def compute_coverage(lists: np.ndarray, candidates: np.ndarray) -> float:
    """Compute the share of the candidates that occur on at least one list.

    Args:
        lists: Recommended items, shape ``[B, K]``.
        candidates: Whether an item may be recommended, by its id, shape ``[items]``; the padding may not.
    """
    return float(np.count_nonzero(_count_places(lists, candidates)) / candidates.sum())


def compute_gini(lists: np.ndarray, candidates: np.ndarray) -> float:
    """Compute the Gini index of how often each candidate is recommended; 0 if all are recommended equally often.

    Args:
        lists: Recommended items, shape ``[B, K]``.
        candidates: Whether an item may be recommended, by its id, shape ``[items]``; the padding may not.
    """
    counts = np.sort(_count_places(lists, candidates))
    n_items = len(counts)
    weights = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float((weights * counts).sum() / max(1, n_items * counts.sum()))


def compute_entropy(lists: np.ndarray) -> float:
    """Compute Shannon's entropy in nats of the items on the lists: the sum of -p log p.

    Args:
        lists: Recommended items, shape ``[B, K]``.
    """
    counts = np.bincount(lists.ravel(), minlength=1)[1:]
    p = counts[counts > 0] / max(1, counts.sum())
    return float(-(p * np.log(p)).sum())


def average_over_lists(lists: np.ndarray, values: np.ndarray) -> float:
    """Average a value of items over each list, and then over the lists.

    Args:
        lists: Recommended items, shape ``[B, K]``.
        values: Value of each item by its id, shape ``[items]`` with the padding.
    """
    is_item = lists > 0
    lengths = is_item.sum(axis=1)
    sums = np.where(is_item, values[lists], 0).sum(axis=1)
    return float((sums[lengths > 0] / lengths[lengths > 0]).mean()) if lengths.any() else 0.0


def find_tail(counts: np.ndarray, tail: float, candidates: np.ndarray) -> np.ndarray:
    """Find the items of the long tail.

    Args:
        counts: Training events of each item by its id, shape ``[items]``; the entry of the padding is ignored.
        tail: If above 1, the tail contains items with at most this many training events; otherwise this share of all
            candidates, the least popular ones (among equally popular ones those with lower ids), but at least one.
            Candidates without training events always belong to it.
        candidates: Whether an item may be recommended, by its id, shape ``[items]``; the padding may not.

    Returns:
        Booleans, shape ``[items]``.
    """
    if tail > 1:
        in_tail = counts <= tail
    else:
        in_tail = counts == 0
        ids = np.flatnonzero(candidates)
        least = ids[np.argsort(counts[ids], kind="stable")]
        in_tail[least[: max(1, math.floor(round(tail * len(least), 6)))]] = True
    return in_tail & candidates


def _count_places(lists: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Count the places of each candidate on the lists, shape ``[candidates]``."""
    return np.bincount(lists.ravel(), minlength=len(candidates))[candidates]
