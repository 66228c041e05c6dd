import math

import numpy as np
import pytest
from scipy import stats

from recbole_samrec.evaluator.statistics import (
    Estimate,
    compute_user_metric,
    estimate_over_users,
    estimate_over_users_and_seeds,
    holm,
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
    freedom = max(1, (1 / 4 + 2) ** 2 / ((1 / 4) ** 2 / 1 + (9 / 2 / 2) ** 2 / 1))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(1 / 4 + 2)
    low, high = estimate_over_users_and_seeds(mine, other).interval()
    assert (low[0], high[0]) == (pytest.approx(2.5 - half), pytest.approx(2.5 + half))


def crossed(generator, seeds, effect, users=2000, interaction=0.5):
    """Metrics with a true mean of 0: users, seeds and their interaction are normal."""
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
    """They do in 19 of 20 cases, unlike intervals over users alone."""
    generator = np.random.default_rng(8)
    held = []
    for _ in range(400):
        mine, other = (crossed(generator, seeds, 0.1, users=200) for _ in range(2))
        ends = (
            estimate_over_users_and_seeds(mine, other).interval(),
            estimate_over_users((mine - other).mean(axis=1)).interval(),
        )
        held.append([low[0] < 0 < high[0] for low, high in ends])
    with_seeds, users = np.mean(held, axis=0)
    assert 0.92 < with_seeds <= 0.985
    assert users < with_seeds - 0.05


def test_one_seed_says_nothing_of_others():
    values = np.random.default_rng(9).normal(size=(20, 3, 1))
    for mine, other in ((values, values[:, :1]), (values[:, :1], values)):
        assert np.isnan(estimate_over_users_and_seeds(mine, other).interval()).all()
    assert not np.isnan(estimate_over_users_and_seeds(values, values).interval()).any()


def test_estimate__p_is_that_of_the_interval():
    mine = np.array([[1.0, 3], [2, 6]])[:, :, None]  # the case that is worked by hand above
    other = np.array([[0.0, 0], [1, 1]])[:, :, None]
    freedom = max(1, (1 / 4 + 2) ** 2 / ((1 / 4) ** 2 + (9 / 4) ** 2))
    p = estimate_over_users_and_seeds(mine, other).p()
    assert p[0] == pytest.approx(2 * stats.t.sf(2.5 / math.sqrt(9 / 4), freedom))
    generator = np.random.default_rng(10)
    for _ in range(50):
        estimate = estimate_over_users_and_seeds(*(crossed(generator, 3, 0.1, users=50) for _ in range(2)))
        (low,), (high,) = estimate.interval()
        assert (estimate.p()[0] < 0.05) == (not low <= 0 <= high)


def test_estimate__has_no_fewer_degrees_than_seeds_less_one():
    """Entries that are alike with equal seeds: the users' differences lack the interaction that is subtracted."""
    generator = np.random.default_rng(16)
    for _ in range(100):
        mine = crossed(generator, 3, 0.02, users=100)
        other = mine + 0.1 * crossed(generator, 3, 0, users=100)
        estimate = estimate_over_users_and_seeds(mine, other)
        assert estimate.freedom >= 2 and estimate_over_users_and_seeds(mine, mine[:, :1], (False, True)).freedom >= 2
        assert estimate_over_users_and_seeds(mine, mine).minimal_detectable() < 1


def test_estimate__gives_deterministic_entries_no_variance():
    generator = np.random.default_rng(11)
    once, other = crossed(generator, 1, 0.3, users=40), crossed(generator, 4, 0.3, users=40)
    several = estimate_over_users_and_seeds(np.repeat(once, 3, axis=1), other)
    estimate = estimate_over_users_and_seeds(once, other, (True, False))
    assert np.ravel(estimate) == pytest.approx(np.ravel(several))
    both = estimate_over_users_and_seeds(once, other[:, :1], (True, True))
    assert both.p() == pytest.approx(stats.ttest_rel(once[:, 0], other[:, 0]).pvalue)


def test_estimate__of_entries_that_do_not_vary():
    same, shifted = np.full((5, 3, 1), 0.3), np.full((5, 2, 1), 0.1 + 0.2)  # equal but for rounding
    estimate = estimate_over_users_and_seeds(same, shifted)
    assert estimate.p() == 1 and estimate.equivalence_p(0.01) == 0 and estimate.minimal_detectable() < 1e-9
    estimate = estimate_over_users_and_seeds(same, shifted + 0.1)
    assert estimate.p() == 0 and estimate.equivalence_p(0.01) == 1


def test_equivalence_p__is_the_larger_of_two_one_sided_tests():
    values = np.random.default_rng(12).normal(0.1, 1, (60, 1))
    for margin in (0.05, 0.3, 0.6):
        above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
        below = stats.ttest_1samp(values, margin, alternative="less").pvalue
        estimate = estimate_over_users(values)
        assert estimate.equivalence_p(margin) == pytest.approx(np.maximum(above, below))
        (low,), (high,) = estimate.interval(0.9)
        assert (estimate.equivalence_p(margin)[0] < 0.05) == (-margin < low and high < margin)


def test_equivalence_p__is_below_the_level_in_one_case_of_20():
    """For entries whose true difference equals the margin."""
    generator = np.random.default_rng(13)
    found = []
    for _ in range(400):
        mine, other = (crossed(generator, 5, 0.1, users=100) for _ in range(2))
        found.append(estimate_over_users_and_seeds(mine + 1, other).equivalence_p(1.0)[0] < 0.05)
    assert 0.01 < np.mean(found) < 0.085


@pytest.mark.parametrize("freedom", [1.5, 4.0, 50.0])
def test_minimal_detectable__has_the_power_of_a_noncentral_t(freedom):
    estimate = Estimate(np.zeros(1), np.array([0.02]), np.array([freedom]))
    (effect,) = estimate.minimal_detectable()
    assert stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, effect / 0.02) == pytest.approx(0.8, abs=1e-5)
    if freedom > 10:  # Bloom's multiplier (1995), which is close for many degrees of freedom
        bloom = 0.02 * (stats.t.ppf(0.975, freedom) + stats.t.ppf(0.8, freedom))
        assert effect == pytest.approx(bloom, rel=1e-3)


def test_minimal_detectable__is_found_in_four_cases_of_five():
    users = np.random.default_rng(14).normal(size=(4000, 12))
    known = Estimate(np.zeros(1), np.array([1 / math.sqrt(12)]), np.array([11.0]))
    (effect,) = known.minimal_detectable()
    assert np.mean(estimate_over_users((users + effect).T).p() < 0.05) == pytest.approx(0.8, abs=0.02)
    unknown = Estimate(np.zeros(1), np.array([np.nan]), np.array([np.nan]))
    assert np.isnan([unknown.minimal_detectable()[0], unknown.p()[0], unknown.equivalence_p(1)[0]]).all()


@pytest.mark.parametrize("freedom", [0.3, 0.36, 0.38, 0.6, 4])
def test_minimal_detectable__is_found_with_few_degrees(freedom):
    """Exceeded with 80 % power, according to the integral over the chi^2 variable."""
    (found,) = Estimate(np.zeros(1), np.ones(1), np.array([freedom])).minimal_detectable()
    critical = stats.t.ppf(0.975, freedom)
    shares = (np.arange(200_000) + 0.5) / 200_000
    roots = np.sqrt(stats.chi2.ppf(shares, freedom) / freedom)
    assert stats.norm.sf(critical * roots - found).mean() == pytest.approx(0.8, abs=1e-4)


def test_minimal_detectable__ends_with_almost_no_degrees():
    """SciPy's own search would not end; an unpaired difference of equal users has such degrees of freedom."""
    with np.errstate(all="ignore"):
        found = Estimate(np.zeros(2), np.ones(2), np.array([0.2, 0.05])).minimal_detectable()
    assert (found > 1e5).all()
