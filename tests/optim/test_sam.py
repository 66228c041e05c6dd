"""The public optimizer against its formulas, in the loops of torch, Lightning and Accelerate."""

import copy
import inspect
import io
import random
import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parameters_to_vector

from recbole_samrec.optim.sam import SAM
from recbole_samrec.optim.schedule import VARIANTS
from recbole_samrec.optim.variants import CLASSES
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.paths import ROOT
from tests.helpers.sam_formulas import FORMULAS, OPTIONS, RATE, RHO, by_hand, loss_of, make_batches, network, sam

READS = {
    "gsam": ("gsam_alpha",),
    "fsam": ("momentum", "fsam_sigma"),
    "msam": ("momentum",),
    "looksam": ("looksam_k", "looksam_alpha"),
    "random": ("seed",),
}
TWO_CALLS = ("sam", "asam", "gsam", "fsam", "random")


def options(variant):
    return {name: OPTIONS[name] for name in READS.get(variant, ())}


def make_sam(trained, variant="sam", optimizer=torch.optim.SGD, rho=RHO, **more):
    return SAM(optimizer(trained.parameters(), lr=RATE), rho, variant, **options(variant), **more)


def make_closure(step, model, batch, loss=loss_of, scaler=None, set_to_none=True):
    def closure():
        step.zero_grad(set_to_none=set_to_none)
        value = loss(model, batch)
        (value if scaler is None else scaler.scale(value)).backward()
        return value

    return closure


def train(step, model, batches, **more):
    return [step.step(make_closure(step, model, batch, **more)).item() for batch in batches]


def train_plainly(optimizer, model, batches):
    for batch in batches:
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        optimizer.step()


def vector(model):
    return parameters_to_vector(model.parameters()).detach()


def assert_close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


# The formulas.


def test_sam__docstring_example_is_the_formula():
    source = inspect.getdoc(SAM).split("Example::\n", 1)[1].split("\n\n``param_groups``")[0]
    before, names = torch.get_default_dtype(), {}
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(0)
        exec(textwrap.dedent(source), names)
        torch.manual_seed(0)
        by_hand_model = nn.Linear(8, 1)
    finally:
        torch.set_default_dtype(before)
    model, batches = names["model"], names["batches"]
    optimizer = torch.optim.AdamW(by_hand_model.parameters(), lr=0.01)
    parameters = list(by_hand_model.parameters())
    for inputs, targets in batches:
        first = torch.autograd.grad((by_hand_model(inputs) - targets).square().mean(), parameters)
        norm = sum(g.square().sum() for g in first).sqrt()
        perturbed = [p + 0.05 * g / norm for p, g in zip(parameters, first, strict=True)]
        loss = (inputs @ perturbed[0].T + perturbed[1] - targets).square().mean()
        for parameter, second in zip(parameters, torch.autograd.grad(loss, perturbed), strict=True):
            parameter.grad = second
        optimizer.step()
    assert_close(vector(model), vector(by_hand_model))


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_sam__variant_is_its_formula(variant, set_to_none):
    model = network()
    train(make_sam(model, variant), model, make_batches(), set_to_none=set_to_none)
    assert_close(vector(model), by_hand(FORMULAS[variant](), make_batches()))


def test_sam_step__returns_the_first_loss():
    model, (batch, *_) = network(), make_batches()
    losses = []

    def loss(model, batch):
        losses.append(loss_of(model, batch))
        return losses[-1]

    start = loss_of(model, batch).item()
    assert train(make_sam(model), model, [batch], loss=loss) == [start]
    assert [value.item() for value in losses] == [start, pytest.approx(losses[1].item())] and losses[1] > losses[0]


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("variant", VARIANTS)
def test_sam__without_radius_is_the_optimizer_bit_for_bit(variant, optimizer):
    model, plain = network(), network()
    train(make_sam(model, variant, optimizer, rho=0), model, make_batches())
    train_plainly(optimizer(plain.parameters(), lr=RATE), plain, make_batches())
    assert torch.equal(vector(model), vector(plain))


def test_sam__rho_can_be_assigned_and_set_in_groups():
    model, batches = network(), make_batches(3)
    step = make_sam(model)
    for batch, rho in zip(batches, (0.1, 0.2, 0.0), strict=True):
        step.rho = rho
        train(step, model, [batch])
    radii = iter((0.1, 0.2, 0.0))
    assert_close(vector(model), by_hand(lambda w, gradient: sam(next(radii))(w, gradient), batches))
    step.param_groups[0]["sam_rho"] = 0.3
    assert step.rho == 0.3 and step.base_optimizer.param_groups[0]["sam_rho"] == 0.3
    step.add_param_group({"params": [nn.Parameter(torch.ones(1))], "sam_rho": 0.4})
    with pytest.raises(ConfigError, match="sam_rho differs between parameter groups"):
        train(step, model, batches[:1])


def test_sam__moves_only_the_chosen_parameters():
    moved = torch.cat([torch.full((p.numel(),), float(n.startswith("1."))) for n, p in network().named_parameters()])

    def direction(w, gradient):
        towards = moved * gradient(w)
        return gradient(w + RHO * towards / towards.norm())

    for choice in ({"params": "norm"}, {"params": ["1.*"]}, {"exclude": ["0.*", "3.*"]}):
        model = network()
        train(make_sam(model, model=model, **choice), model, make_batches())
        assert_close(vector(model), by_hand(direction, make_batches()))


class Counting(nn.Module):
    """Draws from every generator, keeps running statistics, and counts its calls outside of the state dict."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(3, 3), nn.BatchNorm1d(3)
        self.calls, self.draws = 0, []
        self.double()

    def forward(self, inputs):
        draws = (random.random(), np.random.rand(), torch.rand(()).item(), self.calls)
        self.draws.append(draws)
        self.calls += 1
        return nn.functional.dropout(self.norm(self.linear(inputs)), 0.5) * sum(draws)


def test_sam__repeats_draws_and_buffers_in_the_second_pass():
    torch.manual_seed(0), random.seed(0), np.random.seed(0)
    model, inputs = Counting(), torch.randn(8, 3, dtype=torch.float64)
    plain, step = copy.deepcopy(model), make_sam(model, model=model)
    before = (random.getstate(), np.random.get_state(), torch.get_rng_state())
    train(step, model, [inputs], loss=lambda model, inputs: model(inputs).square().mean())
    after = (random.getstate(), np.random.get_state()[1], torch.get_rng_state())
    assert len(model.draws) == 2 and model.draws[0] == model.draws[1]
    random.setstate(before[0]), np.random.set_state(before[1]), torch.set_rng_state(before[2])
    plain(inputs)
    assert random.getstate() == after[0] and np.array_equal(np.random.get_state()[1], after[1])
    assert torch.equal(torch.get_rng_state(), after[2]) and model.calls == plain.calls == 1
    assert all(map(torch.equal, model.buffers(), plain.buffers()))


# Errors.


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("failing", [0, 1])
def test_sam__restores_weights_if_the_closure_raises(variant, failing):
    model, (first, second, *rest) = network(), make_batches()
    step = make_sam(model, variant)
    train(step, model, [first])
    before, calls = vector(model), []

    def loss(model, batch):
        calls.append(vector(model))
        if len(calls) > failing:
            raise KeyboardInterrupt
        return loss_of(model, batch)

    if failing and not step._variant.needs_second():
        return
    with pytest.raises(KeyboardInterrupt):
        train(step, model, [second], loss=loss)
    assert torch.equal(vector(model), before) and len(calls) == failing + 1
    if variant == "msam" or failing:
        assert not torch.equal(calls[-1], before)
    train(step, model, rest)
    assert vector(model).isfinite().all()


def test_sam_step__needs_a_closure():
    model = network()
    step = make_sam(model)
    with pytest.raises(RuntimeError, match=r"sam\.step\(closure, scaler=scaler\)"):
        step.step()
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss_of(model, make_batches(1)[0])).backward()
    with pytest.raises(RuntimeError, match=r"sam\.step\(closure, scaler=scaler\) instead of scaler\.step\(sam\)"):
        scaler.step(step)


@pytest.mark.parametrize("kind", ["adds to the gradients", "computes nothing"])
def test_sam__rejects_closures_that_keep_gradients(kind):
    model, (batch, *_) = network(), make_batches()
    step, before = make_sam(model), vector(model)
    loss_of(model, batch).backward()

    def closure():
        if kind == "adds to the gradients":
            loss_of(model, batch).backward()

    with pytest.raises(RuntimeError, match="the closure did not replace the gradients"):
        step.step(closure)
    assert torch.equal(vector(model), before) and all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"variant": "sma"}, "variant=sma: choose one of sam, asam"),
        ({"rho": -1}, "rho=-1: give a number that is at least 0"),
        ({"rho": float("nan")}, "rho=nan"),
        ({"max_norm": 0}, "max_norm=0: give a number above 0"),
        ({"variant": "looksam", "looksam_k": 0}, "looksam_k=0"),
        ({"variant": "fsam", "momentum": 1}, r"momentum=1: must be in \[0, 1\)"),
        ({"variant": "asam", "eta": -1}, "eta=-1"),
        ({"params": "norm"}, "pass model="),
        ({"local_ascent": True}, "local_ascent needs model="),
        ({"local_ascent": True, "variant": "gsam"}, "choose sam, asam or random"),
    ],
)
def test_sam__checks_its_settings(given, message):
    with pytest.raises(ConfigError, match=message):
        SAM(torch.optim.SGD(network().parameters(), lr=RATE), **given)


def test_sam__checks_names_of_options_and_parameters():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    with pytest.raises(TypeError, match="SAM has no option alpha; there are: eta, momentum"):
        SAM(optimizer, alpha=1)
    with pytest.raises(TypeError, match="variant=sam does not read momentum; it is an option of fsam, msam"):
        SAM(optimizer, momentum=0.5)
    with pytest.raises(TypeError, match="SAM takes a torch optimizer"):
        SAM(model.parameters())
    with pytest.raises(ConfigError, match="no parameter matches 'a"):
        SAM(optimizer, model=model, params="a*")
    with pytest.raises(ConfigError, match="leave SAM no parameter to perturb"):
        SAM(optimizer, model=model, exclude=["*"])


@pytest.mark.parametrize("variant", ["fsam", "msam", "looksam"])
def test_sam__variants_with_memory_reject_sparse_gradients(variant):
    table = nn.Embedding(9, 3, sparse=True)
    step = make_sam(table, variant)
    with pytest.raises(ConfigError, match=f"variant={variant}: it stores a vector as long as all weights"):
        train(step, table, [torch.tensor([1, 4])], loss=lambda table, rows: table(rows).square().sum())


# Half precision.


@pytest.mark.parametrize("variant", VARIANTS)
def test_sam_scaler__changes_no_bit(variant):
    ends = []
    for enabled in (False, True):
        model, scaler = network().float(), torch.amp.GradScaler("cpu", enabled=enabled)
        step = make_sam(model, variant, max_norm=0.5)
        for batch in make_batches():
            step.step(make_closure(step, model, batch.float(), scaler=scaler), scaler=scaler)
            scaler.update()
        ends.append(vector(model))
    assert torch.equal(*ends)


@pytest.mark.parametrize("bad_pass", [0, 1])
@pytest.mark.parametrize("variant", VARIANTS)
def test_sam_scaler__skips_an_overflow_in_either_pass(variant, bad_pass):
    batches = [batch.float() for batch in make_batches()]
    model, scaler = network().float(), torch.amp.GradScaler("cpu")
    step = make_sam(model, variant, torch.optim.Adam)
    if bad_pass and not step._variant.needs_second():
        return
    factors = [torch.inf if index == bad_pass else 1.0 for index in range(2)]

    def overflowing(model, batch):
        return loss_of(model, batch) * (factors.pop(0) if factors else 1.0)

    start, scale = vector(model), scaler.get_scale()
    step.step(make_closure(step, model, batches[0], overflowing, scaler), scaler=scaler)
    scaler.update()
    assert torch.equal(vector(model), start) and not step.state
    assert scaler.get_scale() == scale / 2 and step.skipped_steps == 1
    factors.clear()
    for batch in batches[1:]:
        step.step(make_closure(step, model, batch, scaler=scaler), scaler=scaler)
        scaler.update()
    assert step.skipped_steps == 1 and not torch.equal(vector(model), start) and vector(model).isfinite().all()


def test_sam_scaler__follows_full_precision_under_autocast():
    moves = []
    for half in (True, False):
        model, scaler = network().float(), torch.amp.GradScaler("cpu", init_scale=2**10, enabled=half)
        step, start = make_sam(model, rho=0.05), vector(model)

        def loss(model, batch, half=half):
            with torch.autocast("cpu", torch.float16, enabled=half):
                return loss_of(model, batch.float()).float()

        for batch in make_batches():
            step.step(make_closure(step, model, batch, loss, scaler), scaler=scaler)
            scaler.update()
        assert step.skipped_steps == 0
        moves.append(vector(model) - start)
    assert nn.functional.cosine_similarity(*moves, dim=0) > 0.99


@pytest.mark.parametrize("skip", [True, False])
def test_sam__skip_nonfinite_leaves_weights_and_state(skip):
    model, (first, second, *_) = network(), make_batches()
    step = make_sam(model, optimizer=torch.optim.Adam, skip_nonfinite=skip)
    train(step, model, [first])
    before = vector(model)
    train(step, model, [second * torch.nan])
    assert step.skipped_steps == skip and torch.equal(vector(model), before) == skip


# Clipping and accumulation.


@pytest.mark.parametrize("by", ["max_norm", "closure"])
def test_sam__clips_the_gradient_it_steps_with(by):
    """SAM's ascent step does not depend on the norm of the first gradient, so the closure may also clip."""
    model, limit = network(), 0.1
    step = make_sam(model, max_norm=limit if by == "max_norm" else None)

    def direction(w, gradient):
        g = sam()(w, gradient)
        return g * min(1.0, limit / (g.norm().item() + 1e-6))

    for batch in make_batches():
        compute = make_closure(step, model, batch)

        def clip(compute=compute):
            loss = compute()
            nn.utils.clip_grad_norm_(model.parameters(), limit)
            return loss

        step.step(compute if by == "max_norm" else clip)
    torch.testing.assert_close(vector(model), by_hand(direction, make_batches()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_sam__accumulates_micro_batches_in_the_closure(variant):
    whole, parts = network(), network()
    train(make_sam(whole, variant), whole, make_batches())
    step = make_sam(parts, variant)
    for batch in make_batches():

        def closure(batch=batch):
            step.zero_grad()
            losses = [loss_of(parts, part) / 2 for part in batch.chunk(2)]
            for loss in losses:
                loss.backward()
            return sum(losses)

        step.step(closure)
    assert_close(vector(parts), vector(whole))


# The optimizer's groups and state.


def test_sam__shares_groups_and_state_with_the_optimizer():
    model = network()
    inner = torch.optim.AdamW(model.parameters(), lr=RATE)
    step = SAM(inner, rho=0.1)
    train(step, model, make_batches())
    assert isinstance(step, torch.optim.Optimizer)
    assert step.param_groups is inner.param_groups and step.state is inner.state and step.defaults is inner.defaults
    inner.load_state_dict(copy.deepcopy(inner.state_dict()))
    assert step.param_groups is inner.param_groups and step.state is inner.state
    assert "variant=sam, rho=0.1" in repr(step) and "AdamW" in repr(step)


@pytest.mark.parametrize("variant", VARIANTS)
def test_sam__state_resumes_in_the_same_bits(variant):
    whole, batches = network(), make_batches()
    step = make_sam(whole, variant, torch.optim.Adam)
    train(step, whole, batches[:4])
    step.rho, file = 0.2, io.BytesIO()
    torch.save({"model": whole.state_dict(), "sam": step.state_dict()}, file)
    train(step, whole, batches[4:])
    resumed = network(seed=5)
    again = make_sam(resumed, variant, torch.optim.Adam)
    file.seek(0)
    stored = torch.load(file, weights_only=True)
    resumed.load_state_dict(stored["model"])
    again.load_state_dict(stored["sam"])
    assert again.rho == 0.2
    train(again, resumed, batches[4:])
    assert torch.equal(vector(resumed), vector(whole))


def test_sam__state_and_the_optimizers_are_interchangeable():
    model = network()
    step, inner = make_sam(model, optimizer=torch.optim.Adam), torch.optim.Adam(model.parameters(), lr=RATE)
    train_plainly(inner, model, make_batches(2))
    step.load_state_dict(inner.state_dict())
    assert step.rho == RHO and step.state[model[0].weight]["step"] == 2
    train(step, model, make_batches(1))
    inner.load_state_dict(step.state_dict())
    assert inner.state[model[0].weight]["step"] == 3
    with pytest.raises(ConfigError, match="the state belongs to variant=sam, not to variant=msam"):
        make_sam(model, "msam", torch.optim.Adam).load_state_dict(step.state_dict())


@pytest.mark.parametrize("variant", VARIANTS)
def test_sam__copies_train_alike(variant):
    model, batches = network(), make_batches()
    step = make_sam(model, variant, torch.optim.Adam)
    torch.optim.lr_scheduler.StepLR(step, step_size=1)
    train(step, model, batches[:4])
    model_copy, step_copy = copy.deepcopy((model, step))
    train(step, model, batches[4:])
    before = vector(model_copy)
    train(step_copy, model_copy, batches[4:])
    assert torch.equal(vector(model_copy), vector(model)) and not torch.equal(before, vector(model))


@pytest.mark.parametrize("variant", VARIANTS)
def test_sam__takes_parameters_added_later(variant):
    model = network()
    step = SAM(torch.optim.SGD(model[0].parameters(), lr=RATE), RHO, variant, **options(variant))
    step.add_param_group({"params": [*model[1].parameters(), *model[3].parameters()]})
    train(step, model, make_batches())
    assert_close(vector(model), by_hand(FORMULAS[variant](), make_batches()))
    assert len(step.base_optimizer.param_groups) == 2 and step.param_groups[1]["lr"] == RATE


@pytest.mark.parametrize("on", ["sam", "optimizer"])
def test_sam__works_with_learning_rate_schedulers(on, recwarn):
    model, plain = network(), network()
    step, inner = make_sam(model, rho=0), torch.optim.SGD(plain.parameters(), lr=RATE)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(step if on == "sam" else step.base_optimizer, 0.5)
    other = torch.optim.lr_scheduler.ExponentialLR(inner, 0.5)
    for batch in make_batches(3):
        train(step, model, [batch]), train_plainly(inner, plain, [batch])
        scheduler.step(), other.step()
    assert torch.equal(vector(model), vector(plain)) and step.param_groups[0]["lr"] == RATE / 8
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(step, factor=0.1, patience=0)
    plateau.step(1.0), plateau.step(2.0)
    assert step.base_optimizer.param_groups[0]["lr"] == pytest.approx(RATE / 80)
    assert not [str(warning.message) for warning in recwarn if "lr_scheduler" in str(warning.message)]


def test_sam__calls_hooks_of_steps():
    model, seen = network(), []
    step = make_sam(model)
    step.register_step_pre_hook(lambda *_: seen.append("before"))
    step.base_optimizer.register_step_post_hook(lambda *_: seen.append("inner"))
    step.register_step_post_hook(lambda *_: seen.append("after"))
    train(step, model, make_batches(1))
    assert seen == ["before", "inner", "after"]


# In two calls.


@pytest.mark.parametrize("zero_grad", [True, False])
@pytest.mark.parametrize("variant", TWO_CALLS)
def test_sam_in_two_calls__is_the_step_with_a_closure(variant, zero_grad):
    model = network()
    step = make_sam(model, variant)
    for batch in make_batches():
        for half in (step.first_step, step.second_step):
            loss_of(model, batch).backward()
            half(zero_grad=zero_grad)
            if not zero_grad:
                step.zero_grad(set_to_none=False)
    assert_close(vector(model), by_hand(FORMULAS[variant](), make_batches()))


@pytest.mark.parametrize("variant", ["msam", "looksam"])
def test_sam_in_two_calls__rejects_other_variants(variant):
    with pytest.raises(
        RuntimeError, match=f"variant={variant} has no first_step.* choose one of sam, asam, gsam, fsam"
    ):
        make_sam(network(), variant).first_step()
    assert [name for name in VARIANTS if CLASSES[name].ascends_by_gradient] == list(TWO_CALLS)


def test_sam_in_two_calls__needs_both_and_restores_weights():
    model, (batch, *_) = network(), make_batches()
    step, before = make_sam(model), vector(model)
    with pytest.raises(RuntimeError, match=r"second_step\(\) needs first_step\(\)"):
        step.second_step()
    loss_of(model, batch).backward()
    step.first_step(zero_grad=True)
    moved = vector(model)
    assert (moved - before).norm().item() == pytest.approx(RHO)
    train(step, model, [batch])  # begins anew from the weights themselves
    assert_close(vector(model), by_hand(sam(), [batch]))
    with pytest.raises(RuntimeError, match="needs first_step"):
        step.second_step()


def test_sam_in_two_calls__without_radius_is_the_optimizer():
    model, plain, batches = network(), network(), make_batches()
    step = make_sam(model, "gsam", torch.optim.Adam, rho=0)
    for batch in batches:
        for half in (step.first_step, step.second_step):
            loss_of(model, batch).backward()
            half(zero_grad=True)
    train_plainly(torch.optim.Adam(plain.parameters(), lr=RATE), plain, batches)
    assert torch.equal(vector(model), vector(plain))


# Several processes.

DISTRIBUTED = {
    **{variant: {"variant": variant} for variant in VARIANTS},
    "local": {"local_ascent": True},
    "bucket views": {"variant": "gsam", "views": True},
}


def train_in_one_of_two(rank, folder):
    """Train on half of each batch, and write the weights and the number of all-reduces of each training."""
    torch.set_num_threads(1)
    rendezvous = f"file://{folder}/rendezvous"
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    found = {}
    for name, given in DISTRIBUTED.items():
        given, reduced = dict(given), []
        model = DistributedDataParallel(network(), gradient_as_bucket_view=given.pop("views", False))

        def count(state, bucket, reduced=reduced):
            reduced.append(1)
            return allreduce_hook(None, bucket)

        model.register_comm_hook(None, count)
        step = make_sam(model, model=model, **given)
        train(step, model, [batch.chunk(2)[rank] for batch in make_batches()])
        found[name] = (vector(model), len(reduced))
    found["overflow"] = train_with_a_local_overflow(rank)
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def train_with_a_local_overflow(rank):
    """Skip the step in both processes if the first gradient of one is inf."""
    model = DistributedDataParallel(network().float())
    scaler, batches = torch.amp.GradScaler("cpu"), [batch.float() for batch in make_batches(3)]
    step = make_sam(model, model=model, local_ascent=True)
    factors = [torch.inf if rank == 0 else 1.0]

    def loss(model, batch):
        return loss_of(model, batch) * (factors.pop() if factors else 1.0)

    for batch in batches:
        step.step(make_closure(step, model, batch.chunk(2)[rank], loss, scaler), scaler=scaler)
        scaler.update()
    return vector(model), step.skipped_steps, scaler.get_scale()


def local_sam():
    """SAM whose perturbation each half of the batch computes from its own gradient."""

    def direction(w, gradients):
        return sum(gradient(w + RHO * g / g.norm()) for gradient in gradients for g in [gradient(w)]) / 2

    return direction


def by_hand_in_halves(batches):
    model = network()
    w = vector(model)
    for batch in batches:

        def gradient(at, part):
            nn.utils.vector_to_parameters(at, model.parameters())
            return parameters_to_vector(torch.autograd.grad(loss_of(model, part), list(model.parameters()))).detach()

        w = w - RATE * local_sam()(w, [partial(gradient, part=part) for part in batch.chunk(2)])
    return w


@pytest.mark.slow
def test_sam__of_two_processes_equals_one(tmp_path):
    torch.multiprocessing.spawn(train_in_one_of_two, (str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name in DISTRIBUTED:
        assert torch.equal(one[name][0], other[name][0]), name
    for variant in VARIANTS:
        assert_close(one[variant][0], by_hand(FORMULAS[variant](), make_batches()))
    assert_close(one["bucket views"][0], one["gsam"][0])
    assert_close(one["local"][0], by_hand_in_halves(make_batches()))
    assert (one["sam"][1], one["msam"][1]) == (2 * one["local"][1], one["local"][1])
    assert torch.equal(one["overflow"][0], other["overflow"][0]) and one["overflow"][1:] == other["overflow"][1:]
    assert one["overflow"][1:] == (1, 2.0**15)


# Lightning and Accelerate.


class WrappedAsByLightning:
    """Redirects ``step`` and takes the optimizer's class, like Lightning's wrapper of optimizers."""

    def __init__(self, optimizer):
        self._optimizer = optimizer
        self.__class__ = type("Lightning" + type(optimizer).__name__, (type(self), type(optimizer)), {})

    @property
    def optimizer(self):
        return self._optimizer

    def step(self, closure):
        return self._optimizer.step(closure=closure)

    def __getattr__(self, name):
        return getattr(self._optimizer, name)


def test_sam__trains_as_lightning_calls_it():
    model = network()
    inner = make_sam(model)
    wrapped = WrappedAsByLightning(inner)
    assert isinstance(wrapped, SAM) and wrapped.param_groups is inner.param_groups and wrapped.state is inner.state
    for batch in make_batches():

        @torch.enable_grad()
        def closure(batch=batch):
            loss = loss_of(model, batch)  # Lightning clears the gradients between the two passes' halves
            wrapped.zero_grad()
            loss.backward()
            return loss.detach()

        wrapped.step(closure=closure)
    assert_close(vector(model), by_hand(sam(), make_batches()))


class WrappedAsByAccelerate(torch.optim.Optimizer):
    """Forwards groups and state, and moves the state dict through the device, like Accelerate's wrapper."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        optimizer.load_state_dict(self.move(optimizer.state_dict()))

    def move(self, value):
        if isinstance(value, (list, tuple)):
            return type(value)(self.move(entry) for entry in value)
        if isinstance(value, dict):
            return type(value)({key: self.move(entry) for key, entry in value.items()})
        return value.to("cpu") if isinstance(value, torch.Tensor) else value

    param_groups = property(lambda self: self.optimizer.param_groups)
    state = property(lambda self: self.optimizer.state)
    defaults = property(lambda self: self.optimizer.defaults)

    def zero_grad(self, set_to_none=None):
        assert "set_to_none" in inspect.signature(self.optimizer.zero_grad).parameters
        self.optimizer.zero_grad(set_to_none=True if set_to_none is None else set_to_none)

    def step(self, closure=None):
        self.optimizer.step(closure)


@pytest.mark.parametrize("variant", VARIANTS)
def test_sam__trains_as_accelerate_calls_it(variant):
    model, batches = network(), make_batches()
    step = make_sam(model, variant)
    train(step, model, batches[:3])
    wrapped = WrappedAsByAccelerate(step)
    for batch in batches[3:]:
        wrapped.step(make_closure(wrapped, model, batch))
    assert_close(vector(model), by_hand(FORMULAS[variant](), batches))


def test_sam__trains_in_lightning(tmp_path):
    lightning = pytest.importorskip("pytorch_lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = network()

        def training_step(self, batch):
            return loss_of(self.network, batch[0])

        def configure_optimizers(self):
            step = make_sam(self.network, model=self)
            return [step], [torch.optim.lr_scheduler.ConstantLR(step, factor=1.0)]

    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = lightning.Trainer(accelerator="cpu", max_epochs=1, default_root_dir=tmp_path, **quiet)
    module, data = Module(), torch.utils.data.TensorDataset(torch.stack(make_batches()))
    loader = torch.utils.data.DataLoader(data, batch_size=None)
    trainer.fit(module, loader)
    assert_close(vector(module.network), by_hand(sam(), make_batches()))
    assert isinstance(module.optimizers(), SAM)
    trainer.save_checkpoint(tmp_path / "state.ckpt")
    assert torch.load(tmp_path / "state.ckpt", weights_only=False)["optimizer_states"][0]["sam"]["variant"] == "sam"


def test_sam__trains_in_accelerate():
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    model = network()
    model, step = accelerator.prepare(model, make_sam(model))
    scheduler = accelerator.prepare(torch.optim.lr_scheduler.ConstantLR(step, factor=1.0))
    for batch in make_batches():

        def closure(batch=batch):
            step.zero_grad()
            loss = loss_of(model, batch)
            accelerator.backward(loss)
            return loss

        step.step(closure)
        scheduler.step()
    assert_close(vector(model), by_hand(sam(), make_batches()))


# Without RecBole.

WITHOUT_RECBOLE = """
import sys, types
sys.modules["recbole"] = None
package = sys.modules["recbole_samrec"] = types.ModuleType("recbole_samrec")  # as if its __init__ imported nothing
package.__path__ = ["recbole_samrec"]
import torch
from recbole_samrec.optim.sam import SAM
model = torch.nn.Linear(2, 1)
torch.nn.init.ones_(model.weight)
sam = SAM(torch.optim.SGD(model.parameters(), lr=0.1))
def closure():
    sam.zero_grad()
    loss = model(torch.ones(1, 2)).square().sum()
    loss.backward()
    return loss
first, last = [sam.step(closure).item() for _ in range(9)][::8]
assert last < first
"""


def test_sam__trains_where_recbole_is_missing():
    subprocess.run([sys.executable, "-c", WITHOUT_RECBOLE], cwd=ROOT, check=True)
