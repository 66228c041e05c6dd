"""Loss surfaces: directions, lines and planes of known losses, and restored weights."""

import numpy as np
import pytest
import torch

from recbole_samrec.analysis.hessian import ChunkedLoss
from recbole_samrec.analysis.landscape import (
    compute_line,
    compute_surface,
    draw_direction,
    interpolate_loss,
    make_positions,
)


@pytest.fixture
def parameters():
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape):
        return torch.nn.Parameter(torch.randn(shape, generator=generator))

    table = drawn(5, 4)
    with torch.no_grad():
        table[0] = 0  # the padding item
    return {"table.weight": table, "conv.weight": drawn(3, 2, 2), "norm.weight": drawn(4), "norm.bias": drawn(4)}


def quadratic(parameters, scales):
    return lambda: sum((scale * p.square()).sum() for scale, p in zip(scales, parameters.values(), strict=True))


def bits(parameters):
    return {name: p.detach().numpy().tobytes() for name, p in parameters.items()}


def ones(parameters, chosen):
    return [torch.full_like(p, float(name == chosen)) for name, p in parameters.items()]


class Counted:
    """A loss that counts its calls and fails at one of them."""

    def __init__(self, loss, fails_at=None, error=RuntimeError):
        self.loss, self.fails_at, self.error, self.calls = loss, fails_at, error, 0

    def __call__(self):
        self.calls += 1
        if self.calls == self.fails_at:
            raise self.error("stopped")
        return self.loss()


@pytest.mark.parametrize("count", [3, 7, 31, 51])
def test_make_positions__is_symmetric_around_an_exact_zero(count):
    found = make_positions(0.3, count)
    assert len(found) == count and found[count // 2] == 0 and found[-1] == 0.3
    assert (found == -found[::-1]).all()
    np.testing.assert_allclose(np.diff(found), 0.6 / (count - 1))


@pytest.mark.parametrize(("reach", "count"), [(0, 3), (-1, 3), (float("nan"), 3), (1, 4), (1, 1)])
def test_make_positions__rejects_an_even_count(reach, count):
    with pytest.raises(ValueError, match="a reach above 0 and an odd count"):
        make_positions(reach, count)


def test_draw_direction__scales_each_filter_to_the_weights(parameters):
    table, conv, weight, bias = draw_direction(parameters, seed=1)
    for row, w in zip(table, parameters["table.weight"], strict=True):
        assert row.square().sum().sqrt().item() == pytest.approx(w.square().sum().sqrt().item(), rel=1e-6)
    for out in range(3):
        expected = parameters["conv.weight"][out].square().sum().sqrt().item()
        assert conv[out].square().sum().sqrt().item() == pytest.approx(expected, rel=1e-6)
    assert not weight.any() and not bias.any()


def test_draw_direction__is_the_formula():
    weight = torch.tensor([[3.0, 4.0], [0.0, 0.6]])
    noise = torch.randn((2, 2), generator=torch.Generator().manual_seed(7))
    (found,) = draw_direction({"weight": weight}, seed=7)
    expected = [[n / noise[row].norm().item() * (5.0, 0.6)[row] for n in noise[row].tolist()] for row in (0, 1)]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_draw_direction__does_not_move_a_row_of_zeros(parameters):
    table = draw_direction(parameters, seed=1)[0]
    assert not table[0].any() and table[1:].all()


def test_draw_direction__survives_a_draw_of_zeros(parameters, monkeypatch):
    monkeypatch.setattr(torch, "randn", lambda shape, **_: torch.zeros(shape))
    assert not any(d.any() for d in draw_direction(parameters, seed=1, vectors="scale"))


def test_draw_direction__scales_vectors_as_one_filter(parameters):
    ignored, scaled = (draw_direction(parameters, seed=1, vectors=how) for how in ("ignore", "scale"))
    assert torch.equal(ignored[0], scaled[0]) and torch.equal(ignored[1], scaled[1])
    for direction, name in zip(scaled[2:], ("norm.weight", "norm.bias"), strict=True):
        assert direction.norm().item() == pytest.approx(parameters[name].norm().item(), rel=1e-6)


def test_draw_direction__scales_layers_as_a_whole(parameters):
    table = draw_direction(parameters, seed=1, normalize="layer")[0]
    assert table.norm().item() == pytest.approx(parameters["table.weight"].norm().item(), rel=1e-6)
    assert table[0].all()


def test_draw_direction__scales_with_the_rows_of_the_model(parameters):
    scaled = {name: p.detach() * 8 for name, p in parameters.items()}
    for one, other in zip(draw_direction(parameters, 1), draw_direction(scaled, 1), strict=True):
        assert torch.equal(8 * one, other)


def test_draw_direction__follows_its_seed_and_type(parameters):
    halved = {name: p.detach().bfloat16() for name, p in parameters.items()}
    first, again, other = (draw_direction(parameters, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert {d.dtype for d in draw_direction(halved, 1)} == {torch.bfloat16}


def test_draw_direction__can_be_orthogonal(parameters):
    def product(one, other):
        return sum((a.double() * b.double()).sum().item() for a, b in zip(one, other, strict=True))

    first, free = (draw_direction(parameters, seed) for seed in (1, 2))
    second = draw_direction(parameters, 2, orthogonal_to=first)
    assert abs(product(first, free)) > 0.1
    assert abs(product(first, second)) < 1e-5
    share = product(first, free) / product(first, first)
    for a, b, c in zip(second, free, first, strict=True):
        torch.testing.assert_close(a, b - share * c)
    zeros = [torch.zeros_like(p) for p in parameters.values()]
    unchanged = draw_direction(parameters, 2, orthogonal_to=zeros)
    assert all(torch.equal(a, b) for a, b in zip(unchanged, free, strict=True))


def test_draw_direction__rejects_unknown_options(parameters):
    with pytest.raises(ValueError, match="filter or layer"):
        draw_direction(parameters, 1, normalize="weight")


def test_compute_line__of_a_quadratic_is_exact(parameters):
    scales = [0.5, 2.0, 1.0, 3.0]
    direction = draw_direction(parameters, 1, vectors="scale")
    steps = np.linspace(-1, 2, 7)
    found = compute_line(quadratic(parameters, scales), parameters, direction, steps)
    weights = [p.detach().double() for p in parameters.values()]
    expected = [
        sum(float((s * (w + t * d.double()) ** 2).sum()) for s, w, d in zip(scales, weights, direction, strict=True))
        for t in steps
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_compute_surface__of_a_quadratic_is_exact():
    parameters = {"first": torch.zeros(2, dtype=torch.float64), "second": torch.zeros(3, dtype=torch.float64)}
    directions = [ones(parameters, name) for name in parameters]
    xs, ys = make_positions(1, 5), make_positions(2, 3)
    found = compute_surface(quadratic(parameters, [1.5, 10.0]), parameters, directions, xs, ys)
    # the sum of s w^2 over 2 weights that are all x, and 3 that are all y
    expected = [[2 * 1.5 * x**2 + 3 * 10.0 * y**2 for x in xs] for y in ys]
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert (found == found[::-1]).all() and (found == found[:, ::-1]).all()


def test_compute_surface__has_the_untouched_loss_in_the_middle(parameters):
    with torch.no_grad():
        parameters["norm.bias"][:3] = -0.0  # adding 0 would make it 0.0

    def loss():  # any change of any bit of the weights shows
        return sum(p.detach().numpy().view(np.int32).astype(np.float64).sum() for p in parameters.values())

    untouched = loss()
    directions = [draw_direction(parameters, seed, vectors="scale") for seed in (1, 2)]
    steps = make_positions(1, 3)
    along = compute_line(loss, parameters, directions[0], steps)
    over = compute_surface(loss, parameters, directions, steps, steps)
    assert along[1] == over[1, 1] == untouched
    assert (over[1] == along).all()
    assert (over != untouched).sum() == 8


def test_compute_line__takes_the_weights_as_direction(parameters):
    loss = quadratic(parameters, [1, 1, 1, 1])
    found = compute_line(loss, parameters, [p.detach() for p in parameters.values()], [-1, 0, 1])
    np.testing.assert_allclose(found, [0, loss().item(), 4 * loss().item()], rtol=1e-6)


def test_compute_line__along_an_eigenvector_has_its_curvature(parameters):
    scales = [0.5, 2.0, 1.0, 3.0]  # half of the Hessian's diagonal
    vector = [torch.zeros_like(p) for p in parameters.values()]
    vector[1][0, 0, 0] = 1
    down, here, up = compute_line(quadratic(parameters, scales), parameters, vector, [-1, 0, 1])
    assert up - 2 * here + down == pytest.approx(2 * 2.0, rel=1e-5)


def test_interpolate_loss__is_exact_at_both_sets(parameters):
    first = {name: torch.randn_like(p) for name, p in parameters.items()}
    second = {name: 1e4 * torch.randn_like(p) for name, p in parameters.items()} | {"buffer": torch.ones(1)}
    loss, seen = quadratic(parameters, [1, 2, 3, 4]), []

    def noted():
        seen.append({name: p.detach().clone() for name, p in parameters.items()})
        return loss()

    before = bits(parameters)
    where = [-0.5, 0, 0.25, 1, 2]
    found = interpolate_loss(noted, parameters, first, second, where)
    assert bits(parameters) == before
    assert all(torch.equal(seen[1][name], first[name]) for name in parameters)
    assert all(torch.equal(seen[3][name], second[name]) for name in parameters)
    expected = [
        sum(
            float((s * ((1 - t) * first[name].double() + t * second[name].double()) ** 2).sum())
            for s, name in zip([1, 2, 3, 4], parameters, strict=True)
        )
        for t in where
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_interpolate_loss__takes_the_live_weights(parameters):
    model = torch.nn.Module()
    for name, p in parameters.items():
        model.register_parameter(name.replace(".", "_"), p)
    live = dict(zip(parameters, model.state_dict().values(), strict=True))
    other = {name: torch.zeros_like(p) for name, p in parameters.items()}
    loss = quadratic(parameters, [1, 1, 1, 1])
    here = loss().item()
    np.testing.assert_allclose(
        interpolate_loss(loss, parameters, live, other, [1, 0.5, 0]), [0, here / 4, here], rtol=1e-6
    )


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_landscape__restores_weights_after_an_error(parameters, error):
    with torch.no_grad():
        parameters["norm.bias"][:2] = torch.tensor([-0.0, 1e-42])  # that adding and subtracting would lose
    before = bits(parameters)
    direction = draw_direction(parameters, 1, vectors="scale")
    other = {name: torch.ones_like(p) for name, p in parameters.items()}
    loss = quadratic(parameters, [1, 1, 1, 1])
    for fails_at in (None, 2):
        for draw in (
            lambda loss: compute_line(loss, parameters, direction, [1, 2, 3]),
            lambda loss: compute_surface(loss, parameters, [direction, direction], [1, 2, 3], [1]),
            lambda loss: interpolate_loss(loss, parameters, other, other, [0, 1, 2]),
        ):
            if fails_at:
                with pytest.raises(error):
                    draw(Counted(loss, fails_at, error))
            else:
                draw(loss)
            assert bits(parameters) == before


@pytest.mark.parametrize("fails_at", [1, 4, 6, 7])  # within rows and at their ends: a row has three points
def test_compute_surface__resumes_where_it_stopped(parameters, fails_at):
    directions = [draw_direction(parameters, seed) for seed in (1, 2)]
    loss, xs, ys = quadratic(parameters, [1, 2, 3, 4]), make_positions(1, 3), [-2, 0.5, 4]
    whole = compute_surface(loss, parameters, directions, xs, ys)

    kept = {}
    stopped = Counted(loss, fails_at)
    with pytest.raises(RuntimeError, match="stopped"):
        compute_surface(stopped, parameters, directions, xs, ys, save=lambda values: kept.update(values=values.copy()))
    assert np.isfinite(kept["values"]).sum() == fails_at - 1
    rest, told = Counted(loss), []
    found = compute_surface(
        rest, parameters, directions, xs, ys, done=kept["values"], progress=lambda *done: told.append(done)
    )
    assert found.tobytes() == whole.tobytes()
    assert rest.calls == 9 - (fails_at - 1)
    assert told == [(n, 9) for n in range(fails_at, 10)]
    again = Counted(loss)
    assert compute_surface(again, parameters, directions, xs, ys, done=found).tobytes() == whole.tobytes()
    assert again.calls == 0


def test_compute_line__resumes_where_it_stopped(parameters):
    direction, loss = draw_direction(parameters, 1), quadratic(parameters, [1, 2, 3, 4])
    other = {name: torch.ones_like(p) for name, p in parameters.items()}
    for draw in (
        lambda loss, **more: compute_line(loss, parameters, direction, [0, 1, 2], **more),
        lambda loss, **more: interpolate_loss(loss, parameters, other, parameters, [0, 1, 2], **more),
    ):
        whole, rest = draw(loss), Counted(loss)
        assert draw(rest, done=[whole[0], np.nan, whole[2]]).tobytes() == whole.tobytes()
        assert rest.calls == 1


def test_compute_surface__saves_after_each_row(parameters):
    directions, counts = [draw_direction(parameters, seed) for seed in (1, 2)], []
    loss = quadratic(parameters, [1, 1, 1, 1])
    compute_surface(
        loss, parameters, directions, [0, 1, 2], [0, 1], save=lambda v: counts.append(int(np.isfinite(v).sum()))
    )
    assert counts == [3, 6]


def test_compute_line__takes_a_chunked_loss(parameters):
    first, second = quadratic(parameters, [1, 2, 3, 4]), quadratic(parameters, [5, 0, 1, 2])
    direction = draw_direction(parameters, 1)
    whole, one, other = (
        compute_line(loss, parameters, direction, [-1, 0, 1])
        for loss in (ChunkedLoss([first, second], [3, 1]), first, second)
    )
    np.testing.assert_allclose(whole, (3 * one + other) / 4, rtol=1e-14)


def test_compute_line__does_not_write_to_done(parameters):
    done = np.full(2, np.nan)
    compute_line(quadratic(parameters, [1, 1, 1, 1]), parameters, draw_direction(parameters, 1), [0, 1], done=done)
    assert np.isnan(done).all()


def test_compute_line__stores_nan_as_inf(parameters):
    direction = draw_direction(parameters, 1)
    found = compute_line(lambda: torch.tensor(float("nan")), parameters, direction, [0, 1])
    assert (found == np.inf).all()
    again = Counted(lambda: 0.0)
    compute_line(again, parameters, direction, [0, 1], done=found)
    assert again.calls == 0


def test_compute_line__keeps_no_graph(parameters):
    graphs, loss = [], quadratic(parameters, [1, 1, 1, 1])

    def noted():
        value = loss()
        graphs.append(value.requires_grad)
        return value

    compute_line(noted, parameters, draw_direction(parameters, 1), [0, 1])
    assert graphs == [False, False] and torch.is_grad_enabled()
    assert all(p.requires_grad and p.grad is None for p in parameters.values())


def test_landscape__rejects_misfits_by_name(parameters):
    loss, direction = quadratic(parameters, [1, 1, 1, 1]), draw_direction(parameters, 1)
    whole = {name: p.detach() for name, p in parameters.items()}
    with pytest.raises(ValueError, match="4 parameters need as many tensors, not 3"):
        compute_line(loss, parameters, direction[:3], [0])
    with pytest.raises(ValueError, match=r"norm.bias is \[4\], the tensor given for it \[1\]"):
        compute_line(loss, parameters, [*direction[:3], torch.ones(1)], [0])
    with pytest.raises(ValueError, match=r"lacks conv\.weight"):
        interpolate_loss(loss, parameters, {"table.weight": whole["table.weight"]}, whole, [0])
    with pytest.raises(ValueError, match=r"of shape \(2,\), the positions of \(3,\)"):
        compute_line(loss, parameters, direction, [0, 1, 2], done=np.zeros(2))
