"""Densities and shares of eigenvalues from Lanczos' matrices equal those of known spectra."""

import numpy as np
import pytest
import torch

from recbole_samrec.analysis.hessian import estimate_density
from recbole_samrec.analysis.spectral_density import Estimate, smooth_density
from tests.helpers.hessians import quadratic, regression, tanh_network, wide


def test_measure_negative__of_a_convex_loss_is_zero():
    loss, parameters, _ = regression()
    negative = estimate_density(loss, parameters, steps=30, probes=10).negative
    assert negative.share.value == pytest.approx(0, abs=1e-12) == negative.share.standard_error
    assert negative.ratio == pytest.approx(0, abs=1e-12) and negative.share_converged and negative.ratio_converged
    loss, parameters, _ = quadratic([0.0] * 30)
    negative = estimate_density(loss, parameters, steps=5).negative
    assert negative.share.value == 0 and np.isnan(negative.ratio) and not negative.ratio_converged


def test_measure_negative__marks_too_few_steps():
    loss, parameters, hessian = wide()
    eigenvalues = torch.linalg.eigvalsh(hessian).numpy()
    few = estimate_density(loss, parameters, steps=3, probes=1).negative
    assert not few.share_converged and not few.ratio_converged
    assert abs(few.ratio + 0.1) > 0.05 and few.ratio_error > 0.02
    enough = estimate_density(loss, parameters, steps=60, probes=60).negative
    share = -eigenvalues[eigenvalues < 0].sum() / np.abs(eigenvalues).sum()
    assert enough.share_converged and abs(enough.share.value - share) <= 4 * enough.share.standard_error < 0.1
    assert enough.ratio_converged and enough.ratio == pytest.approx(-0.1, rel=1e-3)
    assert abs(enough.ratio + 0.1) <= enough.ratio_error + 1e-9


def test_measure_negative__ignores_the_sign_of_nodes_near_zero():
    loss, parameters, _ = wide()
    found = [estimate_density(loss, parameters, steps=steps, probes=1) for steps in (40, 50, 60, 70)]
    shares = [one.negative.share.value for one in found]
    assert max(shares) - min(shares) < 0.01
    counts = [one.weights[one.nodes < 0].sum() for one in found]
    assert max(counts) - min(counts) > 0.1  # what the count of eigenvalues would have been


def test_smooth_density__on_a_given_grid():
    loss, parameters, _ = tanh_network()
    grid = np.linspace(-1, 2, 7)
    found = estimate_density(loss, parameters, steps=4, probes=2, grid=grid, width=0.3)
    terms = found.weights * np.exp(-(((grid[:, None, None] - found.nodes) / 0.3) ** 2) / 2)
    np.testing.assert_allclose(found.density, terms.sum(axis=(1, 2)) / 2 / 0.3 / np.sqrt(2 * np.pi))
    np.testing.assert_array_equal(found.density, smooth_density(found.nodes, found.weights, grid, 0.3))
    with pytest.raises(ValueError, match="width of a density must be above 0"):
        smooth_density(found.nodes, found.weights, grid, 0.0)


def test_estimate__of_samples_has_a_standard_error():
    found = Estimate.from_samples(np.array([1.0, 2.0, 3.0, 6.0]))
    assert found.value == 3 and found.standard_error == pytest.approx(np.sqrt(14 / 3) / 2)
    assert np.isnan(Estimate.from_samples(np.array([1.0])).standard_error)
