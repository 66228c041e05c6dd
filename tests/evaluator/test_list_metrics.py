"""Metrics of recommended lists, worked out by hand."""

import math

import numpy as np
import pytest
import torch

from recbole_samrec.evaluator import list_metrics

LISTS = np.array([[1, 2, 3], [1, 2, 0], [1, 0, 0], [0, 0, 0]])
"""Lists of items 1 to 5: item 1 occurs three times, 2 twice, 3 once; the last list is empty."""


def among(number):
    """All items 1 to a number are candidates."""
    return np.arange(number + 1) > 0


def test_drop_excluded__items_without_a_score():
    scores = torch.tensor([[-math.inf, 1.0, -math.inf, 3.0], [-math.inf, 1.0, 2.0, 3.0]])
    items = torch.topk(scores, 3).indices
    assert list_metrics.drop_excluded(items, scores).tolist() == [[3, 1, 0], [3, 2, 1]]


def test_compute_coverage__counts_no_padding():
    assert list_metrics.compute_coverage(LISTS, among(5)) == 3 / 5
    assert list_metrics.compute_coverage(np.array([[1, 2], [2, 1]]), among(2)) == 1
    assert list_metrics.compute_coverage(np.zeros((2, 2), dtype=int), among(2)) == 0


def test_compute_gini__from_all_pairs_of_items():
    counts = [3, 2, 1, 0, 0]
    pairs = sum(abs(one - other) for one in counts for other in counts)
    assert list_metrics.compute_gini(LISTS, among(5)) == pytest.approx(pairs / (2 * 5 * sum(counts)))
    assert list_metrics.compute_gini(np.array([[1, 2], [2, 1]]), among(2)) == 0
    assert list_metrics.compute_gini(np.array([[1], [1]]), among(4)) == pytest.approx(3 / 4)
    assert list_metrics.compute_gini(np.zeros((2, 2), dtype=int), among(2)) == 0


def test_compute_entropy__is_a_sum():
    expected = -sum(p * math.log(p) for p in (3 / 6, 2 / 6, 1 / 6))
    assert list_metrics.compute_entropy(LISTS) == pytest.approx(expected)
    assert list_metrics.compute_entropy(np.array([[1, 2, 3, 4]] * 7)) == pytest.approx(math.log(4))
    assert list_metrics.compute_entropy(np.array([[3], [3]])) == 0


def test_average_over_lists__skips_places_without_an_item():
    values = np.array([100, 6, 4, 2, 0, 0])
    assert list_metrics.average_over_lists(LISTS, values) == pytest.approx((4 + 5 + 6) / 3)
    assert list_metrics.average_over_lists(np.zeros((2, 2), dtype=int), values) == 0


def test_find_tail__by_share_and_by_count():
    counts, every = np.array([9, 5, 1, 3, 0, 0, 7, 8, 9, 10, 11]), among(10)
    # one of ten, and all without events
    assert np.flatnonzero(list_metrics.find_tail(counts, 0.1, every)).tolist() == [4, 5]
    assert np.flatnonzero(list_metrics.find_tail(counts, 0.4, every)).tolist() == [2, 3, 4, 5]
    assert np.flatnonzero(list_metrics.find_tail(counts, 0.01, every)).tolist() == [4, 5]
    assert list_metrics.find_tail(counts, 1, every).sum() == 10
    assert np.flatnonzero(list_metrics.find_tail(counts, 3, every)).tolist() == [2, 3, 4, 5]
    assert list_metrics.find_tail(np.r_[0, np.arange(1, 101)], 0.29, among(100)).sum() == 29  # 100 * 0.29 is 28.999...


def test_metrics__count_candidates_only():
    candidates = np.array([False, True, True, False, True, False])
    lists, counts = np.array([[1, 2], [1, 4], [1, 0]]), np.array([0, 5, 2, 0, 1, 0])
    assert list_metrics.compute_coverage(lists, candidates) == 1
    assert list_metrics.compute_gini(lists, candidates) == list_metrics.compute_gini(
        np.array([[1, 2], [1, 3], [1, 0]]), among(3)
    )
    assert np.flatnonzero(list_metrics.find_tail(counts, 0.4, candidates)).tolist() == [4]
    assert np.flatnonzero(list_metrics.find_tail(counts, 2, candidates)).tolist() == [2, 4]
