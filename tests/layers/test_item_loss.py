"""The configured loss of states against items equals its formula, fused or plain, with dense or sparse rows."""

from collections import defaultdict

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from recbole_samrec.layers import losses
from recbole_samrec.layers.item_loss import ItemLoss
from recbole_samrec.utils.errors import ConfigError

ITEMS = 6


def make(loss_type, counts=None, **settings):
    return ItemLoss(defaultdict(lambda: None, loss_type=loss_type, **settings), ITEMS, counts)


@pytest.fixture
def batch():
    """States, the items' embedding and the targets."""
    draw = torch.Generator().manual_seed(0)
    items = nn.Embedding(ITEMS, 3, _weight=torch.randn(ITEMS, 3, generator=draw))
    return torch.randn(4, 3, generator=draw), items, torch.tensor([1, 5, 2, 2])


def test_item_loss__of_all_items_is_cross_entropy(batch):
    states, items, targets = batch
    loss = make("CE")
    expected = F.cross_entropy(states @ items.weight.T, targets)
    torch.testing.assert_close(loss(*batch), expected)
    torch.testing.assert_close(loss(*batch, denominator=torch.tensor(8.0)), expected / 2)
    loss.fused = False
    torch.testing.assert_close(loss(*batch), expected)


@pytest.mark.parametrize("sparse", [False, True])
def test_item_loss__of_one_negative_each_is_bpr(batch, monkeypatch, sparse):
    states, items, targets = batch
    items.sparse = sparse
    negatives = torch.tensor([3, 3, 4, 1])
    monkeypatch.setattr(losses, "draw_negatives", lambda *sizes, **more: negatives)
    scores = states @ items.weight.T
    row = torch.arange(4)
    differences = scores[row, targets] - scores[row, negatives]
    torch.testing.assert_close(make("BPR")(*batch), -torch.log(1e-10 + torch.sigmoid(differences)).mean())
    make("BPR")(*batch).backward()
    assert items.weight.grad.is_sparse == sparse


@pytest.mark.parametrize("sparse", [False, True])
def test_item_loss__of_one_negative_each_is_bce(batch, monkeypatch, sparse):
    states, items, targets = batch
    items.sparse = sparse
    negatives = torch.tensor([3, 3, 4, 1])
    monkeypatch.setattr(losses, "draw_negatives", lambda *sizes, **more: negatives)
    scores, row = states @ items.weight.T, torch.arange(4)
    terms = F.binary_cross_entropy_with_logits(scores[row, targets], torch.ones(4), reduction="none")
    terms = terms + F.binary_cross_entropy_with_logits(scores[row, negatives], torch.zeros(4), reduction="none")
    loss = make("BCE", embedding_update="sparse" if sparse else "dense")
    torch.testing.assert_close(loss(*batch), terms.mean())
    torch.testing.assert_close(loss(*batch, denominator=torch.tensor(8.0)), terms.mean() / 2)
    loss(*batch).backward()
    assert items.weight.grad.is_sparse == sparse


@pytest.mark.parametrize("shared", [False, True])
def test_item_loss__of_few_items_is_their_softmax(batch, monkeypatch, shared):
    states, items, targets = batch
    negatives = torch.tensor([3, 5, 4]) if shared else torch.tensor([[3, 3, 4], [1, 2, 4], [3, 1, 1], [5, 4, 3]])
    monkeypatch.setattr(losses, "draw_negatives", lambda *sizes, **more: negatives)
    scores, total = states @ items.weight.T, 0.0
    for row, target in enumerate(targets.tolist()):
        drawn = negatives if shared else negatives[row]
        others = torch.stack([scores[row, item] for item in drawn.tolist() if item != target])
        total -= scores[row, target] - torch.cat([scores[row, target : target + 1], others]).logsumexp(0)
    torch.testing.assert_close(make("uSSM", n_negatives=3, shared_negatives=shared)(*batch), total / 4)


@pytest.mark.parametrize("shared", [None, True])
def test_item_loss__draws_as_many_negatives_as_are_set(batch, monkeypatch, shared):
    shapes, draw = [], losses.draw_negatives
    monkeypatch.setattr(
        losses, "draw_negatives", lambda n, shape, **more: (shapes.append(shape), draw(n, shape, **more))[1]
    )
    make("gBCE", n_negatives=7, shared_negatives=shared)(*batch)
    make("gBCE", shared_negatives=shared)(*batch)
    assert shapes == ([(7,), (256,)] if shared else [(4, 7), (4, 256)])


def test_item_loss__uses_the_frequencies_of_items(batch):
    counts = torch.tensor([0, 1, 2, 3, 0, 4])
    assert make("SSM", counts).frequencies.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0, 0.4])
    values = []
    for frequencies in (counts, None):
        torch.manual_seed(0)
        values.append(make("SSM", frequencies, n_negatives=3)(*batch).item())
    assert values[0] != pytest.approx(values[1])


def test_item_loss__of_all_items_refuses_sparse_updates():
    words = r"^embedding_update=sparse: loss_type=CE has a gradient for every item; choose one of BPR, SSM, gBCE$"
    with pytest.raises(ConfigError, match=words):
        make("CE", embedding_update="sparse")
    assert make("SSM", embedding_update="sparse").loss_type == "SSM"
