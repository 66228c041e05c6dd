"""Losses that cannot be differentiated twice are refused, and the generators of loaders are found."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from recbole_samrec.analysis.hessian import ChunkedLoss
from recbole_samrec.trainer.sampled_loss import count_targets, find_generators, require_second_derivative
from recbole_samrec.utils.errors import ConfigError


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


class Wrong(torch.autograd.Function):
    """A cube whose backward pass has half of the second derivative."""

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
