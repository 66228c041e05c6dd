"""SAM's formulas, written out again in numpy and double precision."""

import numpy as np
import pytest
import torch
from torch import nn

from recbole_samrec.optim.perturbation import compute_ascent, compute_norm, perturb, select_parameters
from tests.helpers.tensor_sizes import Sizes

SHAPES = [(4, 3), (3,), (2, 2, 2)]
RHO, ETA = 0.3, 0.01


def make_parameters(dtypes=(torch.float64,) * 3, seed=0):
    """Parameters with random weights and gradients."""
    draw = torch.Generator().manual_seed(seed)
    parameters = []
    for shape, dtype in zip(SHAPES, dtypes, strict=True):
        parameter = nn.Parameter(torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype))
        parameter.grad = torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype)
        parameters.append(parameter)
    return parameters


def flat(tensors) -> np.ndarray:
    """All tensors concatenated into one vector in double precision."""
    dense = [t.detach().to_dense() if t.is_sparse else t.detach() for t in tensors]
    return np.concatenate([t.to(torch.float64).numpy().ravel() for t in dense])


def formula(weights: np.ndarray, gradient: np.ndarray, adaptive: bool) -> np.ndarray:
    """SAM's step, and ASAM's in units of ``T = |w| + eta``."""
    unit = np.abs(weights) + ETA if adaptive else np.ones_like(weights)
    return RHO * unit**2 * gradient / np.sqrt(np.sum((unit * gradient) ** 2))


def bits(tensors) -> list[bytes]:
    return [t.detach().contiguous().view(torch.uint8).numpy().tobytes() for t in tensors]


@pytest.mark.parametrize("adaptive", [False, True])
def test_compute_ascent__is_the_formula(adaptive):
    parameters = make_parameters()
    weights, gradient = flat(parameters), flat([p.grad for p in parameters])
    expected = formula(weights, gradient, adaptive)
    np.testing.assert_allclose(flat(compute_ascent(parameters, RHO, adaptive, ETA)), expected, rtol=1e-13)
    with perturb(parameters, RHO, adaptive, ETA) as moved:
        assert [id(p) for p in moved] == [id(p) for p in parameters]
        np.testing.assert_allclose(flat(parameters), weights + expected, rtol=1e-13)


def test_compute_norm__is_that_of_all_tensors_together():
    gradients = [p.grad for p in make_parameters()]
    assert compute_norm(gradients).item() == pytest.approx(np.linalg.norm(flat(gradients)), rel=1e-14)
    twice = torch.sparse_coo_tensor([[1, 1]], torch.tensor([[1.0, 2.0], [2.0, 2.0]]), (3, 2))
    assert compute_norm([twice]).item() == 5.0
    halves = [torch.full((100_000,), 0.1, dtype=torch.bfloat16), torch.tensor([3e4, 3e4], dtype=torch.float16)]
    assert compute_norm(halves).item() == pytest.approx(np.linalg.norm(flat(halves)), rel=1e-6)


@pytest.mark.parametrize("adaptive", [False, True])
def test_perturb__restores_weights_bit_for_bit(adaptive):
    parameters = make_parameters()
    with torch.no_grad():
        parameters[1][0] = -0.0
    before = bits(parameters)
    with perturb(parameters, RHO, adaptive, ETA):
        assert bits(parameters) != before
    assert bits(parameters) == before


def test_perturb__restores_after_errors_and_writes():
    parameters = make_parameters()
    before = bits(parameters)
    with pytest.raises(ZeroDivisionError), perturb(parameters, RHO):
        raise ZeroDivisionError
    assert bits(parameters) == before
    with perturb(parameters, RHO):
        torch.optim.SGD(parameters, lr=1.0).step()
    assert bits(parameters) == before


def test_perturb__lets_the_block_replace_gradients():
    parameters = make_parameters()
    with perturb(parameters, RHO):
        for parameter in parameters:
            parameter.grad = None
        sum((p**2).sum() for p in parameters).backward()
    again = make_parameters()
    perturbed = flat(again) + formula(flat(again), flat([p.grad for p in again]), False)
    np.testing.assert_allclose(flat([p.grad for p in parameters]), 2 * perturbed, rtol=1e-13)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_perturb__moves_only_rows_of_sparse_gradients(adaptive, dtype):
    table = nn.Parameter(torch.linspace(-1, 1, 10, dtype=torch.float64).view(5, 2).to(dtype))
    other = make_parameters()[1]
    rows = torch.tensor([[3, 1, 3]])
    table.grad = torch.sparse_coo_tensor(rows, torch.tensor([[1.0, 2], [3, 4], [5, 6]]).to(dtype), (5, 2))
    before, weights = bits([table, other]), flat([table, other])
    step = formula(weights, flat([table.grad, other.grad]), adaptive)
    with perturb([table, other], RHO, adaptive, ETA):
        moved = flat([table, other]) - weights
        rounding = 1e-15 if dtype == torch.float64 else 2**-8
        np.testing.assert_allclose(moved, step, rtol=1e-12, atol=rounding)
        assert set(np.flatnonzero(moved[:10])) <= {2, 3, 6, 7}
    assert bits([table, other]) == before


def test_compute_ascent__takes_sparse_gradients_of_elements():
    table = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64))
    table.grad = torch.sparse_coo_tensor([[0, 1], [1, 0]], torch.tensor([1.0, -1.0], dtype=torch.float64), (2, 2))
    expected = formula(flat([table]), flat([table.grad]), True)
    np.testing.assert_allclose(flat(compute_ascent([table], RHO, True, ETA)), expected, rtol=1e-14)


def test_perturb__leaves_parameters_without_a_gradient():
    parameters = make_parameters()
    parameters[1].grad = None
    before = bits(parameters)
    with perturb(parameters, RHO) as moved:
        assert [id(p) for p in moved] == [id(parameters[0]), id(parameters[2])]
        assert bits(parameters)[1] == before[1]
        moves = flat([parameters[0], parameters[2]]) - flat([make_parameters()[0], make_parameters()[2]])
    assert np.linalg.norm(moves) == pytest.approx(RHO)
    for parameter in parameters:
        parameter.grad = None
    with perturb(parameters, RHO) as moved:
        assert moved == []


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("value", [0.0, float("inf"), float("-inf"), float("nan")])
def test_perturb__ignores_zero_inf_and_nan(value, dtype, adaptive):
    parameters = make_parameters((dtype,) * 3)
    for parameter in parameters:
        if value == 0:
            parameter.grad.zero_()
    parameters[1].grad[1] = value
    with perturb(parameters, RHO, adaptive, ETA):
        assert all(torch.equal(a, b) for a, b in zip(parameters, make_parameters((dtype,) * 3), strict=True))


@pytest.mark.parametrize("value", [0.0, float("inf"), float("nan")])
def test_perturb__ignores_zero_inf_and_nan_in_sparse_gradients(value):
    table = nn.Parameter(torch.ones(3, 2))
    table.grad = torch.sparse_coo_tensor([[1, 2]], torch.tensor([[value, value], [0.0, value]]), (3, 2))
    with perturb([table], RHO):
        assert torch.equal(table, torch.ones(3, 2))


@pytest.mark.parametrize("adaptive", [False, True])
def test_perturb__moves_several_precisions_together(adaptive):
    parameters = make_parameters((torch.float64, torch.float32, torch.bfloat16))
    weights = flat(parameters)
    step = formula(weights, flat([p.grad for p in parameters]), adaptive)
    before = bits(parameters)
    np.testing.assert_allclose(flat(compute_ascent(parameters, RHO, adaptive, ETA)), step, rtol=1e-6)
    with perturb(parameters, RHO, adaptive, ETA):
        moved = flat(parameters) - weights
        np.testing.assert_allclose(moved[:15], step[:15], rtol=1e-5, atol=2**-24)
        np.testing.assert_allclose(moved[15:], step[15:], atol=2**-8 * np.abs(weights[15:] + step[15:]).max())
    assert bits(parameters) == before


def test_compute_ascent__in_bfloat16_is_as_long_as_rho():
    parameter = nn.Parameter(torch.zeros(1000, dtype=torch.bfloat16))
    parameter.grad = torch.full((1000,), 1e-30, dtype=torch.bfloat16).add_(1e-3)
    assert np.linalg.norm(flat(compute_ascent([parameter], RHO))) == pytest.approx(RHO, rel=1e-6)


def test_compute_ascent__survives_small_float16_gradients():
    parameter = nn.Parameter(torch.zeros(4, dtype=torch.float16))
    parameter.grad = torch.full((4,), 6e-8, dtype=torch.float16)
    assert np.linalg.norm(flat(compute_ascent([parameter], RHO))) == pytest.approx(RHO, rel=1e-3)


def test_perturb__by_zero_changes_no_bit():
    parameters = make_parameters()
    with torch.no_grad():
        parameters[1][0] = -0.0
    before = bits(parameters + [p.grad for p in parameters])
    with perturb(parameters, 0.0) as moved:
        assert moved == []
        assert bits(parameters + [p.grad for p in parameters]) == before


@pytest.mark.parametrize("rho", [-1e-9, float("nan")])
def test_perturb__rejects_a_negative_or_nan_radius(rho):
    parameters = make_parameters()
    before = bits(parameters)
    with pytest.raises(ValueError, match="rho must be at least 0"), perturb(parameters, rho):
        pass
    assert bits(parameters) == before


class OwnNorm(nn.Module):
    """A normalization layer that is not one of torch's."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))


def test_select_parameters__by_kind_or_by_name():
    layers = {"table": nn.Embedding(3, 2), "LayerNorm": nn.LayerNorm(2), "linear": nn.Linear(2, 2), "own": OwnNorm()}
    model = nn.ModuleDict(layers)
    model["linear"].bias.requires_grad_(False)
    everything = ["table.weight", "LayerNorm.weight", "LayerNorm.bias", "linear.weight", "own.scale"]
    assert list(select_parameters(model)) == everything
    assert all(parameter is model.get_parameter(name) for name, parameter in select_parameters(model).items())
    assert list(select_parameters(model, "norm")) == ["LayerNorm.weight", "LayerNorm.bias", "own.scale"]
    assert list(select_parameters(model, "embedding")) == ["table.weight"]
    assert list(select_parameters(model, "*Norm*")) == ["LayerNorm.weight", "LayerNorm.bias"]
    assert list(select_parameters(model, ["linear.weight", "tab*"])) == ["table.weight", "linear.weight"]
    with pytest.raises(ValueError, match=r"no parameter is called 'layernorm\*'; there are: table.weight"):
        select_parameters(model, ["*", "layernorm*"])
    with pytest.raises(ValueError, match="no parameter is called 'linear"):
        select_parameters(model, "linear.bias")  # it is not trained
    with pytest.raises(ValueError, match="no norm layer"):
        select_parameters(model["linear"], "norm")


def test_compute_ascent__scales_rows_by_their_radius():
    table, other = nn.Parameter(torch.randn(4, 3).double()), make_parameters()[0]
    radius = torch.tensor([1.0, 0.5, 0.3, 0.0])
    table.grad = torch.randn(4, 3).double()
    expected = formula(flat([table, other]), flat([table.grad, other.grad]), False)
    expected[:12] *= np.repeat(radius.double().numpy(), 3)
    np.testing.assert_allclose(
        flat(compute_ascent([table, other], RHO, row_radius={table: radius})), expected, rtol=1e-12
    )
    table.grad[0] = 0
    dense = compute_ascent([table, other], RHO, row_radius={table: radius})
    table.grad = torch.sparse_coo_tensor([[3, 1, 2]], table.grad[[3, 1, 2]], (4, 3))
    sparse = compute_ascent([table, other], RHO, row_radius={table: radius})
    assert sparse[0].is_sparse
    np.testing.assert_allclose(flat(sparse), flat(dense), rtol=1e-12)


def test_compute_ascent__follows_another_direction():
    parameters, directions = make_parameters(), [p.grad for p in make_parameters(seed=3)]
    expected = formula(flat(parameters), flat(directions), False)
    np.testing.assert_allclose(flat(compute_ascent(parameters, RHO, directions=directions)), expected, rtol=1e-13)


@pytest.mark.parametrize("adaptive", [False, True])
def test_perturb__costs_no_more_for_a_larger_sparse_table(adaptive):
    table = nn.Embedding(10_000, 4, sparse=True)
    rows = torch.tensor([7, 9_999, 7, 0])
    table(rows).square().sum().backward()
    radius = {table.weight: torch.ones(10_000)}
    untouched = torch.ones(10_000, dtype=torch.bool)
    untouched[rows] = False
    before = bits([table.weight])
    for row_radius in ({}, radius):
        with Sizes(table.weight) as sizes, perturb([table.weight], RHO, adaptive, ETA, row_radius):
            moved = table.weight.data_ptr()
            table.weight.data[5] = 3.0  # who writes into other rows keeps what he wrote
        assert 0 < sizes.largest <= 4 * len(rows)
        assert table.weight.data_ptr() == moved and torch.equal(table.weight[5], torch.full((4,), 3.0))
    table.weight.data[5] = torch.frombuffer(bytearray(before[0]), dtype=torch.float32).view(-1, 4)[5]
    assert bits([table.weight]) == before


@pytest.mark.parametrize("adaptive", [False, True])
def test_perturb__is_invariant_to_rescaling_for_asam_only(adaptive):
    """w1 * a and w2 / a are the same function; ASAM perturbs it in the same way, SAM does not."""
    inputs = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    outputs = []
    for scale in (1.0, 10.0):
        draw = torch.Generator().manual_seed(2)
        first = nn.Parameter(torch.randn(4, 3, dtype=torch.float64, generator=draw) * scale)
        second = nn.Parameter(torch.randn(1, 4, dtype=torch.float64, generator=draw) / scale)

        def function(first=first, second=second):
            return torch.relu(inputs @ first.T) @ second.T

        function().square().mean().backward()
        with perturb([first, second], RHO, adaptive, eta=1e-12):
            outputs.append(function().detach())
    assert torch.allclose(*outputs, rtol=1e-9) == adaptive
