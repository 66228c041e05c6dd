import itertools
import math

import numpy as np
import pytest
from scipy import stats

from recbole_samrec.compare.statistics import bootstrap_intervals, holm, per_user, randomisation_test


def test_metrics_of_ranks():
    ranks = np.array([1, 3, 10, 11])
    assert per_user(ranks, "hr@10").tolist() == [1, 1, 1, 0]
    assert per_user(ranks, "ndcg@10") == pytest.approx([1, 1 / math.log2(4), 1 / math.log2(11), 0])
    assert per_user(ranks, "mrr@10") == pytest.approx([1, 1 / 3, 1 / 10, 0])
    assert per_user(ranks, "mrr") == pytest.approx([1, 1 / 3, 1 / 10, 1 / 11])


@pytest.mark.parametrize("name", ["hr", "ndcg", "recall@10"])
def test_other_metrics_are_refused(name):
    with pytest.raises(ValueError, match=name):
        per_user(np.array([1]), name)


def test_few_differences_are_counted_to_the_last_assignment():
    values = np.array([0.5, -0.2, 0.3, 0.9, 0.0, -0.1])
    sums = [abs(np.dot(signs, values)) for signs in itertools.product((1, -1), repeat=len(values))]
    share = np.mean([one >= abs(values.sum()) - 1e-12 for one in sums])
    assert randomisation_test(values[:, None])[0] == pytest.approx(share)


def test_all_users_better_gives_the_smallest_p_value():
    assert randomisation_test(np.ones((10, 1)))[0] == 2 / 2**10
    assert randomisation_test(np.ones((200, 1)), draws=999)[0] == 1 / 1000


def test_equal_models_do_not_differ():
    balanced = np.tile([0.1, -0.1], 50)
    assert randomisation_test(np.stack([np.zeros(100), balanced], axis=1), draws=100).tolist() == [1, 1]


def test_scipy_finds_the_same_p_values():
    generator = np.random.default_rng(0)
    small, large = generator.normal(0.4, 1, 12), generator.normal(0.15, 1, 300)

    def scipys(values):
        options = {"permutation_type": "samples", "vectorized": True, "n_resamples": 100_000, "batch": 10_000}
        return stats.permutation_test((values,), lambda x, axis: x.mean(axis=axis), rng=1, **options).pvalue

    assert randomisation_test(small[:, None])[0] == pytest.approx(scipys(small))
    assert randomisation_test(large[:, None])[0] == pytest.approx(scipys(large), abs=0.006)


def test_ties_of_whole_numbers_count_as_reached():
    generator = np.random.default_rng(1)
    values = generator.choice([-1, 0, 1], 60) / 5  # as HR averaged over five seeds
    changed, total = np.count_nonzero(values), round(abs(values.sum()) * 5)
    tail = stats.binom.sf((changed + total) / 2 - 1, changed, 0.5)
    assert randomisation_test(values[:, None])[0] == pytest.approx(min(1, 2 * tail), abs=0.01)


def test_comparisons_do_not_disturb_each_other():
    generator = np.random.default_rng(2)
    values = generator.normal(0.1, 1, (80, 3))
    together = randomisation_test(values, draws=2000)
    assert together.tolist() == [randomisation_test(values[:, [i]], draws=2000)[0] for i in range(3)]


def test_p_values_are_uniform_where_there_is_no_difference():
    p = randomisation_test(np.random.default_rng(3).normal(size=(50, 1000)), draws=1000)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.025)


def test_holms_correction():
    # Worked by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04, which may not be below the 0.06 before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([0.2]).tolist() == [0.2]
    assert holm([]).tolist() == []


def test_bootstrap_intervals_are_those_of_the_normal_distribution_where_many_users_are():
    values = np.random.default_rng(4).normal([0.2, -1], [1, 3], (2000, 2))
    low, high = bootstrap_intervals(values, draws=4000)
    error = values.std(axis=0) / math.sqrt(2000)
    assert low == pytest.approx(values.mean(axis=0) - 1.96 * error, abs=0.1 * error.max())
    assert high == pytest.approx(values.mean(axis=0) + 1.96 * error, abs=0.1 * error.max())


def test_the_same_seed_gives_the_same_figures():
    values = np.random.default_rng(5).normal(size=(40, 2))
    assert randomisation_test(values, 500, seed=7).tolist() == randomisation_test(values, 500, seed=7).tolist()
    assert randomisation_test(values, 500, seed=7).tolist() != randomisation_test(values, 500, seed=8).tolist()
    assert np.array_equal(bootstrap_intervals(values, draws=200), bootstrap_intervals(values, draws=200))
