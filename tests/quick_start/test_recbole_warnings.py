"""Warnings about RecBole appear when they apply, with correct numbers, and are true."""

import random

import pytest
import torch
from recbole.data import create_dataset, data_preparation

from recbole_samrec.quick_start.recbole_warnings import list_warnings
from tests.helpers.tiny import cyclic, make_config, random_events, write_events

LATE = {"split": {"LS": "valid_and_test"}, "order": "TO"}


def prepared(folder, model, events=None, **settings):
    """Configuration, data set and loaders."""
    write_events(folder, "tiny", events or random_events())
    config = make_config(model, folder, **settings)
    dataset = create_dataset(config)
    return config, dataset, data_preparation(config, dataset)


def said(folder, model, events=None, **settings):
    return "\n".join(list_warnings(*prepared(folder, model, events, **settings)))


def test_list_warnings__names_history_in_full_rankings(own_folder):
    words = "full ranking includes items that the user had before"
    assert words in said(own_folder, "SASRec")
    assert words not in said(own_folder, "SASRec", mask_history=True)
    assert words not in said(own_folder, "BPR")
    assert words not in said(own_folder, "SASRec", eval_args={**LATE, "mode": "uni100"})


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_list_warnings__counts_items_without_interactions(own_folder, model):
    """An item that is only a user's first one is no sample's target, but counts as seen."""
    events = [(f"u{user}", item, time) for user in range(3) for time, item in enumerate(f"{user}abcd")]
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]}
    folder = write_events(own_folder, "tiny", events)
    (folder / "tiny.item").write_text("item_id:token\tclass:token\n" + "".join(f"{item}\tx\n" for item in "abc0123xyz"))
    text = said(own_folder, model, events, load_col=columns)  # 3 is not had, nor are x, y and z
    assert "4 items of the .item file occur in no interaction" in text
    assert "occur in no interaction" not in said(own_folder, model, events)


def test_list_warnings__explains_sampled_evaluation(own_folder):
    words = "sampled evaluation draws with replacement, again at each evaluation"
    general = said(own_folder, "BPR", eval_args={"mode": "uni100"})
    assert words in general and "had before" not in general
    late = said(own_folder, "SASRec", eval_args={**LATE, "mode": "uni100"})
    assert f"{words}, and may draw what the user had before" in late and "merges" not in late
    for kind in ("RS", "TS"):
        args = {"split": {kind: [0.6, 0.2, 0.2]}, "order": "TO", "mode": "pop20"}
        assert "merges a user's samples" in said(own_folder, "SASRec", eval_args=args)
    for mode, kind in (("uni9", "sampled"), ("labeled", "labeled")):
        text = said(own_folder, "SASRec", eval_args={**LATE, "mode": mode}, mask_history=True)
        assert f"{kind} evaluation passes it over" in text


@pytest.mark.parametrize("order", ["RO", "TO"])
def test_list_warnings__names_a_time_split_in_random_order(own_folder, order):
    args = {"split": {"TS": [0.6, 0.2, 0.2]}, "order": order}
    events = [(f"u{user}", f"i{step + user}", 100 * step + user) for user in range(20) for step in range(10)]
    config, dataset, loaders = prepared(own_folder, "BPR", events, eval_args=args)
    first = loaders[2]._dataset.inter_feat["timestamp"].min()
    last = max(loader._dataset.inter_feat["timestamp"].max() for loader in loaders[:2])
    assert bool(first > last) == (order == "TO")
    text = "\n".join(list_warnings(config, dataset, loaders))
    assert ("a time split needs order: TO" in text) == (order == "RO")


def test_list_warnings__counts_users_without_a_test_sample(own_folder):
    events = [(f"u{length}", f"i{step}", step) for length in range(1, 7) for step in range(length)]
    assert "2 of 6 users have no sample in the test set" in said(own_folder, "SASRec", events)  # of one and two events
    assert "no row in the test set" not in said(own_folder, "SASRec", cyclic(users=5))


def test_list_warnings__names_models_and_workers(own_folder):
    assert "BERT4Rec leaves" in said(own_folder, "BERT4Rec")
    assert "BERT4Rec" not in said(own_folder, "SASRec")
    assert "worker above 0" in said(own_folder, "SASRec", worker=1)


def test_list_warnings__holds_for_bert4rec(own_folder):
    """The share in the warning, with RecBole's defaults."""
    _, _, loaders = prepared(own_folder, "BERT4Rec", cyclic(users=20, items=400, length=150), MAX_ITEM_LIST_LENGTH=50)
    random.seed(0)
    masked = labelled = 0
    for batch in loaders[0]:
        rows = batch["item_length"] == 50
        hidden = batch["Mask_item_id_list"][rows] == loaders[0]._dataset.item_num
        if (hidden.sum(dim=1) == 1).all():
            continue  # a share of the batches, ft_ratio, hides but the last item
        masked += hidden.sum().item()
        labelled += (batch["MASK_INDEX"][rows] > 0).sum().item()
    assert masked > 5000
    assert 1 / 8.5 < 1 - labelled / masked < 1 / 6


def test_list_warnings__sorts_no_interactions(own_folder, monkeypatch):
    """Sorting a million rows of fifty items would take many seconds and gigabytes."""
    config, dataset, loaders = prepared(own_folder, "SASRec")
    dataset.item_feat = dataset.inter_feat
    lists = torch.randint(1, 8, (1000, 50))
    dataset.inter_feat = {"item_id": torch.randint(1, 8, (1000,)), "item_id_list": lists}
    sort = torch.Tensor.unique
    monkeypatch.setattr(torch.Tensor, "unique", lambda ids, *a, **k: sort(ids, *a, **k) if ids.dim() < 2 else 1 / 0)
    unseen = dataset.item_num - 1 - 7
    told = f"{unseen} items of the .item file"
    assert any(line.startswith(told) for line in list_warnings(config, dataset, loaders))


def rated(folder, model, label="rating:float", values=range(1, 6), **settings):
    """The warnings for events with ratings, or another column, of the given values in turn."""
    values = [str(value) for value in values]
    steps = [(user, step) for user in range(10) for step in range(5)]
    events = [(f"u{u}", f"i{(u + step) % 9}", values[(u + step) % len(values)], step) for u, step in steps]
    path = folder / "tiny" / "tiny.inter"
    path.parent.mkdir(exist_ok=True)
    lines = [f"user_id:token\titem_id:token\t{label}\ttimestamp:float"]
    path.write_text("\n".join([*lines, *("\t".join(map(str, event)) for event in events)]) + "\n")
    columns = {"inter": ["user_id", "item_id", label.split(":")[0], "timestamp"]}
    config = make_config(model, folder, load_col=columns, **settings)
    dataset = create_dataset(config)
    return "\n".join(list_warnings(config, dataset, data_preparation(config, dataset)))


@pytest.mark.parametrize("model", ["SASRec", "SAMRec", "Pop", "BPR"])
def test_list_warnings__names_thresholds_without_effect(own_folder, model):
    text = rated(own_folder, model, threshold={"rating": 3})
    count = "16 of 40" if model in ("SASRec", "SAMRec") else "20 of 50"  # samples leave out each user's first event
    assert (
        f"threshold={{'rating': 3}} has no effect on a ranking, which takes every event as positive, also the {count}"
    )
    assert "--val_interval=\"{'rating': '[3,inf)'}\"" in text
    assert "no effect" not in rated(own_folder, model, threshold={"rating": 3}, val_interval={"rating": "[3,inf)"})
    assert "no effect" not in rated(own_folder, model)


@pytest.mark.parametrize(("label", "interval"), [("label:float", "'(0,inf)'"), ("label:token", "\"['1']\"")])
def test_list_warnings__names_labels_without_effect(own_folder, label, interval):
    text = rated(own_folder, "SASRec", label, (0, 1))
    assert "column label has no effect on a ranking" in text and "val_interval" in text
    assert "no effect" not in rated(own_folder, "SASRec", label, (1, 1))


def test_list_warnings__accepts_labels_that_are_evaluated(own_folder):
    labeled = {"metrics": ["AUC"], "valid_metric": "AUC", "eval_args": {"mode": "labeled"}}
    assert "no effect" not in rated(own_folder, "FM", threshold={"rating": 3}, **labeled)


def test_list_warnings__names_training_without_negatives(own_folder):
    labeled = {"eval_args": {"mode": "labeled"}, "metrics": ["AUC"], "valid_metric": "AUC"}
    labeled |= {"train_neg_sample_args": None}
    assert "trained without negatives" in rated(own_folder, "FM", threshold={"rating": 1}, **labeled)
    assert "trained without negatives" not in rated(own_folder, "FM", threshold={"rating": 3}, **labeled)
