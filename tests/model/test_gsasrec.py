"""gSASRec: SASRec's states with the paper's loss, whose beta is written out here."""

import math

import pytest
import torch
from recbole.utils import get_model

from recbole_samrec.layers import losses
from recbole_samrec.model.packed_forward import make_packed_loss
from recbole_samrec.quick_start.record import make_label
from tests.helpers.tiny import build, make_config, random_events, write_events


@pytest.fixture
def tiny(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    return tmp_path


def test_gsasrec__has_the_papers_defaults_and_shows_its_name(tiny):
    config = make_config("gSASRec", tiny)
    chosen = ("loss_type", "n_negatives", "gbce_t", "shared_negatives", "sam_rho", "training")
    assert [config[key] for key in chosen] == ["gBCE", 256, 0.75, False, 0, "packed"]
    assert make_label(config) == "gSASRec"
    assert make_label(make_config("gSASRec", tiny, sam_rho=0.1)) == "gSASRec+SAM"
    assert make_label(make_config("SAMRec", tiny, sam_rho=0, loss_type="gBCE")) == "SASRec (gBCE)"


@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_gsasrec__has_the_papers_loss(training, tiny, monkeypatch):
    """With 5 negatives of 20 items: alpha = 5 / 19, t = 0.75, beta = alpha (t (1 - 1 / alpha) + 1 / alpha)."""
    off = dict.fromkeys(("hidden_dropout_prob", "attn_dropout_prob"), 0.0)
    config = make_config("gSASRec", tiny, n_negatives=5, training=training, train_batch_size=8, **off)
    (train_data, *_), model, trainer = build(config)
    torch.nn.init.normal_(model.item_embedding.weight, std=1.0)
    batch, drawn = next(iter(train_data)), []
    draw = losses.draw_negatives
    monkeypatch.setattr(losses, "draw_negatives", lambda *a, **k: drawn.append(draw(*a, **k)) or drawn[-1])
    value = trainer.training_loss()(batch)

    targets = batch["item_id"].flatten()
    items, lengths = batch["item_id_list"], batch.interaction.get("item_length")
    if training == "packed":
        where = targets.nonzero().squeeze(1)
        states, targets = model.packed_states(items, where), targets[where]
    else:
        states = model.forward(items, lengths)
    (negatives,) = drawn
    assert negatives.shape == (len(targets), 5) and not (negatives == targets[:, None]).any()
    alpha, table = 5 / 19, model.item_embedding.weight
    beta = alpha * (0.75 * (1 - 1 / alpha) + 1 / alpha)
    assert beta == pytest.approx(0.4473684)
    base, total = math.log(beta / 5), 0.0  # added to all scores: what is right for an item that nothing is known of
    for state, target, others in zip(states, targets.tolist(), negatives.tolist(), strict=True):
        terms = [beta * math.log(sigmoid(base + state @ table[target]))]
        terms += [math.log(1 - sigmoid(base + state @ table[other])) for other in others]
        total -= sum(terms) / 6
    assert model.n_items == 21 and value.item() == pytest.approx(total / len(targets), rel=1e-4)


def sigmoid(score) -> float:
    return 1 / (1 + math.exp(-score.item()))


def test_gsasrec__is_samrec_with_that_loss(tiny):
    """The same weights and states and, with the same draws, the same loss."""
    config = make_config("gSASRec", tiny)
    (train_data, *_), model, _ = build(config)
    _, samrec, _ = build(make_config("SAMRec", tiny, loss_type="gBCE", sam_rho=0.0))
    assert isinstance(model, get_model("SAMRec"))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), samrec.parameters(), strict=True))
    batch, values = next(iter(train_data)), []
    for one in (model, samrec):
        torch.manual_seed(0)
        values.append(make_packed_loss(one, config)(batch).item())
    assert values[0] == values[1]
