"""Draws of every generator are repeated."""

import random
from types import SimpleNamespace

import numpy as np
import torch

from recbole_samrec.optim import random_state
from recbole_samrec.optim.random_state import RandomState


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_random_state__repeats_the_draws_of_all_generators():
    state = RandomState.get()
    first = draws()
    assert draws() != first
    RandomState.set(state)
    assert draws() == first


def test_random_state__is_set_from_lists_of_a_checkpoint():
    state = RandomState.get()
    first = draws()
    version, numbers, gauss = state["python"]
    RandomState.set(state | {"python": [version, list(numbers), gauss], "numpy": list(state["numpy"])})
    assert draws() == first


def test_random_state__repeats_normal_numbers_that_numpy_keeps():
    np.random.seed(0)
    for _ in range(4):
        state = RandomState.get()
        first = [np.random.randn() for _ in range(3)]  # an odd number leaves one for the next draw
        RandomState.set(state)
        assert [np.random.randn() for _ in range(3)] == first


def test_random_state__sees_a_draw_between_two_states():
    RandomState.set(before := RandomState.get())
    one = np.random.rand()
    RandomState.set(before)
    assert np.random.rand() == one != np.random.rand()


def test_random_state__has_the_generators_of_given_devices(monkeypatch):
    states = {0: torch.tensor([5]), 1: torch.tensor([6])}
    module = SimpleNamespace(
        get_rng_state=lambda device: states[device.index].clone(),
        set_rng_state=lambda state, device: states.update({device.index: state}),
    )
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    first, second, cpu = torch.device("cuda", 0), torch.device("cuda", 1), torch.device("cpu")
    of_second = RandomState.get(cpu, second)
    assert [state.tolist() for state in of_second["devices"]] == [[6]]
    RandomState.set(of_second, cpu, first)  # two GPUs before, one now
    assert states[0].tolist() == [6]
    RandomState.set(RandomState.get(cpu), first)  # a state of the CPU leaves the GPU's generator
    RandomState.set(of_second, cpu)  # and a state of a GPU is read on a CPU
    old = {**RandomState.get(), "cuda": [torch.tensor([1]), torch.tensor([2])]}
    del old["devices"]
    RandomState.set(old, first)  # a checkpoint of an earlier version
    assert states[0].tolist() == [1] and states[1].tolist() == [6]


def test_random_state__repeats_normal_numbers_that_python_keeps():
    for count in (1, 2, 3):
        state = RandomState.get()
        first = [random.gauss(0, 1) for _ in range(count)]
        RandomState.set(state)
        assert [random.gauss(0, 1) for _ in range(count)] == first


def test_random_state__sees_a_draw_between_two_states__python():
    RandomState.set(before := RandomState.get())
    one = random.random()
    RandomState.set(before)
    assert random.random() == one != random.random()
    assert RandomState.get()["python"] == random.getstate()


def test_random_state__reads_python_s_generator_only_after_draws(monkeypatch):
    RandomState.get()
    calls, read = [], random.getstate
    monkeypatch.setattr(random, "getstate", lambda: calls.append(1) or read())
    RandomState.get()
    assert not calls
    random.random()
    RandomState.get()
    assert calls == [1]


def test_random_state__works_where_the_memory_is_unknown(monkeypatch):
    unknown = random_state._PythonState()
    unknown._bytes = 0
    monkeypatch.setattr(random_state, "_PYTHON", unknown)
    for _ in range(2):
        state = RandomState.get()
        first = random.random()
        RandomState.set(state)
        assert random.random() == first
