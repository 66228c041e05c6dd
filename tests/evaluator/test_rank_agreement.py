"""Kendall's tau equals scipy's, and its bootstrap draws users and seeds."""

import numpy as np
import pytest
from scipy import stats

from recbole_samrec.evaluator.rank_agreement import bootstrap_means, kendall_tau


def test_kendall_tau__equals_scipys():
    draw = np.random.default_rng(0)
    for _ in range(50):
        one, other = draw.integers(0, 5, (2, 6)).astype(float)
        expected = stats.kendalltau(one, other).statistic
        assert kendall_tau(one, other) == pytest.approx(expected, nan_ok=True)
    assert kendall_tau(np.array([1.0, 2.0, 3.0]), np.array([[3.0, 2.0, 1.0], [0.0, 5.0, 9.0]])).tolist() == [-1, 1]


def test_bootstrap_means__draws_users_and_seeds():
    draw = np.random.default_rng(1)
    values = draw.normal(size=(200, 1)) + np.array([0.0, 3.0])  # the users and two seeds that differ by 3
    (means,) = bootstrap_means([values], 4_000).T
    assert means.mean() == pytest.approx(values.mean(), abs=0.05)
    of_seeds = 3**2 / 4 / 2  # two seeds, each drawn with probability 1/2
    assert means.var() == pytest.approx(of_seeds + values[:, 0].var() / 200, rel=0.05)


def test_bootstrap_means__shares_draws_by_seed():
    draw = np.random.default_rng(2)
    one, other = draw.normal(size=(2, 50, 3))
    assert np.array_equal(bootstrap_means([one, other], 20, 7), bootstrap_means([one, other], 20, 7))
    both = bootstrap_means([one, one], 20)
    assert not np.array_equal(both[:, 0], both[:, 1])  # seeds are drawn for each entry apart
    single = bootstrap_means([one[:, :1], one[:, :1]], 20)
    assert np.array_equal(single[:, 0], single[:, 1])  # users are drawn once for all
