"""The rule by which validation chooses, against computations written out with numpy."""

import math

import numpy as np
import pytest

from recbole_samrec.compare.one_standard_error import choose_candidate

RHOS = [{"sam_rho": rho} for rho in (0, 0.03, 0.1, 0.3, 1)]
SCORES = np.array([[0.50, 0.52, 0.48], [0.55, 0.57, 0.50], [0.56, 0.565, 0.57], [0.58, 0.56, 0.57], [0.40, 0.41, 0.39]])


def test_choose_candidate__takes_a_small_rho_within_an_error():
    """The best is 0.3; 0.1 is behind by less than sd / sqrt 3 of the paired differences, 0.03 by more."""
    decision = choose_candidate(RHOS, SCORES)
    assert decision.best == 3 and decision.means == pytest.approx(SCORES.mean(axis=1))
    within = []
    for number, scores in enumerate(SCORES):
        differences = [SCORES[3][seed] - scores[seed] for seed in range(3)]
        mean = sum(differences) / 3
        error = math.sqrt(sum((one - mean) ** 2 for one in differences) / 2) / math.sqrt(3)
        assert decision.behind[number] == pytest.approx(mean) and decision.errors[number] == pytest.approx(error)
        within += [number] if mean <= error else []
    assert within == [2, 3] and decision.chosen == 2  # 0.1 is 0.005 behind with an error of 0.0076
    assert decision.edges == ()


def test_choose_candidate__pairs_the_seeds():
    """Unpaired, 0.1 would be within an error of 0.3: seeds differ far more than candidates."""
    scores = np.array([[0.1, 0.5, 0.9], [0.11, 0.51, 0.91]])
    decision = choose_candidate(RHOS[2:4], scores)
    assert decision.chosen == decision.best == 1 and decision.errors[0] == pytest.approx(0, abs=1e-12)


def test_choose_candidate__prefers_no_sam():
    decision = choose_candidate(RHOS[:3], [[0.50, 0.60], [0.51, 0.595], [0.55, 0.56]])
    assert decision.best == 2 and decision.chosen == 0  # behind by 0.005, with an error of 0.045


def test_choose_candidate__breaks_ties():
    equal = [[0.5, 0.6]] * 3
    assert choose_candidate([{"sam_rho": 0.3}, {"sam_rho": 0}, {"sam_rho": 1}], equal).chosen == 1
    decision = choose_candidate([{"n_layers": 2}, {"n_layers": 1}], equal[:2])
    assert decision.best == decision.chosen == 0  # of other settings the first


def test_choose_candidate__takes_the_lowest_of_a_loss():
    mirrored = choose_candidate(RHOS, 1 - SCORES, bigger=False)
    decision = choose_candidate(RHOS, SCORES)
    assert (mirrored.best, mirrored.chosen) == (decision.best, decision.chosen) == (3, 2)
    assert mirrored.means == pytest.approx(1 - SCORES.mean(axis=1))
    assert mirrored.behind == pytest.approx(decision.behind) and mirrored.errors == pytest.approx(decision.errors)


def test_choose_candidate__has_no_error_with_one_seed():
    decision = choose_candidate(RHOS, [[0.5], [0.5999], [0.6], [0.6], [0.4]])
    assert decision.chosen == 2 and np.isnan(decision.errors).all()


def test_choose_candidate__excludes_missing_seeds():
    scores = SCORES.copy()
    scores[2, 1] = np.nan
    decision = choose_candidate(RHOS, scores)
    assert decision.best == decision.chosen == 3 and np.isnan(decision.means[2])
    nothing = choose_candidate(RHOS, np.full((5, 3), np.nan))
    assert nothing.best is None and nothing.chosen is None and nothing.edges == ()


def test_choose_candidate__takes_the_best_of_other_settings():
    """A smaller rho with another learning rate does not count, although it is within an error of the best."""
    grid = [{"sam_rho": rho, "learning_rate": rate} for rho in (0, 0.1) for rate in (1, 2, 3)]
    scores = [[0.50, 0.60], [0.58, 0.50], [0.3, 0.3], [0.2, 0.2], [0.54, 0.56], [0.56, 0.55]]
    decision = choose_candidate(grid, scores)
    assert grid[decision.best] == {"sam_rho": 0.1, "learning_rate": 3} == grid[decision.chosen]
    scores[2] = [0.58, 0.52]  # now rho 0 with the same rate is within one
    assert grid[choose_candidate(grid, scores).chosen] == {"sam_rho": 0, "learning_rate": 3}


@pytest.mark.parametrize(
    "values, best, edges",
    [
        ([0, 0.1, 0.3], 2, ("sam_rho",)),
        ([0, 0.1, 0.3], 1, ()),
        ([0, 0.1, 0.3], 0, ()),  # there is nothing below 0
        ([0.03, 0.1, 0.3], 0, ("sam_rho",)),
        ([0.1], 0, ()),
        ([True, False], 0, ()),
        (["ema 0.9", "last 5"], 0, ()),
    ],
)
def test_choose_candidate__flags_edges(values, best, edges):
    scores = [[float(number == best)] for number in range(len(values))]
    assert choose_candidate([{"sam_rho": value} for value in values], scores).edges == edges


AVERAGES = [None, "ema 0.99", "ema 0.999", "ema 0.9999"]


@pytest.mark.parametrize(
    "values, best, edge",
    [
        (AVERAGES, 3, True),
        (AVERAGES, 1, False),  # below it is no average
        (AVERAGES[1:], 0, True),
        (AVERAGES, 2, False),
        (AVERAGES, 0, False),
        (["last 9", "last 10", "last 2"], 1, True),
        (["last 9", "last 10", "last 2"], 0, False),
        (["ema 0.9", "last 5", "ema 0.5"], 1, False),  # one of its kind
        (["ema 0.9", "last 5", "ema 0.5"], 0, True),
    ],
)
def test_choose_candidate__flags_edges_of_averages(values, best, edge):
    scores = [[float(number == best)] for number in range(len(values))]
    found = choose_candidate([{"weight_average": value} for value in values], scores).edges
    assert found == ("weight_average",) * edge


def test_choose_candidate__flags_the_last_before_a_failure():
    """The largest value failed, so that nothing is known above the best one."""
    scores = SCORES.copy()
    scores[4, 0] = np.nan
    assert choose_candidate(RHOS, scores).edges == ("sam_rho",)
