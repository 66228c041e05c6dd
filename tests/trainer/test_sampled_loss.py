"""Losses that cannot be differentiated twice raise errors, and the generators of loaders are found."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from recbole_samrec.analysis.hessian import ChunkedLoss, compute_gradient, compute_hvp
from recbole_samrec.trainer import sampled_loss
from recbole_samrec.trainer.sampled_loss import count_targets, find_generators, require_second_derivative
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import build, make_config, random_events, write_events


def test_find_generators__of_a_loader_and_of_those_inside():
    outer, inner = DataLoader([1], generator=torch.Generator()), DataLoader([1], generator=torch.Generator())
    outer.inner, outer.plain = inner, DataLoader([1])
    found = find_generators(outer)
    assert len(found) == 2 and found[0] is outer.generator and found[1] is inner.generator


@pytest.mark.parametrize("training, count", [("packed", 3), ("prefix", 2)])
def test_count_targets__of_packed_batches_and_of_rows(training, count):
    trainer = SimpleNamespace(config={"training": training}, model=SimpleNamespace(POS_ITEM_ID="item"))

    class Batch(dict):
        def __len__(self):
            return 2

    assert count_targets(trainer, Batch(item=torch.tensor([[1, 0, 5], [2, 0, 0]]))) == count


@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_sampled_loss__of_joined_batches_is_the_same(training, own_folder, monkeypatch):
    """A GPU with much memory uses the same sample in fewer chunks."""
    write_events(own_folder, "tiny", random_events())
    settings = {"training": training, "train_batch_size": 16, "train_neg_sample_args": None}
    loaders, model, trainer = build(make_config("SAMRec", own_folder, **settings))
    model.double().eval()
    weights, found = list(model.parameters()), []
    for budget in (None, 64 * model.n_items * 40, 2**40):
        monkeypatch.setattr(sampled_loss, "measure_budget", lambda device, share, budget=budget: budget)
        loss, targets, _ = sampled_loss.sampled_loss(trainer, loaders[0], 60)
        vector = torch.linspace(-1, 1, sum(w.numel() for w in weights), dtype=torch.float64)
        found.append((len(loss.chunks), targets, compute_gradient(loss, weights), compute_hvp(loss, weights, vector)))
    assert found[0][0] > found[1][0] > found[2][0] == 1
    for _, targets, *vectors in found[1:]:
        assert targets == found[0][1]
        torch.testing.assert_close(vectors, list(found[0][2:]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("settings", "joined"), [({}, True), ({"loss_type": "SSM"}, False)])
def test_sampled_loss__leaves_batches_with_draws_apart(settings, joined, own_folder, monkeypatch):
    write_events(own_folder, "tiny", random_events())
    loaders, _, trainer = build(make_config("SAMRec", own_folder, train_batch_size=16, training="packed", **settings))
    monkeypatch.setattr(sampled_loss, "measure_budget", lambda device, share: 2**40)
    assert (len(sampled_loss.sampled_loss(trainer, loaders[0], 60)[0].chunks) == 1) == joined


class Wrong(torch.autograd.Function):
    """A cube whose backward pass has half of the correct second derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x**3).sum()

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * 3 * x * x.detach()


def check(function):
    weight = torch.linspace(1, 2, 5, dtype=torch.float64, requires_grad=True)
    require_second_derivative(ChunkedLoss([lambda: function(weight)], [1.0]), [weight], "runs/a", "Mine")


def test_require_second_derivative__accepts_one_that_is_right():
    check(lambda weight: (weight**3).sum())


def test_require_second_derivative__refuses_a_loss_without_one():
    words = r"^runs/a: the loss of Mine cannot be differentiated twice \(.*\); write the model with operations"

    def fail(weight):
        raise RuntimeError("derivative for aten::_fast_backward is not implemented")

    with pytest.raises(ConfigError, match=words):
        check(fail)


def test_require_second_derivative__refuses_one_that_is_wrong():
    words = r"^runs/a: the second derivative of Mine's loss is wrong: Hessian times a vector is 50 % off the"
    with pytest.raises(ConfigError, match=words):
        check(Wrong.apply)


def test_require_second_derivative__raises_other_errors():
    def fail(weight):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        check(fail)
