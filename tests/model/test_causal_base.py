"""Shared parts of models with their own Transformer: blocks at some positions, heads, and packed training."""

import pytest
import torch
from torch import nn

from recbole_samrec.layers import losses
from recbole_samrec.model.causal_base import apply_blocks, attend_causally, select_positions
from recbole_samrec.quick_start.record import make_label
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import build, make_config, random_events, write_events

MODELS = ["SASRecOriginal", "eSASRec"]
OFF = dict.fromkeys(("hidden_dropout_prob", "attn_dropout_prob"), 0.0)
ONE_BATCH = {"train_batch_size": 10_000, "MAX_ITEM_LIST_LENGTH": 20, "shuffle": False}


@pytest.fixture
def data(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    return tmp_path


def loss_and_gradients(folder, monkeypatch, model, training):
    """Loss and gradients of all training targets in one batch, with negatives that depend only on the target."""
    config = make_config(model, folder, training=training, n_negatives=2, **OFF, **ONE_BATCH)
    (train_data, *_), network, trainer = build(config)
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)

    def draw(n_items, shape, targets):
        return ((targets + torch.arange(shape[1] if len(shape) > 1 else 1)) % 19 + 1).view(shape)

    monkeypatch.setattr(losses, "draw_negatives", draw)
    (batch,) = list(train_data)
    loss = trainer.training_loss()(batch)
    loss.backward()
    return loss.detach(), {name: parameter.grad for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("model", MODELS)
def test_packed_training__has_loss_and_gradients_of_prefixes(model, data, monkeypatch):
    expected, slow = loss_and_gradients(data, monkeypatch, model, "prefix")
    value, fast = loss_and_gradients(data, monkeypatch, model, "packed")
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)
    assert slow.keys() == fast.keys()
    for name, gradient in slow.items():
        torch.testing.assert_close(fast[name], gradient, rtol=1e-4, atol=1e-7, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("model", MODELS)
def test_models__are_trained_packed_and_shown_by_name(model, data):
    config = make_config(model, data)
    assert (config["training"], config["sam_rho"], make_label(config)) == ("packed", 0, model)
    assert make_label(make_config(model, data, sam_rho=0.1)) == f"{model}+SAM"


@pytest.mark.parametrize("model", MODELS)
def test_models__reject_heads_that_do_not_fit(model, data):
    with pytest.raises(ConfigError, match="n_heads=3: it does not divide hidden_size=16; choose a divisor"):
        build(make_config(model, data, n_heads=3))


@pytest.mark.parametrize("model", MODELS)
def test_models__update_embedding_rows_with_a_gradient(model, data):
    config = make_config(model, data, embedding_update="sparse", train_batch_size=4, n_negatives=1, sam_rho=0.1)
    (train_data, *_), network, trainer = build(config)
    loss = trainer.sam_step.recorded(trainer.training_loss())(next(iter(train_data)))
    loss.backward()
    assert network.item_embedding.weight.grad.is_sparse
    trainer.optimizer.step()
    assert torch.isfinite(network.item_embedding.weight).all()


@pytest.mark.parametrize("model", MODELS)
def test_predict__is_the_score_among_all_items(model, data):
    (_, _, test_data), network, _ = build(make_config(model, data))
    batch = next(iter(test_data))[0]
    network.eval()
    with torch.no_grad():
        scores = network.full_sort_predict(batch)
        batch.interaction["item_id"] = torch.arange(len(batch)) % 20 + 1
        rows = torch.arange(len(batch))
        torch.testing.assert_close(network.predict(batch), scores[rows, batch["item_id"]])


def test_attend_causally__is_torchs_attention_with_a_mask():
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(6, 2, bias=False, batch_first=True).double()
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    query, key, value = (x @ part.T for part in attention.in_proj_weight.chunk(3))
    mixed = attend_causally(query, key, value, 2, nn.Dropout(0.5).eval()) @ attention.out_proj.weight.T
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)
    torch.testing.assert_close(mixed, attention(x, x, x, attn_mask=later, need_weights=False)[0])


@pytest.mark.parametrize("narrow", [False, True])
def test_apply_blocks__computes_the_last_one_where_needed(narrow):
    def block(x, where=None):
        return select_positions(x, where) * 2

    x = torch.arange(24.0).view(2, 3, 4)
    with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
        states = apply_blocks(x, [block, block], torch.tensor([5, 0, 1]))
    torch.testing.assert_close(states, 4 * x.view(6, 4)[[5, 0, 1]])
