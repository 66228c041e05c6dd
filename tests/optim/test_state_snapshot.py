"""A second pass sees the same state as the first one, and restores the state after it."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from recbole_samrec.optim.random_state import RandomState
from recbole_samrec.optim.state_snapshot import (
    ModelState,
    Replay,
    is_unchanged,
    load_weights,
    move_to_device,
    pack_hidden,
    plain_attributes,
    snapshot_attribute,
    unpack_hidden,
)
from recbole_samrec.utils.errors import CheckpointError


class Counting(nn.Module):
    """A model with a buffer, a counter, a plain tensor and an array, all of which change in a pass."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.register_buffer("mean", torch.zeros(1))
        self.steps, self.table, self.array = 0, torch.zeros(2), np.zeros(2)

    def forward(self):
        self.steps += 1
        self.mean += 1
        self.table[0] += 1
        self.array[0] += 1

    def state(self):
        return self.steps, self.mean.item(), self.table[0].item(), self.array[0]

    def load_other_parameter(self, others):
        self.others = others


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_model_state__restores_all_that_a_pass_changes():
    model = Counting()
    state, table = ModelState(model), model.table
    model()
    assert model.state() == (1, 1, 1, 1)
    assert state.changed_in_place() == {(id(model), "table")}
    state.restore()
    assert model.state() == (0, 0, 0, 0) and model.table is table


def test_model_state__copies_only_tensors_that_change_in_place():
    model = Counting()
    state = ModelState(model, set())
    model()
    state.restore()
    assert model.state() == (0, 0, 1, 0)


def test_replay__gives_the_second_pass_the_state_of_the_first():
    model = Counting()
    replay = Replay(model)
    for number in (1, 2, 3):
        before = model.state()
        replay.record()
        first = draws()
        model()
        after, upcoming = model.state(), RandomState.get()
        with replay.second_pass():
            assert model.state() == before or number == 1  # a table is found to change when it does so first
            assert draws() == first
            model()
        assert model.state() == after
        expected = draws()
        RandomState.set(upcoming)
        assert draws() == expected


class Growing(Counting):
    """A model whose pass creates a cache, drops another one, and adds an attribute and a layer."""

    def __init__(self):
        super().__init__()
        self.cache, self.old, self.seen = None, torch.ones(1), []

    def forward(self):
        super().forward()
        self.cache = torch.full((2,), float(self.steps)) if self.cache is None else self.cache.add_(1)
        self.old = None
        self.extra = getattr(self, "extra", 0) + 1
        if self.steps > 2:
            self.seen = torch.zeros(1)  # a list before
        if "late" not in dict(self.named_children()):
            self.late = Counting()
        self.late()

    def state(self):
        return *super().state(), self.cache.tolist(), self.old, self.extra, type(self.seen), self.late.steps


def test_replay__follows_attributes_that_come_and_change():
    model = Growing()
    replay = Replay(model)
    for _ in range(5):
        replay.record()
        model()
        after = model.state()
        with replay.second_pass():
            model()
        assert model.state() == after
    model.old = torch.zeros(1)  # as an evaluation may set it
    replay.record()
    model()
    with replay.second_pass():
        assert model.old.tolist() == [0]
        model()
    assert model.old is None


def test_replay__restores_after_an_error_and_needs_a_record():
    model = Counting()
    replay = Replay(model)
    replay.record()
    model()
    with pytest.raises(KeyError), replay.second_pass():
        model()
        raise KeyError
    assert model.state() == (1, 1, 1, 1)
    replay.forget()
    words = r"^second_pass\(\) needs record\(\) before the first pass$"
    with pytest.raises(RuntimeError, match=words), replay.second_pass():
        pass


def test_plain_attributes__are_public_and_in_no_state_dict():
    model = Counting()
    model._hidden, model.names = 5, ["a list"]
    found = {name for module, name, _ in plain_attributes(model) if module is model}
    assert found == {"steps", "table", "array"}


@pytest.mark.parametrize("value, other", [(3, 4), (3, 3.0), ("a", "b"), (np.zeros(2), np.ones(2)), (None, 0)])
def test_is_unchanged__compares_values_and_types(value, other):
    assert is_unchanged(value, snapshot_attribute(value))
    assert not is_unchanged(other, snapshot_attribute(value))


def test_is_unchanged__sees_writes_into_tensors_and_arrays():
    for value in (torch.zeros(2), np.zeros(2)):
        snapshot = snapshot_attribute(value)
        value[0] = 1
        assert not is_unchanged(value, snapshot)


def test_load_weights__names_the_model_that_they_do_not_fit():
    state = {"state_dict": {"weight": torch.zeros(2, 3)}, "other_parameter": None}
    with pytest.raises(CheckpointError, match=r"^best\.pth: its weights do not fit Linear on this data: .*size"):
        load_weights(nn.Linear(2, 2), state, "best.pth")


def test_load_weights__loads_what_recbole_stores_beside_them():
    model, other = Counting(), Counting()
    nn.init.constant_(other.layer.weight, 3)
    load_weights(model, {"state_dict": other.state_dict(), "other_parameter": {"a": 5}}, "best.pth")
    assert model.layer.weight.item() == 3 and model.others == {"a": 5}


def test_move_to_device__goes_through_nested_values():
    moved = move_to_device({"a": [torch.zeros(2)], "b": (torch.zeros(1), "text")}, torch.device("meta"))
    assert moved["a"][0].is_meta and moved["b"][0].is_meta and moved["b"][1] == "text"


def test_pack_hidden__includes_layers_of_plain_dictionaries():
    class Hiding(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.shown = nn.Linear(1, 1)
            self.layers = {"first": nn.Linear(1, 1)}
            for layer in (self.shown, self.layers["first"]):
                nn.init.constant_(layer.weight, value)

    target = Hiding(0)
    assert unpack_hidden(pack_hidden(Hiding(7)), target) is target
    assert target.shown.weight.item() == target.layers["first"].weight.item() == 7
    assert pack_hidden(3) == 3 and unpack_hidden({"a": 1}, None) == {"a": 1}
