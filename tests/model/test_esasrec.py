"""eSASRec: gated blocks and the softmax over sampled items, written out."""

import pytest
import torch
import torch.nn.functional as F

from recbole_samrec.layers import losses
from tests.helpers.tiny import build, make_config, random_events, write_events


@pytest.fixture
def built(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    off = dict.fromkeys(("hidden_dropout_prob", "attn_dropout_prob"), 0.0)
    settings = {**off, "n_heads": 1, "n_negatives": 3, "train_batch_size": 8}
    loaders, network, trainer = build(make_config("eSASRec", tmp_path, **settings))
    torch.manual_seed(3)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return loaders[0], network, trainer


def ligr(x, block):
    """One block on one sequence, position by position, with one head."""
    normal = F.layer_norm(x, x.shape[1:], block.attention_norm.weight, block.attention_norm.bias)
    query, key, value = block.query(normal), block.key(normal), block.value(normal)
    rows = []
    for t in range(len(x)):
        weights = (query[t] @ key[: t + 1].T / x.shape[1] ** 0.5).softmax(0)
        rows.append(block.mix(weights @ value[: t + 1]))
    y = x + torch.sigmoid(block.attention_gate(x)) * torch.stack(rows)
    normal = F.layer_norm(y, y.shape[1:], block.forward_norm.weight, block.forward_norm.bias)
    gate = normal @ block.inner_gate.weight.T
    inner = gate * torch.sigmoid(gate) * (normal @ block.inner.weight.T)
    return y + torch.sigmoid(block.forward_gate(y)) * (inner @ block.outer.weight.T)


def test_esasrec__has_ligr_blocks(built):
    _, network, _ = built
    items = torch.tensor([3, 7, 1, 7])
    x = network.item_embedding(items) + network.position_embedding.weight[:4]
    for block in network.blocks:
        x = ligr(x, block)
    torch.testing.assert_close(network.packed_states(items.unsqueeze(0), torch.arange(4)), x, rtol=1e-4, atol=1e-5)
    assert network.blocks[0].inner.bias is None and len(network.blocks) == 2


def test_esasrec__has_a_softmax_over_its_negatives(built, monkeypatch):
    train_data, network, trainer = built
    drawn, draw = [], losses.draw_negatives
    monkeypatch.setattr(losses, "draw_negatives", lambda *a, **k: drawn.append(draw(*a, **k)) or drawn[-1])
    batch = next(iter(train_data))
    value = trainer.training_loss()(batch)
    where = batch["item_id"].flatten().nonzero().squeeze(1)
    states, targets = network.packed_states(batch["item_id_list"], where), batch["item_id"].flatten()[where]
    (negatives,) = drawn
    assert negatives.shape == (len(targets), 3) and not (negatives == targets[:, None]).any()
    total, table = 0.0, network.item_embedding.weight
    for state, target, others in zip(states, targets, negatives, strict=True):
        scores = torch.stack([state @ table[item] for item in [target, *others]]).exp()
        total -= torch.log(scores[0] / scores.sum()).item()
    assert value.item() == pytest.approx(total / len(targets), rel=1e-4)


def test_esasrec__has_the_papers_loss_by_default(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    config = make_config("eSASRec", tmp_path)
    chosen = ("loss_type", "n_negatives", "shared_negatives")
    assert [config[key] for key in chosen] == ["uSSM", 256, False]
