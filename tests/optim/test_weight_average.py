"""Averages of weights against sums that are written out with numpy."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from recbole_samrec.optim.weight_average import make_average

RATE = 0.1


def vector(model) -> np.ndarray:
    return parameters_to_vector(model.parameters()).detach().numpy().copy()


class Training:
    """Gradient descent on a line that follows a circle of targets, and an average of its weights."""

    def __init__(self, wanted):
        torch.manual_seed(0)
        self.model = nn.Linear(2, 2).double()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=RATE)
        self.average = make_average(self.model, wanted)
        self.average.attach(self.optimizer)
        self.path: list[np.ndarray] = []

    def step(self, number):
        targets = torch.eye(4, dtype=torch.float64)[number % 4].view(2, 2)
        self.optimizer.zero_grad()
        (self.model(torch.eye(2, dtype=torch.float64)) - targets).square().sum().backward()
        self.optimizer.step()
        self.path.append(vector(self.model))

    def applied(self):
        with self.average.applied():
            return vector(self.model)


def walk(count) -> list[np.ndarray]:
    """The weights after each step, by hand: the gradient of ``|W + b - T|^2`` for identity inputs."""
    torch.manual_seed(0)
    line = nn.Linear(2, 2).double()
    weight, bias = line.weight.detach().numpy().copy(), line.bias.detach().numpy().copy()
    path = []
    for number in range(count):
        error = weight.T + bias - np.eye(4)[number % 4].reshape(2, 2)
        weight, bias = weight - RATE * 2 * error.T, bias - RATE * 2 * error.sum(0)
        path.append(np.concatenate([weight.ravel(), bias]))
    return path


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_moving_average__is_its_corrected_sum(decay):
    training, path = Training(f"ema {decay}"), walk(7)
    for number in range(7):
        training.step(number)
        np.testing.assert_allclose(training.path[-1], path[number], rtol=1e-12)
        shares = (1 - decay) * decay ** np.arange(number, -1, -1.0)
        expected = (shares[:, None] * path[: number + 1]).sum(0) / (1 - decay ** (number + 1))
        np.testing.assert_allclose(training.applied(), expected, rtol=1e-10)
    assert np.array_equal(vector(training.model), training.path[-1])


def test_moving_average__of_one_step_is_its_weights():
    training = Training("ema 0.99")
    training.step(0)
    assert np.array_equal(training.applied(), training.path[0])


def test_moving_average__counts_no_skipped_step():
    whole, disturbed = Training("ema 0.9"), Training("ema 0.9")
    for number in range(3):
        whole.step(number)
        disturbed.step(number)
        disturbed.optimizer.zero_grad()
        disturbed.optimizer.step()
    assert np.array_equal(whole.applied(), disturbed.applied())


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_epoch_mean__is_that_of_the_last_ends(epochs):
    training, path = Training(f"last {epochs}"), walk(10)
    for epoch in range(5):
        training.step(2 * epoch)
        training.average.end_epoch(epoch)  # of a first part of the epoch
        training.step(2 * epoch + 1)
        training.average.end_epoch(epoch)
        ends = path[1 : 2 * epoch + 2 : 2][-epochs:]
        np.testing.assert_allclose(training.applied(), np.mean(ends, axis=0), rtol=1e-12)
        assert np.array_equal(vector(training.model), training.path[-1])


@pytest.mark.parametrize("wanted", ["ema 0.9", "last 2", None])
def test_applied__gives_back_the_weights_after_an_error(wanted):
    training = Training(wanted)
    for epoch in range(3):
        training.step(epoch)
        training.average.end_epoch(epoch)
    with pytest.raises(ZeroDivisionError), training.average.applied(), training.average.applied():
        assert np.array_equal(vector(training.model), training.path[-1]) == (wanted is None)
        raise ZeroDivisionError
    assert np.array_equal(vector(training.model), training.path[-1])


@pytest.mark.parametrize("wanted", ["ema 0.9", "last 2"])
def test_applied__changes_nothing_before_the_first_step(wanted):
    training = Training(wanted)
    assert np.array_equal(training.applied(), vector(training.model))


def test_applied__leaves_buffers_and_frozen_weights():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[0].bias.requires_grad_(False)
    average = make_average(model, "last 2")
    for epoch in range(2):
        model(torch.randn(4, 2))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 1
        average.end_epoch(epoch)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with average.applied():
        moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"0.weight", "1.weight", "1.bias"}


@pytest.mark.parametrize("wanted", ["ema 0.9", "last 2"])
def test_state_dict__continues_bit_for_bit(wanted):
    whole, part = Training(wanted), Training(wanted)
    for epoch in range(6):
        whole.step(epoch)
        whole.average.end_epoch(epoch)
    for epoch in range(3):
        part.step(epoch)
        part.average.end_epoch(epoch)
    with part.average.applied():
        state, saved = copy.deepcopy(part.average.state_dict()), copy.deepcopy(part.model.state_dict())
    resumed = Training(wanted)
    resumed.model.load_state_dict(saved)  # a checkpoint's model is the average
    resumed.average.load_state_dict(state)
    assert np.array_equal(vector(resumed.model), part.path[-1])
    for epoch in range(3, 6):
        resumed.step(epoch)
        resumed.average.end_epoch(epoch)
    assert np.array_equal(resumed.applied(), whole.applied())


@pytest.mark.parametrize(("wanted", "other"), [("ema 0.9", "last 2"), ("last 2", None), (None, "ema 0.9")])
def test_load_state_dict__rejects_another_kind(wanted, other):
    with pytest.raises(ValueError, match="it holds"):
        Training(wanted).average.load_state_dict(Training(other).average.state_dict())


@pytest.mark.parametrize("wanted", ["ema 0.5", "last 2"])
def test_average__of_halves_is_computed_in_single_precision(wanted):
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    average, optimizer = make_average(model, wanted), torch.optim.SGD(model.parameters(), lr=1.0)
    average.attach(optimizer)
    for epoch, value in enumerate((1.0, 1.0078125)):  # neighbors in this format
        model.weight.grad = model.weight.detach() - value
        optimizer.step()
        average.end_epoch(epoch)
    (found,) = average.compute()
    assert found.dtype == torch.float32 and 1 < found.item() < 1.0078125
