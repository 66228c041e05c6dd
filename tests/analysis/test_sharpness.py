"""Measures of sharpness on losses with known values."""

import numpy as np
import pytest
import torch

from recbole_samrec.analysis.hessian import compute_loss, estimate_density, estimate_trace, find_top_eigenvalues
from recbole_samrec.analysis.sharpness import (
    maximize_adaptive_rise,
    measure_ascent_rise,
    measure_gradient_norm,
    measure_gradient_norms,
    measure_random_rises,
    measure_slope,
)

RHOS = [0.0, 0.1, 0.5]


def double(values):
    return torch.as_tensor(values, dtype=torch.float64).clone().requires_grad_()


def bowl(weights, centre, heights):
    """``sum(h * (w - c)^2) / 2`` of two parameters together."""
    centre, heights = (torch.as_tensor(values, dtype=torch.float64) for values in (centre, heights))
    return lambda: (heights * (torch.cat(weights) - centre) ** 2).sum() / 2


def relu_network(factor):
    """A network whose first layer is multiplied and whose second layer is divided by a factor: the same function."""
    random = torch.Generator().manual_seed(0)
    inputs, targets = (torch.randn(12, n, generator=random, dtype=torch.float64) for n in (3, 2))
    shapes = {"w1": (5, 3), "b1": (5,), "w2": (2, 5), "b2": (2,)}
    scales = {"w1": factor, "b1": factor, "w2": 1 / factor, "b2": 1.0}
    named = {
        name: double(scales[name] * torch.randn(shape, generator=random, dtype=torch.float64))
        for name, shape in shapes.items()
    }

    def loss():
        hidden = torch.relu(inputs @ named["w1"].T + named["b1"])
        return ((hidden @ named["w2"].T + named["b2"] - targets) ** 2).mean()

    return loss, named


def planted(where, size=25):
    """A loss with a sharp minimum at 1 and a flat one at -1, and weights beside one of them with a loss of 0.01."""
    sharpness = {"sharp": 50.0, "flat": 1.0}
    centre = {"sharp": 1.0, "flat": -1.0}
    beside = torch.full((size,), centre[where], dtype=torch.float64)
    beside[0] += (0.01 / sharpness[where]) ** 0.5
    weight = double(beside)

    def loss():
        wells = [-sharpness[name] * ((weight - centre[name]) ** 2).sum() for name in sharpness]
        return -torch.logsumexp(torch.stack(wells), 0)

    return loss, [weight]


def test_measure_gradient_norms__by_name_and_together():
    loss, named = relu_network(1.0)
    loss().backward()
    expected = {name: float(p.grad.norm()) for name, p in named.items()}
    assert measure_gradient_norms(loss, named) == pytest.approx(expected)
    assert measure_gradient_norm(loss, list(named.values())) == pytest.approx(
        sum(n**2 for n in expected.values()) ** 0.5
    )
    scaled = {name: float(((p.detach().abs() + 0.3) * p.grad).norm()) for name, p in named.items()}
    assert measure_gradient_norms(loss, named, adaptive=True, eta=0.3) == pytest.approx(scaled)
    total = measure_gradient_norm(loss, list(named.values()), adaptive=True, eta=0.3)
    assert total == pytest.approx(sum(n**2 for n in scaled.values()) ** 0.5)


@pytest.mark.parametrize("adaptive", [False, True])
def test_measure_ascent_rise__is_that_of_the_formula(adaptive):
    start, centre = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, 1.0])
    heights = np.array([3.0, 1.0, -2.0])
    weights = [double(start[:1]), double(start[1:])]

    def value(w):
        return (heights * (w - centre) ** 2).sum() / 2

    g = heights * (start - centre)
    unit = np.abs(start) + 0.2 if adaptive else np.ones(3)
    steps = [rho * unit**2 * g / np.linalg.norm(unit * g) for rho in RHOS]
    found = measure_ascent_rise(bowl(weights, centre, heights), weights, RHOS, adaptive=adaptive, eta=0.2)
    assert found[0] == 0
    np.testing.assert_allclose(found, [value(start + step) - value(start) for step in steps], rtol=1e-12)


def test_measure_slope__gives_norms_and_rises_of_one_gradient():
    loss, named = relu_network(1.0)
    parameters, calls = list(named.values()), []
    found = measure_slope(loss, parameters, RHOS, [0.3], progress=lambda *call: calls.append(call))
    assert found.loss == pytest.approx(compute_loss(loss)) and calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.norm == pytest.approx(measure_gradient_norm(loss, parameters))
    assert found.adaptive_norm == pytest.approx(measure_gradient_norm(loss, parameters, adaptive=True, eta=0))
    np.testing.assert_array_equal(found.rises, measure_ascent_rise(loss, parameters, RHOS))
    np.testing.assert_array_equal(
        found.adaptive_rises, measure_ascent_rise(loss, parameters, [0.3], adaptive=True, eta=0)
    )


def test_measure_ascent_rise__at_a_minimum_is_zero():
    weights = [double([1.0]), double([2.0])]
    assert measure_ascent_rise(bowl(weights, [1, 2], [1, 1]), weights, RHOS).tolist() == [0, 0, 0]


def test_measure_random_rises__of_a_round_bowl_are_equal():
    centre = np.linspace(-1, 2, 6)
    weights = [double(centre[:2]), double(centre[2:])]
    found = measure_random_rises(bowl(weights, centre, [3.0] * 6), weights, RHOS, draws=5)
    assert found.rises.shape == (3, 5) and found.rhos.tolist() == RHOS
    expected = 3 * np.square(RHOS) / 2
    np.testing.assert_allclose(found.rises, expected[:, None].repeat(5, 1), atol=1e-15)
    np.testing.assert_allclose(found.worst, expected, atol=1e-15)
    np.testing.assert_allclose(found.mean, expected, atol=1e-15)
    np.testing.assert_allclose(found.standard_error, 0, atol=1e-15)


def test_measure_random_rises__in_units_of_the_weights():
    centre = np.array([0.0, 1.0, -10.0])
    weights = [double(centre[:1]), double(centre[1:])]
    # The directions are uniform, so that u_i^2 is 1/3 in the mean; its variance is 4/45.
    found = measure_random_rises(bowl(weights, centre, [7.0, 2.0, 0.02]), weights, [0.6], draws=2000, adaptive=True)
    assert found.mean[0] == pytest.approx(0.6**2 / 2 * (0 + 2 + 2) / 3, rel=0.05)
    assert found.worst[0] == found.rises.max() <= 0.6**2 / 2 * 2 + 1e-12
    assert found.standard_error[0] == pytest.approx(found.rises.std() / 2000**0.5, rel=1e-3)
    only_zero = [double([0.0]), double([0.0])]
    assert measure_random_rises(bowl(only_zero, [1, 1], [1, 1]), only_zero, [5.0], adaptive=True).worst.tolist() == [0]


def test_measure_random_rises__follows_its_seed():
    loss, named = relu_network(1.0)
    parameters = list(named.values())
    first, again, other = (measure_random_rises(loss, parameters, [0.1, 0.3], 3, seed).rises for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).all()
    np.testing.assert_array_equal(measure_random_rises(loss, parameters, [0.3], 3, 1).rises, first[1:])
    with pytest.raises(ValueError, match="draws must be at least 1, not 0"):
        measure_random_rises(loss, parameters, [0.1], 0)


def test_maximize_adaptive_rise__finds_the_worst_of_a_bowl():
    centre, heights = np.array([0.5, -2.0, 1.0, 0.0]), np.array([9.0, 3.0, 1.0, 100.0])
    weights = [double(centre[:1]), double(centre[1:])]
    worst = (heights * centre**2).max()  # the largest eigenvalue of the Hessian in units of the weights
    found = maximize_adaptive_rise(bowl(weights, centre, heights), weights, RHOS)
    np.testing.assert_allclose(found, worst * np.square(RHOS) / 2, rtol=1e-3, atol=1e-15)


def test_maximize_adaptive_rise__stays_in_its_ball():
    loss, named = relu_network(1.0)
    parameters = list(named.values())
    start = torch.cat([p.detach().reshape(-1) for p in parameters])
    seen = []

    def watched():
        seen.append(torch.cat([p.detach().reshape(-1) for p in parameters]))
        return loss()

    rise = maximize_adaptive_rise(watched, parameters, [0.4])
    assert max(float(((w - start) / start).norm()) for w in seen) <= 0.4 + 1e-12
    step = measure_ascent_rise(loss, parameters, [0.4], adaptive=True, eta=0)
    assert rise[0] > step[0] > 0
    np.testing.assert_allclose(maximize_adaptive_rise(loss, parameters, [0.4], steps=1), step, rtol=1e-12)
    assert (rise[0] >= measure_random_rises(loss, parameters, [0.4], draws=50, adaptive=True).worst).all()
    falling = [double([1.0]), double([1.0])]  # the loss falls whatever the direction: the worst is not to move
    assert maximize_adaptive_rise(bowl(falling, [1, 1], [-1, -1]), falling, [0.3]).tolist() == [0]


MEASURES = {
    "top eigenvalue": lambda loss, p: find_top_eigenvalues(loss, p, 1).values[0],
    "trace": lambda loss, p: estimate_trace(loss, p, probes=2).value,
    "mean of the density": lambda loss, p: (lambda d: (d.nodes * d.weights).sum())(estimate_density(loss, p, steps=3)),
    "gradient norm": measure_gradient_norm,
    "ascent": lambda loss, p: measure_ascent_rise(loss, p, [0.3])[0],
    "random, worst": lambda loss, p: measure_random_rises(loss, p, [0.3]).worst[0],
    "random, mean": lambda loss, p: measure_random_rises(loss, p, [0.3]).mean[0],
}
ADAPTIVE = {
    "adaptive gradient norm": lambda loss, p: measure_gradient_norm(loss, p, adaptive=True, eta=0),
    "adaptive ascent": lambda loss, p: measure_ascent_rise(loss, p, [0.3], adaptive=True, eta=0)[0],
    "adaptive random, worst": lambda loss, p: measure_random_rises(loss, p, [0.3], adaptive=True).worst[0],
    "adaptive random, mean": lambda loss, p: measure_random_rises(loss, p, [0.3], adaptive=True).mean[0],
    "adaptive worst": lambda loss, p: maximize_adaptive_rise(loss, p, [0.3])[0],
}


@pytest.mark.parametrize("measure", MEASURES | ADAPTIVE)
def test_measures__distinguish_a_sharp_from_a_flat_minimum(measure):
    measure = (MEASURES | ADAPTIVE)[measure]
    (sharp, at_sharp), (flat, at_flat) = planted("sharp"), planted("flat")
    assert compute_loss(sharp) == pytest.approx(compute_loss(flat), rel=1e-9)
    assert measure(sharp, at_sharp) > 2 * measure(flat, at_flat) > 0


@pytest.mark.parametrize("measure", MEASURES | ADAPTIVE)
def test_measures__change_with_rescaling_unless_adaptive(measure):
    (loss, named), (same, rescaled) = relu_network(1.0), relu_network(8.0)
    assert compute_loss(loss) == pytest.approx(compute_loss(same), rel=1e-12)
    found, again = ((MEASURES | ADAPTIVE)[measure](f, list(p.values())) for f, p in ((loss, named), (same, rescaled)))
    if measure in ADAPTIVE:
        assert again == pytest.approx(found, rel=1e-9)
    else:
        assert not 0.5 < again / found < 2


def test_measure_ascent_rise__with_eta_depends_on_the_scale():
    rises = [
        measure_ascent_rise(f, list(p.values()), [0.3], adaptive=True, eta=0.5)
        for f, p in map(relu_network, (1.0, 8.0))
    ]
    assert abs(rises[1] / rises[0] - 1) > 0.05


MOVING = {
    "ascent": lambda loss, p: measure_ascent_rise(loss, p, RHOS),
    "adaptive ascent": lambda loss, p: measure_ascent_rise(loss, p, RHOS, adaptive=True),
    "random": lambda loss, p: measure_random_rises(loss, p, RHOS, 3),
    "adaptive random": lambda loss, p: measure_random_rises(loss, p, RHOS, 3, adaptive=True),
    "adaptive worst": lambda loss, p: maximize_adaptive_rise(loss, p, RHOS, steps=3),
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("measure", MOVING)
def test_measures__restore_weights_after_an_exception(measure, fails):
    weights = [torch.randn(40, generator=torch.Generator().manual_seed(seed)).requires_grad_() for seed in (0, 1)]
    before = [w.detach().clone() for w in weights]
    moved = []

    def loss():
        moved.append(not all(map(torch.equal, weights, before)))
        if fails and sum(moved) == 2:
            raise KeyboardInterrupt
        return (weights[0] * weights[1]).sum() ** 2 + weights[0].exp().sum()

    if fails:
        with pytest.raises(KeyboardInterrupt):
            MOVING[measure](loss, weights)
    else:
        MOVING[measure](loss, weights)
    assert sum(moved) >= 2
    assert all(map(torch.equal, weights, before))
    assert all(w.grad is None and w.requires_grad for w in weights)


def test_measure_ascent_rise__raises_on_a_nonfinite_gradient():
    weight = double([1.0, 2.0])
    with pytest.raises(FloatingPointError, match="gradient is not finite"):
        measure_ascent_rise(lambda: (weight / 0).sum(), [weight], RHOS)
