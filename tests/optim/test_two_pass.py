"""One step of SAM by hand: moved by rho along the gradient, gradient there, restored, clipped."""

import pytest
import torch

from recbole_samrec.optim.schedule import SAMSettings
from recbole_samrec.optim.state_snapshot import Replay
from recbole_samrec.optim.two_pass import TwoPass
from recbole_samrec.optim.variants import FriendlySAM, SAMVariant
from recbole_samrec.utils.errors import ConfigError


def make(kind=SAMVariant, variant="sam", **more):
    """A step for the loss w^2 / 2, whose gradient is w, with the function that computes it."""
    parameter = torch.tensor([3.0, 4.0], requires_grad=True)
    settings = SAMSettings(rho=0.5, variant=variant)
    step = TwoPass([parameter], kind([parameter], [parameter], settings), Replay(None), **more)

    def backward():
        parameter.grad = parameter.detach().clone()

    step.replay.record()
    backward()
    return step, parameter, backward


def test_finish__takes_the_gradient_at_a_distance_of_rho():
    step, parameter, backward = make()
    assert step.needs_second() and step.finish(0.5, backward)
    torch.testing.assert_close(parameter.grad, torch.tensor([3.3, 4.4]))  # (3, 4) + 0.5 * (3, 4) / 5
    assert parameter.tolist() == [3, 4]


def test_finish__without_radius_or_variant_keeps_the_gradient():
    step, parameter, _ = make()
    assert step.finish(0.0, pytest.fail) and parameter.grad.tolist() == [3, 4]
    plain = TwoPass([parameter], None, Replay(None))
    assert not plain.needs_second() and plain.finish(0.5, pytest.fail) and parameter.grad.tolist() == [3, 4]


def test_finish__clips_the_gradient_to_step_with():
    step, parameter, backward = make(clip={"max_norm": 1.0})
    step.finish(0.5, backward)
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.8]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_finish__clears_a_gradient_that_is_not_finite(bad):
    step, parameter, backward = make()
    parameter.grad[0] = bad
    seen = []
    assert not step.finish(0.5, lambda: seen.append(parameter.tolist()) or backward()) and parameter.grad is None
    assert seen == [[3, 4]]  # the second gradient was taken at the weights themselves, and is not used

    def spoil():
        backward()
        parameter.grad[1] = bad

    backward()
    assert not step.finish(0.5, spoil) and parameter.grad is None and parameter.tolist() == [3, 4]
    assert step.accept_gradients(check=True)  # none, and so none is bad


def test_accept_gradients__checks_and_clips():
    step, parameter, _ = make(clip={"max_norm": 2.5})
    assert step.accept_gradients(check=True)
    torch.testing.assert_close(parameter.grad, torch.tensor([1.5, 2.0]))
    parameter.grad[0] = float("nan")
    assert not step.accept_gradients(check=True) and parameter.grad is None


def test_finish__waits_for_the_device_once(monkeypatch):
    step, _, backward = make(clip={"max_norm": 1.0})
    item, waits = torch.Tensor.item, []
    monkeypatch.setattr(torch.Tensor, "item", lambda tensor: waits.append(1) or item(tensor))
    assert step.finish(0.5, backward) and waits == [1]
    backward()
    assert step.finish(0.5, backward, check=False) and waits == [1]


def test_require_dense_gradients__names_the_variant():
    step, parameter, backward = make(FriendlySAM, "fsam", key="sam_variant")
    step.require_dense_gradients()
    parameter.grad = parameter.detach().to_sparse()
    with pytest.raises(ConfigError, match=r"^sam_variant=fsam: it keeps a vector .*; choose sam, asam or gsam$"):
        step.finish(0.5, backward)
