import math

import numpy as np
import pytest
from scipy import stats

from recbole_samrec.evaluator.statistics import (
    compute_user_metric,
    holm,
    estimate_over_users,
    estimate_over_users_and_seeds,
)


def test_metrics_of_ranks():
    ranks = np.array([1, 3, 10, 11])
    assert compute_user_metric(ranks, "hr@10").tolist() == [1, 1, 1, 0]
    assert compute_user_metric(ranks, "ndcg@10") == pytest.approx([1, 1 / math.log2(4), 1 / math.log2(11), 0])
    assert compute_user_metric(ranks, "mrr@10") == pytest.approx([1, 1 / 3, 1 / 10, 0])
    assert compute_user_metric(ranks, "mrr") == pytest.approx([1, 1 / 3, 1 / 10, 1 / 11])


@pytest.mark.parametrize("name", ["hr", "ndcg", "recall@10"])
def test_other_metrics_are_refused(name):
    with pytest.raises(ValueError, match=name):
        compute_user_metric(np.array([1]), name)


def test_holms_correction():
    # Worked by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04, which may not be below the 0.06 before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([0.2]).tolist() == [0.2]
    assert holm([]).tolist() == []


def test_the_interval_over_users_is_that_of_the_t_test():
    values = np.random.default_rng(4).normal([0.2, -1], [1, 3], (30, 2))
    low, high = estimate_over_users(values).interval()
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) == (pytest.approx(theirs.low), pytest.approx(theirs.high))


def test_interval_over_users_and_seeds__equals_one_by_hand():
    mine = np.array([[1.0, 3], [2, 6]])[:, :, None]  # two users by two seeds
    other = np.array([[0.0, 0], [1, 1]])[:, :, None]
    # Users: 2 and 3, of variance 1/2, over 2 users is 1/4. My seeds: means 1.5 and 4.5 of variance 9/2; what is left
    # of each number is 1/2 or -1/2, so the interaction's mean square is 1; (9/2 - 1/2) / 2 is 2. The other's have none.
    freedom = (1 / 4 + 2) ** 2 / ((1 / 4) ** 2 / 1 + (9 / 2 / 2) ** 2 / 1)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(1 / 4 + 2)
    low, high = estimate_over_users_and_seeds(mine, other).interval()
    assert (low[0], high[0]) == (pytest.approx(2.5 - half), pytest.approx(2.5 + half))


def crossed(generator, seeds, effect, users=2000, interaction=0.5):
    """Metrics of a row whose true mean is 0: users, seeds and their interaction, each normal."""
    of_users, of_seeds = generator.normal(size=(users, 1)), generator.normal(0, effect, (1, seeds))
    return (of_users + of_seeds + generator.normal(0, interaction, (users, seeds)))[:, :, None]


def test_seeds_without_an_effect_leave_the_interval_over_users():
    generator = np.random.default_rng(6)
    mine, other = crossed(generator, 5, 0), crossed(generator, 5, 0)
    users = np.subtract(*estimate_over_users((mine - other).mean(axis=1)).interval())
    both = np.subtract(*estimate_over_users_and_seeds(mine, other).interval())
    assert both == pytest.approx(users, rel=0.05)
    same = np.repeat(mine[:, :1], 3, axis=1)  # a model without chance, such as Pop
    ends = estimate_over_users_and_seeds(same, np.zeros((2000, 2, 1))).interval()
    assert np.array(ends) == pytest.approx(np.array(estimate_over_users(same[:, 0]).interval()))


def test_an_effect_of_seeds_widens_the_interval_to_what_it_is():
    generator = np.random.default_rng(7)
    mine, other = crossed(generator, 40, 0.5), crossed(generator, 40, 0.5)
    (low,), (high,) = estimate_over_users_and_seeds(mine, other).interval()
    assert (high - low) / 2 == pytest.approx(1.96 * math.sqrt((2 + 2 * 0.5**2 / 40) / 2000 + 2 * 0.5**2 / 40), rel=0.2)
    (narrow,), (wide,) = estimate_over_users((mine - other).mean(axis=1)).interval()
    assert wide - narrow < 0.5 * (high - low)


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_over_users_and_seeds_hold_the_truth(seeds):
    """19 in 20 times, where intervals over users alone do not."""
    generator = np.random.default_rng(8)
    held = []
    for _ in range(400):
        mine, other = (crossed(generator, seeds, 0.1, users=200) for _ in range(2))
        ends = estimate_over_users_and_seeds(mine, other).interval(), estimate_over_users((mine - other).mean(axis=1)).interval()
        held.append([low[0] < 0 < high[0] for low, high in ends])
    with_seeds, users = np.mean(held, axis=0)
    assert 0.92 < with_seeds <= 0.985
    assert users < with_seeds - 0.05


def test_one_seed_says_nothing_of_others():
    values = np.random.default_rng(9).normal(size=(20, 3, 1))
    for mine, other in ((values, values[:, :1]), (values[:, :1], values)):
        assert np.isnan(estimate_over_users_and_seeds(mine, other).interval()).all()
    assert not np.isnan(estimate_over_users_and_seeds(values, values).interval()).any()

