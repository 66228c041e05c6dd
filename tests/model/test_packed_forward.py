"""Packed models: no state depends on the future, and whole sequences have the loss and gradients of all prefixes."""

import inspect

import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.model.loss import BPRLoss
from recbole.utils import get_model

from recbole_samrec.integration.registry import MODELS, model_names
from recbole_samrec.model.packed_forward import (
    RECBOLE_MODELS,
    compute_last_states,
    compute_packed_states,
    is_packable,
    make_prefix_loss,
    require_packable,
    score_all_items,
)
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import make_config, random_events, write_events

OURS = [name for name in MODELS if is_packable(get_model(name))]
PACKABLE = [*OURS, *RECBOLE_MODELS]
LENGTH = 8


@pytest.fixture
def make_model(tmp_path):
    """Make a packable model without dropout, with weights that are large enough for differences to show."""
    folder = write_events(tmp_path, "tiny", random_events())
    classes = [f"i{i}\tc{i % 3} c{i % 4}" for i in range(20)]
    (folder / "tiny.item").write_text("\n".join(["item_id:token\tclass:token_seq", *classes]) + "\n")

    def make(name, **settings):
        from recbole.data import create_dataset

        columns = {"inter": ["user_id", "item_id", "timestamp"]}
        if name == "S3Rec":
            columns["item"] = ["item_id", "class"]
            settings = {"train_stage": "pretrain", "item_attribute": "class", "mask_ratio": 0.2} | settings
        off = dict.fromkeys(("hidden_dropout_prob", "attn_dropout_prob", "dropout_prob"), 0.0)
        settings = {"training": "prefix", "train_neg_sample_args": None, "load_col": columns, **off, **settings}
        config = make_config(name, tmp_path, MAX_ITEM_LIST_LENGTH=LENGTH, n_layers=2, num_layers=1, **settings)
        torch.manual_seed(0)
        model = get_model(name)(config, create_dataset(config))
        model.config = config
        if name == "S3Rec":
            model.train_stage = "finetune"  # whose constructor would ask for pre-trained weights
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        return model.double()

    return make


def rows(seed=0, count=5):
    """Left-aligned rows of random items, their lengths, and a target at each position."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, LENGTH + 1, (count,), generator=draw)
    inside = torch.arange(LENGTH) < lengths[:, None]
    items, targets = (torch.randint(1, 20, (count, LENGTH), generator=draw) * inside for _ in range(2))
    return items, lengths, targets


@pytest.mark.parametrize("name", PACKABLE)
@pytest.mark.parametrize("training", [True, False])
def test_packed_states__see_no_later_item(name, training, make_model):
    model = make_model(name).train(training)
    everywhere = torch.arange(LENGTH)
    items = torch.randint(1, 20, (1, LENGTH), generator=torch.Generator().manual_seed(1))
    before = compute_packed_states(model, items, everywhere)
    for t in range(LENGTH - 1):
        changed = items.clone()
        changed[0, t + 1 :] = (changed[0, t + 1 :] + 5) % 20
        after = compute_packed_states(model, changed, everywhere)
        assert torch.equal(after[: t + 1], before[: t + 1])
        assert not torch.allclose(after[t + 1], before[t + 1])


@pytest.mark.parametrize("name", PACKABLE)
@pytest.mark.parametrize("training", [True, False])
def test_packed_states__are_those_of_recboles_samples(name, training, make_model):
    model = make_model(name).train(training)
    items, lengths, targets = rows()
    where = targets.flatten().nonzero().squeeze(1)
    states = compute_packed_states(model, items, where)
    for state, position in zip(states, where.tolist(), strict=True):
        row, t = divmod(position, LENGTH)
        prefix = items[row : row + 1] * (torch.arange(LENGTH) <= t)
        torch.testing.assert_close(state, recboles_state(model, prefix, torch.tensor([t + 1]))[0])
    torch.testing.assert_close(compute_last_states(model, items, lengths), recboles_state(model, items, lengths))


@pytest.mark.parametrize("name", PACKABLE)
@pytest.mark.parametrize("loss_type", ["CE", "BPR"])
def test_prefix_loss__is_the_models_own(name, loss_type, make_model):
    """Value and gradients, although the last layer computes only the last positions."""
    settings = {} if name in ("gSASRec", "SASRecOriginal", "eSASRec") else {"loss_type": loss_type}
    model = make_model(name, cl_weight=0.0, **settings).train()
    if name == "S3Rec":  # whose constructor made that of pre-training
        model.loss_fct = torch.nn.CrossEntropyLoss() if loss_type == "CE" else BPRLoss()
    items, lengths, _ = rows(count=7)
    target, negative = torch.randint(1, 20, (2, 7), generator=torch.Generator().manual_seed(2))
    columns = {model.ITEM_SEQ: items, model.ITEM_SEQ_LEN: lengths, model.POS_ITEM_ID: target}
    batch = Interaction({**columns, model.NEG_ITEM_ID: negative, "user_id": torch.arange(7)})

    def gradients(loss_of):
        model.zero_grad()
        torch.manual_seed(5)
        loss = loss_of(batch)
        loss = sum(loss) if isinstance(loss, tuple) else loss
        loss.backward()
        return loss.detach(), [None if p.grad is None else p.grad.clone() for p in model.parameters()]

    (got, mine), (wanted, recboles) = gradients(make_prefix_loss(model, model.config)), gradients(model.calculate_loss)
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(mine, recboles)


def recboles_state(model, item_seq, lengths):
    if type(model).__name__ == "S3Rec":
        return model.gather_indexes(model.forward(item_seq, bidirectional=False), lengths - 1)
    return model.forward(item_seq, lengths)


@pytest.mark.parametrize("name", PACKABLE)
def test_scores__are_recboles(name, make_model):
    model = make_model(name).eval()
    items, lengths, _ = rows()
    batch = Interaction({model.ITEM_SEQ: items, model.ITEM_SEQ_LEN: lengths})
    recboles = get_model("SASRec") if name in OURS else type(model)
    score = inspect.unwrap(recboles.full_sort_predict)
    torch.testing.assert_close(score_all_items(model, items, lengths), score(model, batch))
    torch.testing.assert_close(score_all_items(model, items, lengths), model.full_sort_predict(batch))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("BERT4Rec", "it predicts masked items from both sides of a sequence"),
        *((name, "its state at a position depends on the whole sequence") for name in ("LightSANs", "CORE", "FEARec")),
        ("BSARec", "its Fourier filter spans the whole sequence"),
        ("Caser", "it convolves over the whole sequence"),
        ("NARM", "it does not declare packed_states"),
        ("BPR", "it is not a sequential model"),
    ],
)
def test_require_packable__names_why_a_model_sees_all(name, reason):
    with pytest.raises(ConfigError, match=rf"training=packed does not support {name}: {reason}; use training=pre"):
        require_packable(get_model(name))


def test_require_packable__wants_a_model_to_say_so():
    known = {"SASRec", "GRU4Rec", "S3Rec", "SAMRec", "gSASRec", "CL4SRec", "DuoRec", "SASRecOriginal", "eSASRec"}
    assert known & set(model_names()) == set(PACKABLE)

    class Mine(get_model("SAMRec")):
        """Derived from a packable model; its changes might use the future."""

    assert not is_packable(Mine)


def test_require_packable__refuses_pre_training(tmp_path):
    folder = write_events(tmp_path, "tiny", random_events())
    (folder / "tiny.item").write_text("item_id:token\tclass:token_seq\n")
    config = make_config("S3Rec", tmp_path, train_stage="pretrain", pretraining="recbole")
    with pytest.raises(ConfigError, match="pre-training attends to the whole sequence"):
        require_packable(get_model("S3Rec"), config)
