"""SASRecOriginal: forward pass and loss of the first implementation, written out with numpy."""

import math

import numpy as np
import pytest
import torch

from recbole_samrec.layers import losses
from tests.helpers.tiny import build, make_config, random_events, write_events

HEADS, SIZE = 2, 16


@pytest.fixture
def built(tmp_path, request):
    write_events(tmp_path, "tiny", random_events())
    off = dict.fromkeys(("hidden_dropout_prob", "attn_dropout_prob"), 0.0)
    loaders, network, trainer = build(make_config("SASRecOriginal", tmp_path, n_heads=HEADS, train_batch_size=8, **off))
    torch.manual_seed(3)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return loaders[0], network, trainer


def normalize(x, layer):
    gamma, beta = (part.detach().numpy() for part in (layer.weight, layer.bias))
    centered = x - x.mean(-1, keepdims=True)
    return gamma * centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-8) + beta


def linear(x, layer):
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def attend(queries, x, block):
    """Each position attends to itself and the positions before it; no layer mixes the heads."""
    query, key, value = linear(queries, block.query), linear(x, block.key), linear(x, block.value)
    results = []
    for head in np.split(np.arange(SIZE), HEADS):
        scores = query[:, head] @ key[:, head].T / math.sqrt(SIZE / HEADS)
        scores[np.triu_indices(len(x), 1)] = -np.inf
        weights = np.exp(scores - scores.max(1, keepdims=True))
        results.append(weights / weights.sum(1, keepdims=True) @ value[:, head])
    return np.concatenate(results, axis=1)


def states_of(network, items):
    """States of one sequence at all of its positions."""
    table, positions = (one.weight.detach().numpy() for one in (network.item_embedding, network.position_embedding))
    x = table[items] * math.sqrt(SIZE) + positions[: len(items)]
    for block in network.blocks:
        queries = normalize(x, block.attention_norm)
        x = normalize(attend(queries, x, block) + queries, block.forward_norm)
        x = linear(np.maximum(linear(x, block.inner), 0), block.outer) + x
    return normalize(x, network.norm)


def test_sasrecoriginal__has_the_first_implementations_layers(built):
    _, network, _ = built
    items = torch.tensor([[3, 7, 1, 7, 0, 0]])
    states = network.packed_states(items, torch.arange(4)).detach().numpy()
    np.testing.assert_allclose(states, states_of(network, [3, 7, 1, 7]), rtol=1e-4, atol=1e-5)
    table = network.item_embedding.weight.detach().numpy()
    batch = {network.ITEM_SEQ: items, network.ITEM_SEQ_LEN: torch.tensor([4])}
    np.testing.assert_allclose(network.full_sort_predict(batch)[0].detach(), states[-1] @ table.T, rtol=1e-4, atol=1e-5)


def test_sasrecoriginal__has_the_loss_of_one_negative(built, monkeypatch):
    train_data, network, trainer = built
    drawn, draw = [], losses.draw_negatives
    monkeypatch.setattr(losses, "draw_negatives", lambda *a, **k: drawn.append(draw(*a, **k)) or drawn[-1])
    batch = next(iter(train_data))
    value = trainer.training_loss()(batch).item()
    where = batch["item_id"].flatten().nonzero().squeeze(1)
    states = network.packed_states(batch["item_id_list"], where).detach()
    targets, (negatives,) = batch["item_id"].flatten()[where], drawn
    assert negatives.shape == targets.shape and not (negatives == targets).any()
    table = network.item_embedding.weight.detach()
    good, bad = ((states * table[items]).sum(1).double().sigmoid() for items in (targets, negatives))
    assert value == pytest.approx(-(good.log() + (1 - bad).log()).mean().item(), rel=1e-5)


def test_sasrecoriginal__begins_as_tensorflow_does(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    _, network, _ = build(make_config("SASRecOriginal", tmp_path))
    table = network.item_embedding.weight
    assert table[0].abs().max() == 0 and table.abs().max() <= math.sqrt(6 / (21 + SIZE))
    assert network.blocks[0].query.weight.abs().max() <= math.sqrt(6 / (2 * SIZE))
    assert network.blocks[0].query.bias.abs().max() == 0
