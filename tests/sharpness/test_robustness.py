"""Noise is proportional to each weight; random generators, weights and histories are restored."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction
from torch import nn

from recbole_samrec.sharpness import robustness
from recbole_samrec.sharpness.robustness import (
    add_noise,
    change_histories,
    measure_under_changes,
    measure_under_noise,
    use_seed,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.ModuleList([nn.Embedding(400, 50, padding_idx=0), nn.Linear(100, 100, bias=False)])


def test_use_seed__draws_alike_and_continues_as_before():
    drawn = []
    before = random.getstate(), torch.get_rng_state()
    for _ in range(2):
        with use_seed(5):
            drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
    assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1])


def test_add_noise__is_a_share_of_the_weights_and_spares_padding(model):
    weights = list(model.parameters())
    kept = [weight.detach().clone() for weight in weights]
    with add_noise(model, weights, 0.1, torch.Generator().manual_seed(0)):
        for weight, before in zip(weights, kept, strict=True):
            noise = (weight - before).detach()
            assert noise.square().mean().sqrt() == pytest.approx(0.1 * before.square().mean().sqrt().item(), rel=0.05)
        assert not weights[0][0].any()
    assert all(torch.equal(weight, before) for weight, before in zip(weights, kept, strict=True))


def test_add_noise__restores_weights_after_an_error(model):
    weights = list(model.parameters())
    before = weights[1].detach().clone()
    with pytest.raises(KeyError), add_noise(model, weights, 0.5, torch.Generator()):
        raise KeyError
    assert torch.equal(weights[1], before)


def make_solution(model=None, weights=()):
    """A run whose test histories are 1, 2, 3, 4 and 5, 6."""
    names = {"ITEM_SEQ": "item_list", "ITEM_SEQ_LEN": "length", "n_items": 9}
    model = SimpleNamespace(**names) if model is None else model
    fields = {"item_list": torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]), "length": torch.tensor([4, 2])}
    data = SimpleNamespace(inter_feat=Interaction(fields | {"time_list": fields["item_list"] * 10.0}))
    trainer = SimpleNamespace(model=model, config={"LIST_SUFFIX": "_list"})
    return SimpleNamespace(trainer=trainer, weights=weights, loaders=[None, None, SimpleNamespace(_dataset=data)])


def test_change_histories__moves_all_fields_of_an_event_together():
    solution = make_solution()
    data = solution.loaders[2]._dataset
    before = data.inter_feat
    for change in ("dropped", "swapped", "cut off"):
        with change_histories(solution, change, 0.5, torch.Generator().manual_seed(0)):
            changed = data.inter_feat
            assert not torch.equal(changed["item_list"], before["item_list"])
            assert torch.equal(changed["time_list"], changed["item_list"] * 10.0)
            assert ((changed["item_list"] > 0).sum(1) == changed["length"]).all()
        assert data.inter_feat is before


def test_measure_under_noise__draws_level_0_once(model, monkeypatch):
    monkeypatch.setattr(robustness, "score_test_set", lambda solution: {"ndcg@10": 0.5})
    done = []
    solution = make_solution(model, list(model.parameters()))
    found = measure_under_noise(solution, (0.0, 0.1), draws=3, progress=lambda *numbers: done.append(numbers))
    assert found["level"].tolist() == [0, 0.1, 0.1, 0.1] and found["draw"].tolist() == [0, 0, 1, 2]
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_measure_under_changes__cuts_off_once(monkeypatch):
    monkeypatch.setattr(robustness, "score_test_set", lambda solution: {"ndcg@10": 0.5})
    found = measure_under_changes(make_solution(), {"dropped": (0.0, 0.5), "cut off": (0.0, 0.5)}, draws=2)
    assert list(zip(found["change"], found["level"], found["draw"], strict=True)) == [
        ("dropped", 0.0, 0), ("dropped", 0.5, 0), ("dropped", 0.5, 1), ("cut off", 0.0, 0), ("cut off", 0.5, 0),
    ]  # fmt: skip
