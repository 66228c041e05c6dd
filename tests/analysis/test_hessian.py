"""Curvature against the dense Hessian, built by autograd on small problems."""

import numpy as np
import pytest
import torch
from torch import nn

from recbole_samrec.analysis.hessian import (
    ChunkedLoss,
    compute_gradient,
    compute_hvp,
    compute_loss,
    estimate_density,
    estimate_trace,
    find_top_eigenvalues,
    flatten,
    measure_product_error,
    unflatten,
)
from tests.helpers.hessians import quadratic, regression, tanh_network

PROBLEMS = {
    "convex": regression,
    "negative": tanh_network,
    "repeated": lambda: quadratic([5.0] * 4 + [4.0] * 2 + [-3.0] * 3 + np.linspace(-1, 1, 41).tolist()),
    "few distinct": lambda: quadratic([2.0] * 10 + [0.0] * 25 + [-1.0] * 5),
    "one value": lambda: quadratic([2.0] * 30),
    "zero": lambda: quadratic([0.0] * 30),
}


@pytest.fixture(params=PROBLEMS)
def problem(request):
    return PROBLEMS[request.param]()


def random_vector(parameters, seed=3):
    size = sum(p.numel() for p in parameters)
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_unflatten__undoes_flatten():
    pieces = [torch.arange(6.0).view(2, 3), torch.tensor(7.0), torch.arange(4.0, dtype=torch.float64)]
    flat = flatten(pieces)
    assert flat.tolist() == [0, 1, 2, 3, 4, 5, 7, 0, 1, 2, 3]
    for piece, again in zip(pieces, unflatten(flat, pieces), strict=True):
        assert torch.equal(piece, again) and piece.dtype == again.dtype
    with pytest.raises(ValueError, match=r"a vector of 11 elements, not one of shape \(10,\)"):
        unflatten(flat[:10], pieces)
    sparse = torch.sparse_coo_tensor([[1]], [[2.0, 3.0]], (3, 2), check_invariants=True)
    assert flatten([sparse, torch.ones(1)]).tolist() == [0, 0, 2, 3, 0, 0, 1]


def test_compute_hvp__and_gradient_equal_the_dense_ones(problem):
    loss, parameters, hessian = problem
    vector = random_vector(parameters)
    torch.testing.assert_close(compute_hvp(loss, parameters, vector), hessian @ vector)
    loss().backward()
    torch.testing.assert_close(compute_gradient(loss, parameters), flatten([p.grad for p in parameters]))


def test_compute_hvp__leaves_grad_and_ignores_no_grad_mode():
    loss, parameters, hessian = tanh_network()
    parameters[0].grad = torch.ones_like(parameters[0])
    with torch.no_grad():
        product = compute_hvp(loss, parameters, hessian[0])
        compute_gradient(loss, parameters)
    torch.testing.assert_close(product, hessian @ hessian[0])
    assert torch.equal(parameters[0].grad, torch.ones_like(parameters[0]))
    assert all(p.grad is None for p in parameters[1:])


def test_chunked_loss__equals_the_whole():
    random = torch.Generator().manual_seed(0)
    inputs, targets = (torch.randn(10, n, generator=random, dtype=torch.float64) for n in (4, 1))
    network = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    parameters = list(network.parameters())

    def mean_loss(start, stop):
        return nn.functional.mse_loss(network(inputs[start:stop]), targets[start:stop])

    whole = lambda: mean_loss(0, 10)  # noqa: E731
    bounds = [(0, 5), (5, 8), (8, 10)]
    chunked = ChunkedLoss([lambda b=b: mean_loss(*b) for b in bounds], [stop - start for start, stop in bounds])
    vector = random_vector(parameters)
    assert compute_loss(chunked) == pytest.approx(float(whole().detach()), rel=1e-12)
    torch.testing.assert_close(compute_gradient(chunked, parameters), compute_gradient(whole, parameters))
    torch.testing.assert_close(compute_hvp(chunked, parameters, vector), compute_hvp(whole, parameters, vector))
    values = [find_top_eigenvalues(loss, parameters, 2).values for loss in (chunked, whole)]
    np.testing.assert_allclose(*values, rtol=1e-9)


def test_chunked_loss__holds_one_chunk_in_memory():
    weight = torch.ones(2, requires_grad=True)
    alive, most = [0], [0]

    class Kept(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.kept = Token()
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return g

    class Token:
        def __init__(self):
            alive[0] += 1
            most[0] = max(most[0], alive[0])

        def __del__(self):
            alive[0] -= 1

    loss = ChunkedLoss([lambda: (Kept.apply(weight) ** 3).sum()] * 4, [1] * 4)
    assert compute_hvp(loss, [weight], torch.ones(2)).tolist() == [6, 6]
    assert most == [1] and alive == [0]


@pytest.mark.parametrize(
    ("chunks", "weights", "message"),
    [
        (2, [1.0], "expected 2 weights, one per chunk"),
        (2, [2, -1], "at least 0"),
        (1, [0.0], "sum above 0"),
        (0, [], "sum"),
    ],
)
def test_chunked_loss__rejects_weights_without_a_mean(chunks, weights, message):
    with pytest.raises(ValueError, match=message):
        ChunkedLoss([lambda: torch.ones(())] * chunks, weights)


def test_compute_hvp__is_zero_for_unused_or_linear_parameters():
    used, unused, linear = (torch.full((2,), 3.0, requires_grad=True) for _ in range(3))
    loss = lambda: (used**3).sum() + 5 * linear.sum()  # noqa: E731
    parameters = [used, unused, linear]
    assert compute_gradient(loss, parameters).tolist() == [27, 27, 0, 0, 5, 5]
    assert compute_hvp(loss, parameters, torch.ones(6)).tolist() == [18, 18, 0, 0, 0, 0]
    assert compute_hvp(lambda: linear.sum(), parameters, torch.ones(6)).tolist() == [0] * 6
    assert find_top_eigenvalues(loss, parameters, 3).values.tolist() == pytest.approx([18, 18, 0])


def test_compute_hvp__raises_without_curvature():
    weight = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="depends on no tensor that requires a gradient"):
        compute_hvp(lambda: torch.ones(2).sum(), [weight], torch.ones(2))
    with pytest.raises(ValueError, match="no parameters"):
        estimate_trace(lambda: weight.sum(), [])
    with pytest.raises(FloatingPointError, match="product is not finite"):
        find_top_eigenvalues(lambda: (weight**2).sum() / 0, [weight], 1)
    with pytest.raises(FloatingPointError, match="gradient is not finite"):
        compute_gradient(lambda: (weight**2).sum() * float("nan"), [weight])


class Cube(torch.autograd.Function):
    """``x^3`` with a backward pass that treats the slope from the forward pass as a constant."""

    @staticmethod
    def forward(ctx, x, honest):
        ctx.slope, ctx.honest = 3 * x.detach() ** 2, honest
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * (3 * x**2 if ctx.honest else ctx.slope), None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", PROBLEMS)
def test_measure_product_error__of_right_products_is_small(name, dtype):
    loss, parameters, hessian = PROBLEMS[name]()
    if dtype == torch.float32 and name != "convex" and name != "negative":
        parameters = [p.detach().float().requires_grad_() for p in parameters]
        loss = lambda: torch.cat(parameters) @ hessian.float() @ torch.cat(parameters) / 2  # noqa: E731
    before = [p.detach().clone() for p in parameters]
    assert measure_product_error(loss, parameters) < 0.01
    assert all(map(torch.equal, parameters, before))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_measure_product_error__finds_one_wrong_layer(scale, dtype):
    random = torch.Generator().manual_seed(0)
    large, small = (scale * torch.rand(n, generator=random, dtype=dtype) + scale for n in (5000, 4))
    parameters = [large.requires_grad_(), small.requires_grad_()]

    def loss(honest):
        return ((large / scale) ** 4).mean() + Cube.apply(small / scale, honest).mean() + 7

    assert measure_product_error(lambda: loss(True), parameters) < 0.01
    assert measure_product_error(lambda: loss(False), parameters) > 0.2


def test_measure_product_error__ignores_kinks_and_zero_rows():
    torch.manual_seed(0)  # one network of four has a kink so near that its difference is up to a sixth off
    network = nn.Sequential(nn.Linear(10, 50), nn.ReLU(), nn.Linear(50, 1))
    inputs, targets = (torch.randn(200, n) for n in (10, 1))
    assert (
        measure_product_error(lambda: nn.functional.mse_loss(network(inputs), targets), list(network.parameters()))
        < 0.05
    )
    weight = torch.ones(3, requires_grad=True)
    assert measure_product_error(lambda: 5 * weight.sum(), [weight]) == 0
    assert measure_product_error(lambda: (weight * 0).sum(), [weight]) == 0
    table = nn.Embedding(6, 2, padding_idx=0)
    rows = torch.tensor([[0, 1, 2], [0, 0, 3]])
    assert (
        measure_product_error(lambda: table(rows).sum(1).pow(4).sum(), [table.weight]) < 0.01
    )  # padding counts, unlearned


@pytest.mark.parametrize("smallest", [False, True])
@pytest.mark.parametrize("k", [1, 5])
def test_find_top_eigenvalues__equal_the_dense_ones(problem, k, smallest):
    loss, parameters, hessian = problem
    expected = torch.linalg.eigvalsh(hessian).numpy()
    scale = np.abs(expected).max()
    expected = expected[:k] if smallest else expected[::-1][:k]
    found = find_top_eigenvalues(loss, parameters, k, smallest=smallest, tolerance=1e-6, max_products=500)
    assert found.converged.all() and found.residuals.max() <= 1e-6
    assert found.scale == pytest.approx(scale)
    np.testing.assert_allclose(found.values, expected, atol=1e-6 * scale)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(k), atol=1e-5)
    left = found.vectors @ hessian.numpy() - found.values[:, None] * found.vectors
    np.testing.assert_allclose(np.linalg.norm(left, axis=1), found.errors, atol=1e-12)
    np.testing.assert_allclose(found.errors, found.residuals * found.scale)


@pytest.mark.parametrize("distinct", [3, 50])
def test_find_top_eigenvalues__finds_multiple_ones(distinct):
    loss, parameters, _ = quadratic([5.0] * 3 + np.linspace(0, 1, distinct).repeat(60 // distinct).tolist())
    found = find_top_eigenvalues(loss, parameters, 4)
    assert found.converged.all()
    assert found.values.tolist() == pytest.approx([5, 5, 5, 1], abs=5e-3)


def test_find_top_eigenvalues__marks_what_did_not_converge():
    loss, parameters, _ = quadratic(np.r_[100.0, 1 - np.linspace(0, 1, 399) ** 2])
    found = find_top_eigenvalues(loss, parameters, 6, tolerance=1e-8, max_products=80)
    assert found.products <= 80 and len(found.values) == 6
    assert found.converged[0] and found.values[0] == pytest.approx(100)
    assert not found.converged[1:].any() and (found.residuals[1:] > 1e-8).all()
    assert (found.values[1:] <= 1 + 1e-9).all()
    assert find_top_eigenvalues(loss, parameters, 6, tolerance=1e-8, max_products=10_000).converged.all()


@pytest.mark.parametrize("eigenvalues", [[3.0] * 40, np.r_[[3.0] * 3, np.linspace(-1, 2, 997)]])
def test_find_top_eigenvalues__needs_a_minimum_of_products(eigenvalues):
    loss, parameters, _ = quadratic(eigenvalues)
    found = find_top_eigenvalues(loss, parameters, 5, tolerance=1e-4, max_products=1)
    assert found.values.shape == found.residuals.shape == found.converged.shape == (5,)
    assert found.vectors.shape == (5, len(eigenvalues)) and found.products <= 77
    assert (found.converged == (found.residuals <= 1e-4)).all()
    expected = np.sort(eigenvalues)[::-1][:5]
    assert found.values[found.converged] == pytest.approx(expected[found.converged], abs=1e-3)
    assert found.converged.all() == (len(eigenvalues) == 40)
    assert (found.values <= expected + 1e-9).all()


def test_find_top_eigenvalues__follows_its_seed():
    loss, parameters, _ = tanh_network(hidden=12)
    calls = []
    first, again, other = (
        find_top_eigenvalues(loss, parameters, 2, seed=seed, progress=lambda *call: calls.append(call))
        for seed in (1, 1, 2)
    )
    assert (first.values == again.values).all() and (first.vectors == again.vectors).all()
    assert (first.vectors != other.vectors).any()
    products = first.products
    assert calls[:products] == [(i + 1, 300) for i in range(products)] and calls[products][0] == 1
    densities = [estimate_density(loss, parameters, steps=5, probes=2, seed=seed).nodes for seed in (1, 1, 2)]
    assert (densities[0] == densities[1]).all() and (densities[0] != densities[2]).any()


def test_find_top_eigenvalues__in_single_precision():
    loss, parameters, _ = quadratic(np.r_[50.0, 20.0, [0.0] * 60, -10.0], dtype=torch.float32)
    found = find_top_eigenvalues(loss, parameters, 4)
    assert found.converged.all() and found.vectors.dtype == np.float64
    np.testing.assert_allclose(found.values, [50, 20, 0, 0], atol=2e-4)
    assert compute_hvp(loss, parameters, random_vector(parameters)).dtype == torch.float32
    density = estimate_density(loss, parameters, steps=20, probes=3)
    assert density.nodes.max() == pytest.approx(50, rel=1e-5) and density.nodes.min() == pytest.approx(-10, rel=1e-5)


def test_find_top_eigenvalues__near_zero_spends_few_products():
    eigenvalues = np.r_[50.0, 20.0, -(10.0 ** -np.linspace(1, 9, 300)), -10.0]
    loss, parameters, _ = quadratic(eigenvalues)
    found = find_top_eigenvalues(loss, parameters, 8)
    assert found.converged.all() and found.products < 100
    assert (abs(found.values - np.sort(eigenvalues)[::-1][:8]) <= 1e-3 * 50).all()


@pytest.mark.parametrize("k", [0, 4])
def test_find_top_eigenvalues__rejects_a_k_out_of_range(k):
    weight = torch.ones(3, requires_grad=True)
    with pytest.raises(ValueError, match=r"k must be between 1 and the number of weights \(3\)"):
        find_top_eigenvalues(lambda: (weight**2).sum(), [weight], k)


def test_estimate_trace__of_a_diagonal_hessian_is_exact():
    eigenvalues = np.linspace(-1, 4, 30)
    loss, parameters, _ = quadratic(eigenvalues, rotated=False)
    found = estimate_trace(loss, parameters, probes=3)
    assert found.value == pytest.approx(eigenvalues.sum()) and found.standard_error < 1e-12 and found.probes == 3
    one = estimate_trace(loss, parameters, probes=1)
    assert one.value == pytest.approx(eigenvalues.sum()) and np.isnan(one.standard_error)
    with pytest.raises(ValueError, match="probes must be at least 1, not 0"):
        estimate_trace(loss, parameters, probes=0)


def test_estimate_trace__lies_within_its_standard_error(problem):
    loss, parameters, hessian = problem
    calls = []
    found = estimate_trace(loss, parameters, probes=200, progress=lambda *call: calls.append(call))
    # Of z @ H @ z over random signs the variance is twice the sum of the squares beside the diagonal.
    expected = (2 * (hessian - hessian.diag().diag()).square().sum() / 200).sqrt()
    assert found.standard_error == pytest.approx(float(expected), rel=0.25, abs=1e-9)
    assert abs(found.value - float(hessian.trace())) <= 4 * found.standard_error + 1e-9
    assert calls == [(i + 1, 200) for i in range(200)]


def test_estimate_density__has_the_moments_of_the_spectrum(problem):
    loss, parameters, hessian = problem
    n, probes = len(hessian), 200
    found = estimate_density(loss, parameters, steps=6, probes=probes)
    assert found.nodes.shape == found.weights.shape == (probes, 6)
    assert found.weights.sum(axis=1) == pytest.approx(1)
    assert np.trapezoid(found.density, found.grid) == pytest.approx(1, abs=1e-4)
    # Six nodes of Gauss integrate polynomials up to the eleventh degree exactly, so only the probes are random.
    power = torch.eye(n, dtype=torch.float64)
    for degree in range(1, 6):
        power = power @ hessian
        samples = (found.weights * found.nodes**degree).sum(axis=1)
        error = samples.std(ddof=1) / probes**0.5
        assert abs(samples.mean() - float(power.trace()) / n) <= 4 * error + 1e-9


@pytest.mark.slow
def test_estimate_density__equals_that_of_the_dense_eigenvalues():
    loss, parameters, hessian = tanh_network(hidden=3)
    eigenvalues = torch.linalg.eigvalsh(hessian).numpy()
    found = estimate_density(loss, parameters, steps=len(eigenvalues), probes=200, width=0.5)
    expected = np.exp(-(((found.grid[:, None] - eigenvalues) / 0.5) ** 2) / 2).mean(axis=1) / 0.5 / np.sqrt(2 * np.pi)
    assert np.trapezoid(abs(found.density - expected), found.grid) < 0.1
    share = -eigenvalues[eigenvalues < 0].sum() / np.abs(eigenvalues).sum()
    assert share > 0.05
    negative = found.negative
    assert abs(negative.share.value - share) <= 4 * negative.share.standard_error
    assert 0 < negative.share.standard_error < 0.02 and negative.share.probes == 200
    assert negative.ratio == pytest.approx(eigenvalues[0] / eigenvalues[-1], rel=1e-9) and negative.ratio_error < 1e-9
    assert negative.share_converged and negative.ratio_converged


def test_estimate_density__of_a_diagonal_hessian_is_exact():
    loss, parameters, _ = quadratic([4.0] * 5 + [0.0] * 12 + [-2.0] * 3, rotated=False)
    found = estimate_density(loss, parameters, steps=15, probes=1)
    assert found.products == 3
    mass = found.weights[0] > 0
    assert found.nodes[0, mass] == pytest.approx([-2, 0, 4], abs=1e-9)
    assert found.weights[0, mass] == pytest.approx([3 / 20, 12 / 20, 5 / 20])
    negative = found.negative
    assert negative.share.value == pytest.approx(2 * 3 / (4 * 5 + 2 * 3)) and np.isnan(negative.share.standard_error)
    assert negative.ratio == pytest.approx(-2 / 4) and negative.ratio_error == 0
    assert negative.share_converged and negative.ratio_converged
    width = found.width
    peaks = [np.interp(value, found.grid, found.density) for value in (-2, 0, 4)]
    assert peaks == pytest.approx([share / width / np.sqrt(2 * np.pi) for share in (0.15, 0.6, 0.25)], rel=1e-2)
