"""DuoRec: the pairs that it contrasts; parts shared with CL4SRec are tested there."""

import itertools

import pytest
import torch

from recbole_samrec.layers.info_nce import info_nce
from recbole_samrec.model import packed_forward
from tests.helpers.contrastive import OFF, make
from tests.helpers.tiny import cyclic, random_events, write_events


def pairs_of(network, monkeypatch, steps=1):
    """The rows, lengths and states of both views, in steps."""
    seen, encode = [], packed_forward.compute_last_states

    def watched(model, items, lengths):
        states = encode(model, items, lengths)
        seen.append([part.chunk(2) for part in (items, lengths, states)])
        return states

    monkeypatch.setattr(packed_forward, "compute_last_states", watched)
    losses = [network.auxiliary_loss(None) for _ in range(steps)]
    return losses, seen


@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_duorec__contrasts_sequences_with_one_next_item(training, tmp_path, monkeypatch):
    """On a circle of 12 items these are sequences that end with the same item, which no later event reveals."""
    write_events(tmp_path, "circle", cyclic())
    train_data, network, _ = make(tmp_path, "DuoRec", "circle", training=training, cl_batch=64)
    names = train_data.dataset.field2id_token["item_id"]
    _, steps = pairs_of(network, monkeypatch, steps=3)
    for items, lengths, _ in steps:
        ends = [[names[row[n - 1]] for row, n in zip(*part, strict=True)] for part in zip(items, lengths, strict=True)]
        assert ends[0] == ends[1] and len(ends[0]) == 64
        for row, n in zip(torch.cat(items), torch.cat(lengths), strict=True):
            places = [int(names[item][1:]) for item in row[:n]]
            assert all((b - a) % 12 == 1 for a, b in itertools.pairwise(places))
            assert 1 <= n <= 7  # 10 events: the last two are kept for validation and test, and one is the target
    assert not torch.equal(steps[0][0][0], steps[1][0][0])


def test_duorec__adds_info_nce_without_the_same_target(tmp_path, monkeypatch):
    write_events(tmp_path, "circle", cyclic())
    settings = {"cl_batch": 40, "cl_weight": 0.3, "cl_temperature": 2.0, "cl_similarity": "cosine"}
    _, network, _ = make(tmp_path, "DuoRec", "circle", **settings)
    (loss,), ((items, lengths, states),) = pairs_of(network, monkeypatch)
    last = items[0][torch.arange(40), lengths[0] - 1]  # on a circle it decides the target
    assert len(last.unique()) < 40
    expected = 0.3 * info_nce(*states, temperature=2.0, similarity="cosine", labels=last)
    torch.testing.assert_close(loss, expected)


def test_duorec__pairs_a_lone_sequence_with_itself(tmp_path, monkeypatch):
    write_events(tmp_path, "line", [(f"u{u}", f"i{10 * u + step}", step) for u in range(8) for step in range(6)])
    _, network, _ = make(tmp_path, "DuoRec", "line", cl_batch=50)
    _, ((items, lengths, states),) = pairs_of(network, monkeypatch)
    assert torch.equal(*items) and torch.equal(*lengths)
    assert not torch.isclose(*states).all(1).any()
    _, network, _ = make(tmp_path, "DuoRec", "line", cl_batch=50, **OFF)
    _, ((_, _, states),) = pairs_of(network, monkeypatch)
    torch.testing.assert_close(*states)


def test_duorec__pairs_with_another_sequence_if_any(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    _, network, _ = make(tmp_path, "DuoRec")
    own = torch.arange(len(network.samples))
    other = network.same_target.draw(own)
    targets = network.samples.targets
    alone = torch.bincount(targets)[targets] == 1
    assert torch.equal(targets[other], targets) and torch.equal(own == other, alone)
