"""Training on whole sequences equals RecBole's training on all their prefixes, but is faster."""

import pytest
import torch

from recbole_samrec.layers import losses as loss
from recbole_samrec.layers import transformer
from recbole_samrec.optim.row_adam import RowAdam
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import build, cyclic, make_config, random_events, write_events

OFF = dict.fromkeys(("hidden_dropout_prob", "attn_dropout_prob", "dropout_prob"), 0.0)
ONE_BATCH = {"train_batch_size": 10_000, "MAX_ITEM_LIST_LENGTH": 20, "shuffle": False}
SASREC = {"n_layers": 2, "n_heads": 2, "hidden_dropout_prob": 0.3, "attn_dropout_prob": 0.3, "loss_type": "CE"}
CE = {"loss_type": "CE", "train_neg_sample_args": None}


@pytest.fixture
def data(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    return tmp_path


def gradients_of_an_epoch(folder, model, training, loss_type, monkeypatch):
    """Loss and gradients of all training targets in one batch."""
    fixed = {"distribution": "uniform", "sample_num": 1} if loss_type == "BPR" and training == "prefix" else None
    settings = {**OFF, **ONE_BATCH, "loss_type": loss_type, "train_neg_sample_args": fixed}
    config = make_config(model, folder, training=training, **settings)
    (train_data, *_), network, trainer = build(config)
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    (batch,) = list(train_data)
    if training == "prefix" and loss_type == "BPR":
        batch.interaction[network.NEG_ITEM_ID] = negative_of(batch[network.POS_ITEM_ID])
    monkeypatch.setattr(loss, "draw_negatives", lambda n, shape, targets: negative_of(targets))
    value = trainer.training_loss()(batch)
    value.backward()
    return value.item(), {name: p.grad for name, p in network.named_parameters()}


def test_packed_training__fine_tunes_s3rec_on_whole_sequences(tmp_path):
    """With the loss and gradients of RecBole's rows; pre-training is not supported."""
    folder = write_events(tmp_path, "tiny", random_events())
    classes = [f"i{i}\tc{i % 3} c{i % 4}" for i in range(20)]
    (folder / "tiny.item").write_text("\n".join(["item_id:token\tclass:token_seq", *classes]) + "\n")
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]}
    settings = {**CE, **OFF, **ONE_BATCH, "load_col": columns, "item_attribute": "class"}
    first = tmp_path / "first.pth"
    checkpoint_io.save(first, build(make_config("S3Rec", tmp_path, **settings, train_stage="pretrain"))[2].state(0))
    settings |= {"train_stage": "finetune", "pre_model_path": str(first)}
    results = []
    for training in ("prefix", "packed"):
        (train_data, *_), network, trainer = build(make_config("S3Rec", tmp_path, **settings, training=training))
        (batch,) = list(train_data)
        value = trainer.training_loss()(batch)
        value.backward()
        results.append((value.detach(), network.item_embedding.weight.grad))
    for slow, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-7)
    with pytest.raises(ConfigError, match="training=packed does not support S3Rec: RecBole's pre-training attends"):
        theirs = {"train_stage": "pretrain", "pretraining": "recbole"}
        build(make_config("S3Rec", tmp_path, **settings | theirs, training="packed"))


def negative_of(targets):
    """Another item for each item, the same in both ways of training."""
    return targets % 19 + 1


@pytest.mark.parametrize("loss_type", ["CE", "BPR"])
@pytest.mark.parametrize("model", ["SAMRec", "SASRec", "GRU4Rec"])
def test_packed_training__has_loss_and_gradients_of_the_prefixes(model, loss_type, data, monkeypatch):
    expected, slow = gradients_of_an_epoch(data, model, "prefix", loss_type, monkeypatch)
    value, fast = gradients_of_an_epoch(data, model, "packed", loss_type, monkeypatch)
    assert value == pytest.approx(expected, rel=1e-6)
    assert slow.keys() == fast.keys()
    for name, gradient in slow.items():
        torch.testing.assert_close(fast[name], gradient, rtol=1e-4, atol=1e-7, msg=lambda text, n=name: f"{n}: {text}")
        assert gradient.abs().max() > 0 or "key.bias" in name  # softmax does not see a shift of all keys


def weights_after_training(folder, model, **settings):
    config = make_config(model, folder, **{**CE, **SASREC, "training": "packed", **settings})
    (train_data, valid_data, _), network, trainer = build(config)
    trainer.fit(train_data, valid_data, saved=False, verbose=False)
    return network.state_dict()


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_samrec__is_sasrec_bit_for_bit_without_sam(data):
    sasrec = weights_after_training(data, "SASRec")
    assert equal(weights_after_training(data, "SAMRec", sam_rho=0), sasrec)
    with_sam = weights_after_training(data, "SAMRec", sam_rho=0.1)
    assert equal(weights_after_training(data, "SASRec", sam_rho=0.1), with_sam) and not equal(with_sam, sasrec)


def test_fast_dropout__can_be_switched_off(data):
    fast, slow = (weights_after_training(data, "SASRec", fast_dropout=value) for value in (True, False))
    assert not equal(fast, slow)
    without = [weights_after_training(data, "SASRec", fast_dropout=value, **OFF) for value in (True, False)]
    assert equal(*without)


def test_prefix_training__cuts_to_the_longest_of_a_batch(data, monkeypatch):
    """The cut changes neither loss nor gradients; ``fast_dropout: False`` restores RecBole's own rows."""
    monkeypatch.setattr(transformer, "GROUP_OVERHEAD", -1)  # several groups of few sequences
    results, widths = [], []
    settings = {**CE, **OFF, **ONE_BATCH, "MAX_ITEM_LIST_LENGTH": 40}
    for fast in (True, False):
        config = make_config("SASRec", data, **settings, fast_dropout=fast)
        (train_data, *_), network, trainer = build(config)
        table = network.item_embedding
        table.register_forward_hook(lambda _, rows, __: widths.append(rows[0].size(1)) if rows[0].dim() > 1 else None)
        (batch,) = list(train_data)
        value = trainer.training_loss()(batch)
        value.backward()
        results.append((value.detach(), *(p.grad for p in network.parameters() if p.grad is not None)))
    lengths = batch[network.ITEM_SEQ_LEN].sort().values
    longest = [int(part.max()) for part in lengths.split(transformer.choose_groups(lengths.tolist()))]
    assert widths == [*longest, 40] and len(longest) > 1 and longest[-1] < 40
    positions = [i for i, gradient in enumerate(results[0]) if gradient.shape[:1] == (40,)]
    assert positions  # the embedding of positions beyond the longest has no gradient in either
    for cut, whole in zip(*results, strict=True):
        torch.testing.assert_close(cut, whole, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("loss_type", ["BPR", "SSM", "gBCE"])
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_sparse_updates__move_only_rows_with_a_gradient(loss_type, rho, data):
    config = make_config(
        "SAMRec", data, loss_type=loss_type, n_negatives=2, sam_rho=rho, embedding_update="sparse", train_batch_size=8
    )
    (train_data, *_), network, trainer = build(config)
    assert isinstance(trainer.optimizer, RowAdam)
    touched = set()
    scores = torch.nn.functional.embedding

    def remember(rows, table, *args, **kwargs):
        if table is network.item_embedding.weight:
            touched.update(rows.flatten().tolist())
        return scores(rows, table, *args, **kwargs)

    before = network.item_embedding.weight.detach().clone()
    batch = next(iter(train_data))
    loss_func = trainer.sam_step.recorded(trainer.training_loss())
    torch.nn.functional.embedding = remember
    try:
        loss_func(batch).backward()
        assert network.item_embedding.weight.grad.is_sparse
        trainer.optimizer.step()
    finally:
        torch.nn.functional.embedding = scores
    moved = (network.item_embedding.weight != before).any(dim=1).nonzero().flatten().tolist()
    assert moved and set(moved) <= touched - {0} and len(touched) < len(before)


@pytest.mark.parametrize("loss_type", ["SSM", "gBCE"])
@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_sampled_losses__learn_sequences_packed_and_by_prefix(loss_type, training, tmp_path):
    write_events(tmp_path, "tiny", cyclic(users=100))
    settings = {"loss_type": loss_type, "n_negatives": 4, "training": training, "train_neg_sample_args": None}
    settings |= {"epochs": 20, "learning_rate": 0.01, "sam_rho": 0.0}
    settings |= {"topk": [1], "metrics": ["Hit"], "valid_metric": "Hit@1"}
    config = make_config("SAMRec", tmp_path, **settings, shared_negatives=training == "prefix")
    (train_data, valid_data, _), _, trainer = build(config)
    best, _ = trainer.fit(train_data, valid_data, saved=False, verbose=False)
    assert best > 0.95


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss_type": "CE"}, "loss_type=CE has a gradient for every item; choose one of BPR, SSM, gBCE"),
        ({"loss_type": "SSM", "learner": "sgd"}, "requires learner=adam, not sgd"),
        ({"loss_type": "SSM", "weight_decay": 0.1}, "requires weight_decay=0, not 0.1"),
    ],
)
def test_sparse_updates__reject_what_needs_all_embedding_rows(settings, words, data):
    with pytest.raises(ConfigError, match=words):
        build(make_config("SAMRec", data, embedding_update="sparse", **settings))


@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_sparse_updates__need_a_sparse_gradient(training, data):
    with pytest.raises(ConfigError, match="SASRec has no embedding table with sparse gradients; use SAMRec"):
        build(make_config("SASRec", data, embedding_update="sparse", training=training, **CE))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_amp__changes_loss_and_gradients_by_rounding_only(dtype, data):
    losses, gradients = [], []
    for amp in (False, True):
        config = make_config("SAMRec", data, **{**CE, **OFF, **ONE_BATCH}, enable_amp=amp, amp_dtype=dtype)
        (train_data, *_), network, trainer = build(config)
        (batch,) = list(train_data)
        with torch.autocast("cpu", getattr(torch, dtype), enabled=amp):
            value = trainer.training_loss()(batch)
        (1024 * value).backward()  # as a scaler does, without which float16 loses small gradients
        assert value.dtype == torch.float32
        losses.append(value.item())
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    assert losses[1] == pytest.approx(losses[0], rel=2e-3) and not torch.equal(*gradients)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.999


def test_amp__learns_in_bfloat16(tmp_path):
    write_events(tmp_path, "tiny", cyclic(users=100))
    settings = {"enable_amp": True, "amp_dtype": "bfloat16", "epochs": 12, "learning_rate": 0.01, "sam_rho": 0.05}
    config = make_config("SAMRec", tmp_path, **CE, **settings, topk=[1], metrics=["Hit"], valid_metric="Hit@1")
    (train_data, valid_data, _), _, trainer = build(config)
    best, _ = trainer.fit(train_data, valid_data, saved=False, verbose=False)
    assert best > 0.95
