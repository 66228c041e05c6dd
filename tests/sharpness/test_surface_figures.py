"""Surfaces share one scale, set by the flattest run; higher and non-finite values are cut off."""

import numpy as np
import pytest

from recbole_samrec.sharpness.surface_figures import FURTHEST, Scale, compute_rise


def test_compute_rise__is_above_the_center():
    assert compute_rise({"loss": [7, 6, 5, 5.5, np.nan]}).tolist() == [2, 1, 0, 0.5, np.inf]
    loss = np.arange(9.0).reshape(3, 3)
    assert compute_rise({"loss": loss})[1, 1] == 0 and compute_rise({"loss": loss})[2, 2] == 4


def test_scale__of_one_run_reaches_its_highest_point():
    scale = Scale.fit([np.array([0.0, 1.0, 4.0])])
    assert scale.levels[0] == 0 and scale.levels[-1] >= 4 and not scale.cut
    assert (np.diff(scale.levels) > 0).all()


def test_scale__is_cut_at_a_multiple_of_the_flattest_run():
    flat, steep = np.array([0.0, 1.0]), np.array([0.0, 1000.0, np.inf])
    scale = Scale.fit([flat, steep])
    assert FURTHEST <= scale.levels[-1] < 2 * FURTHEST and scale.cut
    assert scale(steep).tolist() == [0, scale.levels[-1], scale.levels[-1]]


@pytest.mark.parametrize("rises", [[np.zeros(3)], [np.full(3, np.inf)], [np.array([0.0, -2.0])]])
def test_scale__of_surfaces_without_a_rise_is_ascending(rises):
    levels = Scale.fit(rises).levels
    assert np.isfinite(levels).all() and len(levels) > 1 and (np.diff(levels) > 0).all()
