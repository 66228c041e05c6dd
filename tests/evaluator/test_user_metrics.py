"""Metrics of users with several test events, worked out by hand."""

from math import log2

import numpy as np
import pytest

from recbole_samrec.evaluator.user_metrics import AT_ONCE, ONE_BY_ONE, find_starts, score_users

RANKS, USERS = np.array([2, 5, 1, 11, 3]), np.array([0, 0, 1, 1, 2])
BY_HAND = {
    ("hr@3", ONE_BY_ONE): [1 / 2, 1 / 2, 1],
    ("hr@3", AT_ONCE): [1, 1, 1],
    ("mrr", ONE_BY_ONE): [(1 / 2 + 1 / 5) / 2, (1 + 1 / 11) / 2, 1 / 3],
    ("mrr", AT_ONCE): [1 / 2, 1, 1 / 3],
    ("mrr@1", AT_ONCE): [0, 1, 0],
    ("ndcg@10", ONE_BY_ONE): [(1 / log2(3) + 1 / log2(6)) / 2, 1 / 2, 1 / 2],
    ("ndcg@10", AT_ONCE): [(1 / log2(3) + 1 / log2(6)) / (1 + 1 / log2(3)), 1 / (1 + 1 / log2(3)), 1 / 2],
    ("ndcg@1", AT_ONCE): [0, 1, 0],
}


@pytest.mark.parametrize(("metric", "prediction"), BY_HAND)
def test_score_users__by_hand(metric, prediction):
    expected = BY_HAND[metric, prediction]
    assert score_users(RANKS, metric, USERS, prediction) == pytest.approx(expected)
    seeds = score_users(np.stack([RANKS, RANKS + 100], axis=1), metric, USERS, prediction)
    assert seeds.shape == (3, 2) and seeds[:, 0] == pytest.approx(expected)


@pytest.mark.parametrize("prediction", [ONE_BY_ONE, AT_ONCE])
@pytest.mark.parametrize("metric", ["hr@10", "ndcg@5", "mrr"])
def test_score_users__of_one_event_each(metric, prediction):
    alone = score_users(RANKS, metric, np.arange(5), prediction)
    assert alone.tolist() == [score_users(RANKS[n : n + 1], metric, np.array([7]))[0] for n in range(5)]


def test_find_starts__of_numbers_with_gaps():
    assert find_starts(np.array([0, 0, 3, 7, 7])).tolist() == [0, 2, 3]
