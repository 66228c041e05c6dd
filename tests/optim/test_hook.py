"""The optimizer step with SAM against training written out by hand, in double precision."""

import contextlib
import copy
import math
import random

import numpy as np
import pytest
import torch
from torch import nn

from recbole_samrec import compat
from recbole_samrec.optim.hook import SAMHook
from recbole_samrec.optim.random_state import RandomState
from recbole_samrec.optim.schedule import SAMSettings
from recbole_samrec.trainer.callbacks import Callback
from recbole_samrec.utils.errors import ConfigError, TrainingError
from tests.helpers.tensor_sizes import Sizes
from tests.helpers.tiny import build, make_config, random_events, write_events

RHO, RATE, DECAY = 0.7, 0.05, 0.1
AS_RECBOLE = {"training": "prefix", "fast_dropout": False}
"""Batches and draws that RecBole's ``calculate_loss`` has, which training by hand calls."""


class CountSteps(Callback):
    """Stores the number of every step."""

    def __init__(self):
        self.steps = []

    def on_train_batch_end(self, trainer, epoch, step):
        self.steps.append((epoch, step))


class Batches(list):
    """Batches drawn once, in place of a data loader."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write_events(path, "tiny", random_events())
    return path


def prepare(folder, model="SAMRec", count=3, double=True, **settings):
    """A model, its trainer and the first batches, all seeded."""
    settings = {**AS_RECBOLE, "sam_rho": RHO, "learning_rate": RATE, "train_batch_size": 32, **settings}
    loaders, network, trainer = build(make_config(model, folder, **settings))
    batches = Batches(batch for batch, _ in zip(loaders[0], range(count), strict=False))
    network.double() if double else None
    return network, trainer, batches


def weights(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same_bits(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def assert_close(first: dict, second: dict, tolerance=1e-7) -> None:
    """Attention's key biases are ignored: softmax cancels them, so their gradient is only rounding."""
    for name in [name for name in first if not name.endswith("key.bias")]:
        torch.testing.assert_close(first[name], second[name], rtol=tolerance, atol=tolerance, msg=name)


# The optimizers, by their formulas: each returns the step for weight w and gradient g, t counting from 1.


def adam(w, g, t, seen, decay=DECAY):
    g = g + decay * w
    seen["m"] = 0.9 * seen.get("m", 0) + 0.1 * g
    seen["v"] = 0.999 * seen.get("v", 0) + 0.001 * g * g
    return -RATE * (seen["m"] / (1 - 0.9**t)) / ((seen["v"] / (1 - 0.999**t)).sqrt() + 1e-8)


def adamw(w, g, t, seen):
    return adam(w * (1 - RATE * DECAY), g, t, seen, decay=0) - RATE * DECAY * w


def sgd(w, g, t, seen):
    return -RATE * (g + DECAY * w)


def adagrad(w, g, t, seen):
    g = g + DECAY * w
    seen["sum"] = seen.get("sum", 0) + g * g
    return -RATE * g / (seen["sum"].sqrt() + 1e-10)


def rmsprop(w, g, t, seen):
    g = g + DECAY * w
    seen["mean"] = 0.99 * seen.get("mean", 0) + 0.01 * g * g
    return -RATE * g / (seen["mean"].sqrt() + 1e-8)


LEARNERS = {"adam": adam, "adamw": adamw, "sgd": sgd, "adagrad": adagrad, "rmsprop": rmsprop}


def train_by_hand(model, batches, learner=adam, rho=RHO, adaptive=False, still=(), max_norm=None, kind=2, context=None):
    """SAM from its definition: the gradient at the perturbed weights, same dropout, then the optimizer's formula."""
    parameters = dict(model.named_parameters())
    seen = {name: {} for name in parameters}
    context = context or contextlib.nullcontext

    def gradient(batch):
        with context():
            loss = model.calculate_loss(batch)
        return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))

    def add(steps, factor=1):
        with torch.no_grad():
            for name, step in steps.items():
                parameters[name] += factor * step

    model.train()
    for t, batch in enumerate(batches, start=1):
        before = weights(model)
        random_before = torch.get_rng_state()
        first = gradient(batch)
        random_after = torch.get_rng_state()
        unit = {name: w.abs() + 0.01 if adaptive else torch.ones_like(w) for name, w in before.items()}
        moved = [name for name in parameters if name not in still]
        norm = sum(((unit[name] * first[name]) ** 2).sum() for name in moved).sqrt()
        add({name: rho * unit[name] ** 2 * first[name] / norm for name in moved})
        torch.set_rng_state(random_before)
        second = gradient(batch)
        torch.set_rng_state(random_after)
        for name, weight in before.items():
            parameters[name].data.copy_(weight)
        if max_norm:
            norm = sum((g.abs() ** kind).sum() for g in second.values()) ** (1 / kind)
            second = {name: g * min(1.0, max_norm / norm.item()) for name, g in second.items()}
        add({name: learner(parameters[name].detach(), g, t, seen[name]) for name, g in second.items()})
    return weights(model)


def train_both(folder, model="SAMRec", settings=None, double=True, **by_hand):
    """Weights after training by the trainer and by hand, from the same start and random state."""
    network, trainer, batches = prepare(folder, model, double=double, weight_decay=DECAY, **(settings or {}))
    twin = copy.deepcopy(network)
    state = RandomState.get()
    trainer._train_epoch(batches, 0)
    after = torch.get_rng_state()
    RandomState.set(state)
    expected = train_by_hand(twin, batches, **by_hand)
    assert torch.equal(after, torch.get_rng_state()), "the second pass must not move the random generator on"
    return weights(network), expected


@pytest.mark.parametrize("learner", LEARNERS)
def test_hook__serves_every_learner(learner, folder):
    trained, expected = train_both(folder, settings={"learner": learner}, learner=LEARNERS[learner])
    assert_close(trained, expected)


@pytest.mark.parametrize("model", ["SASRec", "GRU4Rec"])
def test_hook__trains_other_models(model, folder):
    assert_close(*train_both(folder, model))


def test_hook__takes_asam_and_leaves_parameters_out(folder):
    assert_close(*train_both(folder, settings={"sam_variant": "asam"}, adaptive=True))
    still = ["item_embedding.weight", "LayerNorm.weight", "LayerNorm.bias"]
    trained, expected = train_both(folder, settings={"sam_exclude": ["item_emb*", "LayerNorm.*"]}, still=still)
    assert_close(trained, expected)
    for patterns, message in ((["Layernorm*"], "no parameter is called 'Layernorm"), ("*", "no parameter to move")):
        with pytest.raises(ConfigError, match=f"sam_exclude: .*{message}"):
            prepare(folder, sam_exclude=patterns)


def test_hook__moves_norm_layers_or_embeddings_only(folder):
    names = [name for name, _ in prepare(folder)[0].named_parameters()]
    for kind, part in (("norm", "LayerNorm"), ("embedding", "embedding")):
        still = [name for name in names if part not in name]
        assert_close(*train_both(folder, settings={"sam_params": kind}, still=still))
    still = [name for name in names if name != "position_embedding.weight"]
    settings = {"sam_params": ["*embedding*"], "sam_exclude": ["item_embedding.weight"]}
    assert_close(*train_both(folder, settings=settings, still=still))


@pytest.mark.parametrize("clip", [0.01, {"max_norm": 0.01}, {"max_norm": 0.02, "norm_type": 1}])
def test_hook__clips_the_final_gradient_only(clip, folder):
    """With SGD, which would reveal a clipped first or perturbed gradient."""
    by_hand = {"max_norm": clip, "kind": 2} if isinstance(clip, float) else {"max_norm": clip["max_norm"]}
    kind = clip.get("norm_type", 2) if isinstance(clip, dict) else 2
    trained, expected = train_both(
        folder, settings={"learner": "sgd", "clip_grad_norm": clip}, learner=sgd, **{**by_hand, "kind": kind}
    )
    assert_close(trained, expected, tolerance=1e-6)  # torch divides by the norm plus 1e-6


def test_hook__runs_both_passes_under_the_same_autocast(folder):
    def autocast():
        return torch.autocast("cpu", dtype=torch.bfloat16)

    settings = {"enable_amp": True, "amp_dtype": "bfloat16", "learner": "sgd"}
    trained, expected = train_both(folder, settings=settings, double=False, learner=sgd, context=autocast)
    # A weight that differs in its last bit may be rounded to another bfloat16; single precision is 6e-5 away.
    assert_close(trained, expected, tolerance=1e-5)
    network, trainer, batches = prepare(folder, double=False, count=2, **settings)
    seen = []

    def loss_func(batch):
        seen.append((torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
        return network.calculate_loss(batch)

    trainer._train_epoch(batches, 0, loss_func)
    assert seen == [(True, torch.bfloat16)] * 4


# Half precision: the first gradient is scaled by RecBole's scaler, the second by one of its own.

FP16 = {"enable_amp": True, "enable_scaler": True, "amp_dtype": "float16"}


def scaled_loss(network, *factors):
    """The model's loss, each call times the next factor (1 after the last one)."""
    factors = list(factors)
    return lambda batch: network.calculate_loss(batch) * (factors.pop(0) if factors else 1.0)


@pytest.mark.parametrize("clip", [None, 0.01])
def test_hook__with_a_scaler_changes_no_bit(clip, folder):
    """Scales are powers of two; RecBole would clip the gradient while it is still 65536 times too long."""
    results = []
    for scaler in (False, True):
        settings = {"learner": "sgd", "enable_scaler": scaler, "clip_grad_norm": clip}
        network, trainer, batches = prepare(folder, double=False, **settings)
        trainer._train_epoch(batches, 0)
        assert trainer.scaler.is_enabled() == trainer.sam_step.scaler.is_enabled() == scaler
        results.append(weights(network))
    assert same_bits(*results)


def test_hook__in_half_precision_follows_full_precision(folder):
    results = []
    for settings in (FP16, {}):
        network, trainer, batches = prepare(folder, double=False, learner="sgd", **settings)
        start = weights(network)
        trainer._train_epoch(batches, 0)
        assert trainer.sam_step.skipped == 0
        results.append(torch.cat([(w - start[name]).flatten() for name, w in weights(network).items()]))
    assert torch.nn.functional.cosine_similarity(*results, dim=0) > 0.99


@pytest.mark.parametrize(("factors", "first", "second"), [((torch.inf,), 0.5, 1.0), ((1.0, torch.inf), 1.0, 0.5)])
def test_hook__skips_an_overflow_and_halves_its_pass_scale(factors, first, second, folder):
    network, trainer, batches = prepare(folder, double=False, count=1, **FP16)
    start, scale = weights(network), trainer.scaler.get_scale()
    counted = CountSteps()
    trainer.callbacks.add(counted)
    trainer._train_epoch(batches, 0, scaled_loss(network, *factors))
    assert same_bits(weights(network), start) and not trainer.optimizer.state
    assert (trainer.scaler.get_scale() / scale, trainer.sam_step.scaler.get_scale() / scale) == (first, second)
    assert trainer.sam_step.skipped == 1 and counted.steps == [(0, 1)]
    trainer._train_epoch(batches, 0)
    assert not same_bits(weights(network), start) and trainer.sam_step.skipped_in_a_row == 0


@pytest.mark.parametrize("settings", [{}, {"sam_rho": 0}, FP16, {**FP16, "sam_rho": 0}])
def test_hook__ends_training_after_bad_steps_in_a_row(settings, folder):
    network, trainer, batches = prepare(folder, double=False, max_bad_steps=3, **settings)
    start = weights(network)
    with pytest.raises(TrainingError, match="3 steps in a row had a gradient that is inf or nan"):
        trainer._train_epoch(batches, 0, lambda batch: network.calculate_loss(batch) * torch.nan)
    assert same_bits(weights(network), start)


# Bad gradients and unusual losses.


@pytest.mark.parametrize("value", [torch.inf, torch.nan])
@pytest.mark.parametrize("factors", [0, 1])
def test_hook__skips_a_bad_gradient_and_reports_it(factors, value, folder, caplog):
    network, trainer, batches = prepare(folder, count=2)
    factors = [1.0, 1.0, *[1.0] * factors, value]  # a good step first, then a bad first or second gradient
    states, steps = [], trainer.sam_step.on_step

    def remember():
        steps()
        states.append((weights(network), copy.deepcopy(trainer.optimizer.state_dict())))

    trainer.sam_step.on_step = remember
    trainer.optimizer.register_step_post_hook(lambda *_: states.append((weights(network), None)))
    trainer._train_epoch(batches, 0, scaled_loss(network, *factors))
    good, bad = states[1][0], states[3][0]
    assert same_bits(good, bad)
    moments = [state["exp_avg"] for state in states[2][1]["state"].values()]
    assert all(map(torch.equal, moments, [s["exp_avg"] for s in trainer.optimizer.state.values()]))
    assert (trainer.sam_step.skipped, trainer.sam_step.skipped_in_a_row) == (1, 1)
    assert "1 steps were skipped, their gradient was inf or nan" in caplog.text


def test_hook__sums_the_losses_of_a_tuple(folder):
    results = []
    for split in (False, True):
        network, trainer, batches = prepare(folder)

        def loss_func(batch, network=network, split=split):
            loss = network.calculate_loss(batch)
            return (0.25 * loss, 0.75 * loss) if split else loss

        losses = trainer._train_epoch(batches, 0, loss_func)
        assert isinstance(losses, tuple) == split
        results.append(weights(network))
    assert_close(*results, tolerance=1e-12)


class Odd(nn.Module):
    """Draws from every generator, counts its calls, and stores numbers outside of the ``state_dict``."""

    def __init__(self):
        super().__init__()
        self.linear, self.idle, self.norm = nn.Linear(3, 3), nn.Linear(3, 3), nn.BatchNorm1d(3)
        self.update, self.running, self.table = 0, torch.zeros(3), np.zeros(2)
        self.graph = torch.eye(3).to_sparse()
        self.draws = []
        self.double()

    def calculate_loss(self, batch):
        draws = (random.random(), np.random.rand(), torch.rand(()).item())
        self.draws.append((*draws, self.update, self.running.sum().item(), self.table.sum()))
        self.update += 1
        self.running += 1
        self.table[self.update % 2] += 1
        hidden = nn.functional.dropout(self.norm(self.linear(batch)), 0.5, self.training)
        return (hidden * sum(draws)).square().mean()


def odd_step(model, rho=RHO, **settings):
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    step = SAMHook(model, SAMSettings(rho), **settings)
    step.attach(optimizer)

    def take(batch, loss_func=None):
        optimizer.zero_grad()
        step.recorded(loss_func or model.calculate_loss)(batch).backward()
        optimizer.step()

    return step, take


def test_hook__replays_draws_and_changes_nothing_twice():
    torch.manual_seed(0), random.seed(0), np.random.seed(0)
    batches = torch.randn(4, 8, 3, dtype=torch.float64)
    model, state = Odd(), RandomState.get()
    twin = copy.deepcopy(model)
    _, take = odd_step(model)
    for index, batch in enumerate(batches):
        twin.load_state_dict({**twin.state_dict(), **weights(model)})  # buffers stay the twin's own
        take(batch)
        assert model.draws[-1] == model.draws[-2] and len(model.draws) == 2 * (index + 1)
        after = RandomState.get()
        RandomState.set(state)
        twin.calculate_loss(batch)  # one pass at the weights before the step
        state = RandomState.get()
        assert state["python"] == after["python"] and torch.equal(state["torch"], after["torch"])
        assert all(np.array_equal(a, b) for a, b in zip(state["numpy"][1:], after["numpy"][1:], strict=True))
        RandomState.set(after)
        for name, buffer in twin.named_buffers():
            assert torch.equal(buffer, model.get_buffer(name)), name
        assert model.update == twin.update == index + 1
        assert torch.equal(model.running, twin.running) and np.array_equal(model.table, twin.table)
    assert model.idle.weight.grad is None
    assert model.graph._version == 0, "tables that no pass changes are never copied back"


def test_hook__restores_after_an_error_in_the_second_pass():
    torch.manual_seed(0)
    model = Odd()
    _, take = odd_step(model)
    calls = []

    def loss_func(batch):
        calls.append(1)
        loss = model.calculate_loss(batch)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return loss

    batch = torch.randn(8, 3, dtype=torch.float64)
    start, state, twin = weights(model), RandomState.get(), copy.deepcopy(model)
    with pytest.raises(KeyboardInterrupt):
        take(batch, loss_func)
    assert same_bits(weights(model), start) and model.update == 1
    after = torch.get_rng_state()
    RandomState.set(state)
    twin.calculate_loss(batch)
    assert torch.equal(after, torch.get_rng_state())


def test_hook__moves_nothing_by_a_zero_gradient():
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    start, seen = weights(model), []

    def loss_func(batch):
        seen.append(weights(model))
        return (model(batch) * 0).sum()

    step, take = odd_step(model)
    take(torch.ones(3, 2), loss_func)
    assert all(same_bits(each, start) for each in seen) and len(seen) == 2
    assert same_bits(weights(model), start) and step.skipped == 0


def test_hook__perturbs_weights_in_the_second_pass_only():
    torch.manual_seed(0)
    model = nn.Linear(2, 1).double()
    seen = []

    def loss_func(batch):
        seen.append(torch.cat([w.flatten() for w in weights(model).values()]))
        return model(batch).square().sum()

    _, take = odd_step(model)
    take(torch.randn(5, 2, dtype=torch.float64), loss_func)
    assert (seen[1] - seen[0]).norm().item() == pytest.approx(RHO, rel=1e-12)


# Sparse gradients.


def test_hook__with_sparse_adam_touches_rows_of_the_batch_only():
    torch.manual_seed(0)
    table = nn.Embedding(6, 2, sparse=True).double()
    step = SAMHook(table, SAMSettings(RHO))
    optimizer = torch.optim.SparseAdam(table.parameters(), lr=RATE)
    step.attach(optimizer)
    start, target = table.weight.detach().clone(), torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    step.recorded(lambda rows: (table(rows) - target).square().sum())(torch.tensor([4, 1, 4])).backward()
    optimizer.step()
    counts = torch.tensor([0.0, 1, 0, 0, 2, 0], dtype=torch.float64).unsqueeze(1)
    first = 2 * counts * (start - target)
    second = 2 * counts * (start + RHO * first / first.norm() - target)
    expected = start - RATE * second / (second.abs() + 1e-8 / 0.001**0.5)  # eps counts before the correction
    torch.testing.assert_close(table.weight.detach(), expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(table.weight[[0, 2, 3, 5]], start[[0, 2, 3, 5]])


def test_hook__makes_no_tensor_as_large_as_a_sparse_table():
    table = nn.Embedding(10_000, 4, sparse=True)
    optimizer = torch.optim.SGD(table.parameters(), lr=RATE)
    rows = torch.tensor([7, 9_999, 7, 0])
    for variant in ("sam", "asam", "gsam"):
        step = SAMHook(table, SAMSettings(RHO, variant))
        step.attach(optimizer)
        with Sizes(table.weight) as sizes:
            optimizer.zero_grad()
            step.recorded(lambda rows: table(rows).square().sum())(rows).backward()
            optimizer.step()
        assert step.extra_passes == 1 and 0 < sizes.largest < 2_000  # the random generator's state has 5056 bytes


def test_hook__rejects_clipping_of_sparse_gradients():
    table = nn.Embedding(6, 2, sparse=True)
    step = SAMHook(table, SAMSettings(RHO), clip={"max_norm": 1.0})
    optimizer = torch.optim.SparseAdam(table.parameters())
    step.attach(optimizer)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ConfigError, match="clip_grad_norm: torch cannot clip sparse gradients"):
        optimizer.step()


@pytest.mark.parametrize("rho", [0, RHO])
def test_hook__rejects_sparse_adam_on_dense_gradients(rho, folder):
    network, trainer, batches = prepare(folder, learner="sparse_adam", sam_rho=rho)
    start = weights(network)
    with pytest.raises(ConfigError, match=r"learner=sparse_adam: this model's gradients are dense .* choose adam"):
        trainer._train_epoch(batches, 0)
    assert same_bits(weights(network), start)


# Without SAM nothing may differ from RecBole, not by a bit.


def test_hook__without_radius_is_recboles_own_loop(folder):
    settings = {**AS_RECBOLE, "sam_rho": 0, "hidden_dropout_prob": 0.3, "attn_dropout_prob": 0.1}
    trained = {}
    for model in ("SAMRec", "SASRec"):
        loaders, network, trainer = build(make_config(model, folder, **settings))
        trainer.fit(loaders[0], verbose=False, saved=False)
        trained[model] = weights(network)
    assert same_bits(trained["SAMRec"], trained["SASRec"])

    loaders, network, _ = build(make_config("SASRec", folder, **settings))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    network.train()
    for _ in range(2):
        for batch in loaders[0]:
            optimizer.zero_grad()
            network.calculate_loss(batch).backward()
            optimizer.step()
    assert same_bits(trained["SASRec"], weights(network))


def test_anomaly_detection__stays_off_on_import():
    assert not torch.is_anomaly_enabled()
    with compat.suspend("restore_anomaly_detection"):
        assert torch.is_anomaly_enabled()
    assert not torch.is_anomaly_enabled()


def test_sam__starts_after_a_share_of_the_epochs(folder):
    loaders, _, trainer = build(make_config("SAMRec", folder, sam_rho=RHO, sam_start=0.75, epochs=4))
    trainer.fit(loaders[0], verbose=False, saved=False)
    assert trainer.sam_step.extra_passes == len(loaders[0])


@pytest.mark.parametrize(("variant", "share"), [("looksam", 0.25), ("msam", 0), ("gsam", 1), ("fsam", 1)])
def test_hook__takes_the_second_gradients_of_the_variant(variant, share, folder):
    settings = {"sam_rho": RHO, "sam_variant": variant, "looksam_k": 4, "epochs": 4, "train_batch_size": 32}
    loaders, network, trainer = build(make_config("SAMRec", folder, **settings))
    before = weights(network)
    trainer.fit(loaders[0], verbose=False, saved=False)
    steps = 4 * len(loaders[0])
    assert trainer.sam_step.extra_passes == math.ceil(share * steps)
    assert not same_bits(weights(network), before) and trainer.sam_step.skipped == 0


def test_hook__never_shows_weights_that_msam_moved(folder):
    """Neither validation nor a checkpoint sees them, also after a step that a scaler skips or an error ends."""
    settings = {"sam_rho": RHO, "sam_variant": "msam", "learner": "sgd"}
    network, trainer, batches = prepare(folder, double=False, **settings, **FP16)
    trainer._train_epoch(batches, 0)
    start = weights(network)
    trainer._train_epoch(batches[:1], 0, scaled_loss(network, torch.inf))
    assert same_bits(weights(network), start) and trainer.sam_step.skipped == 1
    seen = []

    def interrupted(batch):
        seen.append(weights(network))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer._train_epoch(batches, 1, interrupted)
    assert not same_bits(seen[0], start) and same_bits(weights(network), start)


@pytest.mark.parametrize("variant", ["gsam", "fsam", "msam", "looksam"])
def test_hook__serves_models_with_several_optimizers(variant, folder):
    settings = {"sam_rho": 0.1, "sam_variant": variant, "looksam_k": 2, "epochs": 2}
    loaders, network, trainer = build(make_config("RecVAE", folder, **settings))
    trainer.fit(loaders[0], verbose=False, saved=False)
    assert trainer.sam_step.skipped == 0 and all(w.isfinite().all() for w in weights(network).values())


def test_hook__moves_frequent_items_farther(folder):
    """Divided by its rows' factors, the step is as long as SAM's."""
    loaders, network, trainer = build(make_config("BPR", folder, sam_rho=RHO, sam_item_rho="frequency"))
    seen = []

    def loss_func(batch):
        seen.append(weights(network))
        return network.calculate_loss(batch)

    trainer._train_epoch(loaders[0], 0, loss_func)
    items, users = (seen[1][name] - seen[0][name] for name in ("item_embedding.weight", "user_embedding.weight"))
    counts = torch.bincount(loaders[0]._dataset.inter_feat["item_id"], minlength=len(items))
    items /= (counts / counts.max()).clamp(0.3).unsqueeze(1)
    assert counts.min() < 0.3 * counts.max() and items[counts.argmax()].norm() > 0
    assert torch.cat([items, users]).norm().item() == pytest.approx(RHO, rel=1e-4)
    with pytest.raises(ConfigError, match=r"sam_item_rho=frequency: .*choose uniform"):
        loaders, _, trainer = build(make_config("FM", folder, sam_rho=RHO, sam_item_rho="frequency"))
        trainer.fit(loaders[0], verbose=False, saved=False)
