"""The SAM family against its formulas, written out again on flat vectors in double precision."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from recbole_samrec.optim.hook import SAMHook
from recbole_samrec.optim.schedule import VARIANTS, SAMSettings
from recbole_samrec.optim.variants import compute_orthogonal_parts
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError, TrainingError
from tests.helpers.sam_formulas import FORMULAS, OPTIONS, RATE, RHO, STEPS, by_hand, loss_of, make_batches, network, sam

EXTRA_PASSES = {"sam": 8, "asam": 8, "gsam": 8, "fsam": 8, "msam": 0, "looksam": 3, "random": 8}


class Training:
    """A network that is trained through :class:`SAMHook`, as RecBole's loop would."""

    def __init__(self, settings, model=None, optimizer=torch.optim.SGD, loss=loss_of, **more):
        self.model, self.loss = model or network(), loss
        self.optimizer = optimizer(self.model.parameters(), lr=RATE)
        self.step = SAMHook(self.model, settings, **more)
        self.step.attach(self.optimizer)

    def train(self, batches):
        loss = self.step.recorded(lambda batch: self.loss(self.model, batch))
        for batch in batches:
            self.optimizer.zero_grad()
            loss(batch).backward()
            self.optimizer.step()
        return self

    def weights(self):
        return parameters_to_vector(self.model.parameters()).detach()


@pytest.mark.parametrize("count", [1, 2, STEPS])
@pytest.mark.parametrize("variant", VARIANTS)
def test_variant__is_its_formula(variant, count):
    batches = make_batches(count)
    trained = Training(SAMSettings(RHO, variant, **OPTIONS)).train(batches)
    torch.testing.assert_close(trained.weights(), by_hand(FORMULAS[variant](), batches), rtol=1e-10, atol=1e-12)


def test_variants__all_differ():
    ends = [Training(SAMSettings(RHO, variant, **OPTIONS)).train(make_batches()).weights() for variant in VARIANTS]
    assert all((one - other).norm() > 1e-6 for i, one in enumerate(ends) for other in ends[:i])


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant__takes_its_number_of_second_gradients(variant):
    assert (
        Training(SAMSettings(RHO, variant, **OPTIONS)).train(make_batches()).step.extra_passes == EXTRA_PASSES[variant]
    )


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize("variant", VARIANTS)
def test_variant__without_radius_is_the_optimizer(variant, optimizer):
    plain, batches = network(), make_batches()
    steps = optimizer(plain.parameters(), lr=RATE)
    for batch in batches:
        steps.zero_grad()
        loss_of(plain, batch).backward()
        steps.step()
    for settings in (SAMSettings(0.0, variant, **OPTIONS), SAMSettings(RHO, variant, start=1.0, **OPTIONS)):
        trained = Training(settings, optimizer=optimizer).train(batches)
        assert torch.equal(trained.weights(), parameters_to_vector(plain.parameters()))
        assert trained.step.extra_passes == 0


@pytest.mark.parametrize("params", ["norm", ["1.*", "3.weight"]])
@pytest.mark.parametrize("variant", ["sam", "fsam"])
def test_variant__moves_only_the_chosen_parameters(variant, params):
    model = network()
    moved = torch.cat(
        [
            torch.full((p.numel(),), float(name in ("1.weight", "1.bias") or (params != "norm" and name == "3.weight")))
            for name, p in model.named_parameters()
        ]
    )
    average = 0

    def direction(w, gradient):
        nonlocal average
        g = gradient(w)
        average = 0.7 * average + 0.3 * g
        towards = moved * (g if variant == "sam" else g - 0.8 * average)
        return gradient(w + RHO * towards / towards.norm())

    settings = SAMSettings(RHO, variant, params=params if params == "norm" else tuple(params), **OPTIONS)
    trained = Training(settings).train(make_batches())
    torch.testing.assert_close(trained.weights(), by_hand(direction, make_batches()), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("key", "pattern"), [("params", "a*"), ("exclude", "a*"), ("exclude", "*")])
def test_params__that_leave_nothing_to_move_are_rejected(key, pattern):
    message = f"sam_{key}: " + ("no parameter is called" if pattern == "a*" else ".* leave SAM no parameter to move")
    with pytest.raises(ConfigError, match=message):
        Training(SAMSettings(RHO, **{key: (pattern,)}))
    with pytest.raises(ConfigError, match="sam_params: the model has no embedding layer"):
        Training(SAMSettings(RHO, params="embedding"))


# When, and how far.


def test_radius__follows_its_schedule():
    late = SAMSettings(2.0, start=3.0)
    assert [late.radius(t) for t in (0, 2.99, 3, 3.5, 100)] == [0, 0, 2, 2, 2]
    line = SAMSettings(2.0, start=1.0, schedule="linear", rho_from=1.0, rho_epochs=4.0)
    assert [line.radius(t) for t in (0.9, 1, 2, 3, 4, 5, 9)] == [0, 1, 1.25, 1.5, 1.75, 2, 2]
    wave = SAMSettings(2.0, schedule="cosine", rho_from=4.0, rho_epochs=4.0)
    assert [wave.radius(t) for t in (0, 4, 5)] == [4, 2, 2]
    assert wave.radius(1) == pytest.approx(3 + math.cos(math.pi / 4)) and wave.radius(2) == pytest.approx(3)
    assert SAMSettings(0.0, schedule="linear", rho_from=1.0).radius(5) == 0


def test_radius__changes_step_by_step():
    batches = make_batches(8)
    trained = Training(SAMSettings(RHO, start=1.0, schedule="linear", rho_epochs=1.5))
    for epoch in range(2):
        trained.step.begin_epoch(epoch, 4, item_counts=None)
        trained.train(batches[4 * epoch : 4 * epoch + 4])
    radii = iter([0, 0, 0, 0, *(RHO * share / 1.5 for share in (0, 0.25, 0.5, 0.75))])
    expected = by_hand(lambda w, gradient: sam(next(radii))(w, gradient), batches)
    torch.testing.assert_close(trained.weights(), expected, rtol=1e-10, atol=1e-12)
    assert trained.step.extra_passes == 3


def test_row_radius__follows_frequency():
    model = nn.ModuleDict({"item_embedding": nn.Embedding(4, 2), "user_embedding": nn.Embedding(4, 2)}).double()
    torch.nn.init.normal_(model["item_embedding"].weight), torch.nn.init.normal_(model["user_embedding"].weight)

    def loss(model, batch):
        return (model["item_embedding"](batch) * model["user_embedding"](batch)).sum().square()

    batch, start = torch.tensor([0, 1, 2, 2, 3]), copy.deepcopy(model)
    trained = Training(SAMSettings(RHO, item_rho="frequency"), model, loss=loss)
    trained.step.begin_epoch(0, 1, item_counts=lambda: torch.tensor([0, 8, 2, 4]))
    trained.train([batch])
    items, users = (start[name].weight for name in ("item_embedding", "user_embedding"))
    g, h = torch.autograd.grad(loss(start, batch), [items, users])
    norm = (g.square().sum() + h.square().sum()).sqrt()
    with torch.no_grad():
        moved = copy.deepcopy(start)
        moved["item_embedding"].weight += RHO * torch.tensor([[0.3], [1], [0.3], [0.5]]).double() * g / norm
        moved["user_embedding"].weight += RHO * h / norm
    second = torch.autograd.grad(loss(moved, batch), [moved["item_embedding"].weight, moved["user_embedding"].weight])
    for before, gradient, name in zip((items, users), second, ("item_embedding", "user_embedding"), strict=True):
        torch.testing.assert_close(model[name].weight, before - RATE * gradient, rtol=1e-6, atol=1e-8)


def test_row_radius__by_frequency_needs_an_item_table():
    trained = Training(SAMSettings(RHO, item_rho="frequency"))
    with pytest.raises(ConfigError, match=r"sam_item_rho=frequency: Sequential has no .* choose uniform"):
        trained.step.begin_epoch(0, 1, item_counts=lambda: torch.ones(4))


# What is kept from step to step.


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant__state_resumes_in_the_same_bits(variant, tmp_path):
    settings, batches = SAMSettings(RHO, variant, **OPTIONS), make_batches()
    whole = Training(settings).train(batches)
    part = Training(settings).train(batches[:4])
    checkpoint_io.save(tmp_path / "state.pth", {"weights": part.model.state_dict(), "sam": part.step.state_dict()})
    state = checkpoint_io.load(tmp_path / "state.pth")
    resumed = Training(settings, network(seed=5))
    resumed.model.load_state_dict(state["weights"])
    resumed.step.load_state_dict(state["sam"])
    resumed.train(batches[4:])
    assert torch.equal(resumed.weights(), whole.weights())
    assert resumed.step.extra_passes == whole.step.extra_passes


def test_msam__moves_weights_only_from_loss_to_step():
    trained = Training(SAMSettings(RHO, "msam")).train(make_batches(3))
    before, seen = trained.weights(), []

    def loss(model, batch):
        seen.append(trained.weights())
        raise KeyboardInterrupt

    trained.loss = loss
    with pytest.raises(KeyboardInterrupt):
        trained.train(make_batches(1))
    assert (seen[0] - before).norm().item() == pytest.approx(RHO)
    trained.step.settle()
    assert torch.equal(trained.weights(), before)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant__keeps_no_trace_of_a_skipped_step(variant):
    """A bad first gradient changes neither the weights nor the stored state, even with moved weights."""
    batches, settings = make_batches(), SAMSettings(RHO, variant, **OPTIONS)
    bad = torch.full_like(batches[0], torch.nan)
    whole = Training(settings).train(batches)
    disturbed = Training(settings)
    for batch in batches:
        disturbed.train([bad, batch])
    assert torch.equal(disturbed.weights(), whole.weights())
    assert disturbed.step.skipped == STEPS  # found out after the second gradient, with one look at the device
    assert disturbed.step.extra_passes == 2 * whole.step.extra_passes


@pytest.mark.parametrize("variant", ["sam", "asam", "gsam", "fsam"])
def test_variant__skips_a_bad_second_gradient(variant):
    batches, settings = make_batches(), SAMSettings(RHO, variant, **OPTIONS)
    trained = Training(settings).train(batches[:1])
    before = trained.weights()
    good = trained.loss
    trained.loss = lambda model, batch: (
        good(model, batch) * (1.0 if torch.equal(trained.weights(), before) else torch.nan)
    )
    trained.train(batches[1:3])
    trained.loss = good
    assert trained.step.skipped == 2 and torch.equal(trained.weights(), before)
    assert trained.train(batches[3:]).weights().isfinite().all()


def test_looksam__takes_a_bad_second_gradient_again():
    batches, settings = make_batches(), SAMSettings(RHO, "looksam", **OPTIONS)
    expected = Training(settings).train(batches).weights()
    trained = Training(settings)
    start, good = trained.weights(), trained.loss
    trained.loss = lambda model, batch: (
        good(model, batch) * (1.0 if torch.equal(trained.weights(), start) else torch.inf)
    )
    trained.train(batches[:1])
    trained.loss = good
    assert trained.step.skipped == 1
    assert torch.equal(trained.train(batches).weights(), expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant__with_a_scaler_changes_no_bit(variant):
    """With the scaler of half precision: scales are powers of two, so that only a missing one would show."""
    trained = []
    for enabled in (False, True):
        one = Training(SAMSettings(RHO, variant, **OPTIONS), model=network().float())
        outer = torch.amp.GradScaler("cpu", enabled=enabled)
        one.step.watch(outer)
        one.step.scaler = torch.amp.GradScaler("cpu", enabled=enabled)
        loss = one.step.recorded(lambda batch, one=one: loss_of(one.model, batch.float()))
        for index, batch in enumerate(make_batches()):
            one.optimizer.zero_grad()
            value = loss(batch)
            outer.scale(value * (torch.inf if enabled and index == 4 else 1.0)).backward()
            if enabled or index != 4:
                outer.step(one.optimizer)
                outer.update()
            else:
                one.step.settle()
        trained.append(one.weights())
    assert torch.equal(*trained)


def test_variant__ignores_parameters_without_a_gradient():
    def loss(model, batch):
        return loss_of(model["used"], batch)

    for variant in VARIANTS:
        model = nn.ModuleDict({"used": network(), "idle": nn.Linear(2, 2).double()})
        idle = model["idle"].weight.detach().clone()
        Training(SAMSettings(RHO, variant, **OPTIONS), model, loss=loss).train(make_batches())
        expected = by_hand(FORMULAS[variant](), make_batches())
        torch.testing.assert_close(parameters_to_vector(model["used"].parameters()), expected, rtol=1e-10, atol=1e-12)
        assert torch.equal(model["idle"].weight, idle) and model["idle"].weight.grad is None


# Sparse gradients.


def train_table(variant, sparse, optimizer=torch.optim.SGD):
    torch.manual_seed(0)
    table = nn.Embedding(9, 3, sparse=sparse).double()
    targets = torch.randn(9, 3, dtype=torch.float64)
    settings = SAMSettings(RHO, variant, **OPTIONS)
    loss = lambda table, rows: (table(rows) - targets[rows]).pow(4).sum()  # noqa: E731
    training = Training(settings, table, optimizer, loss=loss)
    return training.train(torch.tensor([[1, 4, 4], [2, 4, 8], [8, 8, 0]])).weights()


@pytest.mark.parametrize("variant", ["sam", "asam", "gsam"])
def test_variant__trains_alike_on_sparse_and_dense_gradients(variant):
    torch.testing.assert_close(train_table(variant, True), train_table(variant, False), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("variant", ["fsam", "msam", "looksam"])
def test_variant__with_a_memory_rejects_sparse_gradients(variant):
    message = f"sam_variant={variant}: it keeps a vector as long as all weights.*choose sam, asam or gsam"
    with pytest.raises(ConfigError, match=message):
        train_table(variant, True)


def test_compute_orthogonal_parts__is_the_formula():
    a, b = torch.randn(2, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = compute_orthogonal_parts([a[:3], a[3:].view(2, 2)], [b[:3], b[3:].view(2, 2)])
    whole = torch.cat([part.flatten() for part in parts])
    assert abs(whole @ b) < 1e-14
    torch.testing.assert_close(a - whole, (a @ b) / (b @ b) * b, rtol=1e-12, atol=1e-14)
    assert torch.equal(compute_orthogonal_parts([a], [torch.zeros_like(b)])[0], a)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant__in_single_and_half_precision(variant):
    """A layer in half precision among others: gradients keep their dtypes, and weights are restored bit for bit."""
    model = network().float()
    model[3].bfloat16()
    before = [p.detach().clone() for p in model.parameters()]
    steps = SAMSettings(RHO, variant, **OPTIONS)
    trained = Training(steps, model, loss=loss_of_mixed)
    for group in trained.optimizer.param_groups:
        group["lr"] = 0.0
    for batch in make_batches(4):
        trained.train([batch])
        assert all(p.grad.dtype == p.dtype and p.grad.isfinite().all() for p in model.parameters())
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))


def loss_of_mixed(model, batch):
    hidden = model[2](model[1](model[0](batch[:, :3].float())))
    return (model[3](hidden.bfloat16()).float().squeeze(1) - batch[:, 3].float()).square().mean()


def test_gsam__takes_dense_and_sparse_gradients_together():
    """A sparse table beside a dense layer gives the same weights as a dense table beside it."""
    ends = []
    for sparse in (True, False):
        torch.manual_seed(0)
        model = nn.ModuleList([nn.Embedding(6, 3, sparse=sparse), nn.Linear(3, 2)]).double()
        for variant in ("sam", "asam", "gsam"):
            Training(
                SAMSettings(RHO, variant, **OPTIONS),
                model,
                loss=lambda model, rows: model[1](model[0](rows)).square().sum(),
            ).train(torch.tensor([[1, 4, 4], [2, 0, 1]]))
        ends.append(parameters_to_vector(model.parameters()).detach())
    torch.testing.assert_close(*ends, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant__with_zero_gradients_moves_nothing(variant):
    trained = Training(SAMSettings(RHO, variant, **OPTIONS), loss=lambda model, batch: 0 * loss_of(model, batch))
    before = trained.weights()
    trained.train(make_batches(4))
    assert torch.equal(trained.weights(), before) and trained.step.skipped == 0


def test_looksam__ends_training_after_bad_steps_in_a_row():
    trained = Training(SAMSettings(RHO, "looksam"), patience=2)
    with pytest.raises(TrainingError, match="2 steps in a row"):
        trained.train([torch.full((2, 4), torch.nan, dtype=torch.float64)] * 3)
