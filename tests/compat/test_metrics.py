"""Metrics of recommended lists, counted again from the file; a setting restores RecBole's own metrics."""

import math
from collections import Counter

import numpy as np
import pytest
from recbole.data import create_dataset, data_preparation
from recbole.evaluator.collector import Collector

from recbole_samrec.data.item_counts import count_training_events
from tests.helpers.tiny import build, make_config, random_events, write_events
from tests.helpers.toy_data import suspend

ITEMS = 12
LISTS = ["ItemCoverage", "GiniIndex", "ShannonEntropy", "AveragePopularity", "TailPercentage"]
LAST_TWO = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"}
RATIO = {**LAST_TWO, "split": {"RS": [0.5, 0.2, 0.3]}}
TIME = {**LAST_TWO, "split": {"TS": [0.6, 0.2, 0.2]}}
SINGLE = [("alone", "i0", 7), ("alone too", "i3", 70_000)]
"""Users with one event, of which a sequential model makes no sample."""


@pytest.fixture
def events(tmp_path):
    """Events in the order of the file; item ``i11`` occurs once, as a test item."""
    rows = [event for event in random_events(users=20, items=ITEMS - 1) if event[1] != "i11"]
    rows += [("u0", "i11", 99_000), *SINGLE]
    write_events(tmp_path, "tiny", rows)
    return tmp_path, sorted(rows, key=lambda row: row[2])


def histories(rows):
    of_user = {}
    for user, item, _ in rows:
        of_user.setdefault(user, []).append(item)
    return of_user


def evaluate(folder, model, **settings):
    """RecBole's test metrics of an untrained model, and its lists as names of items."""
    settings = {"metrics": LISTS, "topk": [3, 12], "valid_metric": "ItemCoverage@3", "eval_args": LAST_TWO, **settings}
    loaders, _, trainer = build(make_config(model, folder, **settings))
    trainer.eval_collector.data_collect(loaders[0])
    lists, evaluate = [], trainer.evaluator.evaluate

    def keep_lists(struct):
        names = loaders[2].dataset.field2id_token["item_id"]
        lists.extend([names[item] for item in row] for row in struct["rec.items"].numpy())
        return evaluate(struct)

    trainer.evaluator.evaluate = keep_lists
    return trainer.evaluate(loaders[2], load_best_model=False), lists


def count_by_hand(lists, k, training, tail=0.1):
    """The five metrics of lists of names; ``training`` contains the items of all training events."""
    lists = [[item for item in row[:k] if item != "[PAD]"] for row in lists]
    shown, popular = Counter(item for row in lists for item in row), Counter(training)
    names, total = [f"i{i}" for i in range(ITEMS)], sum(shown.values())
    apart = sum(abs(shown[one] - shown[other]) for one in names for other in names)
    unseen = {item for item in names if not popular[item]}
    assert len(unseen) >= max(1, int(tail * ITEMS))
    return {
        f"itemcoverage@{k}": len(shown) / ITEMS,
        f"giniindex@{k}": apart / (2 * ITEMS * total),
        f"shannonentropy@{k}": -sum(n / total * math.log(n / total) for n in shown.values()),
        f"averagepopularity@{k}": np.mean([np.mean([popular[item] for item in row]) for row in lists]),
        f"tailpercentage@{k}": np.mean([np.mean([item in unseen for item in row]) for row in lists]),
    }


@pytest.mark.parametrize("gauc", [False, True], ids=["", "with GAUC"])
@pytest.mark.parametrize("model", ["SASRec", "SAMRec", "BPR"])
def test_list_metrics__equal_those_by_hand(events, model, gauc):
    """This includes a general model with fewer candidates than places, since the history is masked."""
    folder, rows = events
    found, lists = evaluate(folder, model, metrics=LISTS + ["GAUC"] * gauc)
    training = [item for items in histories(rows).values() for item in (items[:-2] if len(items) > 1 else items)]
    for k in (3, 12):
        for name, value in count_by_hand(lists, k, training).items():
            assert found[name] == pytest.approx(value), name
    if model in ("SASRec", "SAMRec"):
        assert found["itemcoverage@12"] == 1 and found["giniindex@12"] == 0
        assert found["shannonentropy@12"] == pytest.approx(math.log(ITEMS))
    else:
        assert any("[PAD]" in row for row in lists)


@pytest.mark.parametrize("model", ["SASRec", "SAMRec"])
@pytest.mark.parametrize("split", [LAST_TWO, RATIO, TIME], ids=["leave one out", "ratio", "time"])
@pytest.mark.parametrize("longest", [1, 8])
def test_count_training_events__of_a_sequential_model(events, model, split, longest):
    folder, rows = events
    config = make_config(model, folder, eval_args=split, MAX_ITEM_LIST_LENGTH=longest)
    train, *held_out = (loader.dataset for loader in data_preparation(config, create_dataset(config)))
    names = train.field2id_token["item_id"]
    expected = Counter(item for _, item, _ in rows)
    for part in held_out:
        expected.subtract(names[part.inter_feat["item_id"].numpy()])
    if "TS" in split["split"]:
        trained = set(train.field2id_token["user_id"][train.inter_feat["user_id"].numpy()])
        expected.subtract(items[0] for user, items in histories(rows).items() if user not in trained)
    counts = dict(zip(names[1:], count_training_events(train).tolist()[1:], strict=True))
    assert counts == {item: expected[item] for item in counts}
    del train.first_items  # as in a data set that an earlier version has cached
    found = dict(zip(names[1:], count_training_events(train).tolist()[1:], strict=True))
    lone = Counter() if "TS" in split["split"] else Counter(item for _, item, _ in SINGLE)
    assert found == {item: counts[item] - lone[item] for item in counts}


@pytest.mark.parametrize("model", ["BPR", "GRU4Rec"])
def test_list_metrics__of_candidates_of_a_temporal_split(tmp_path, model):
    """Half of the items occur after the split only: they cannot be recommended, so they are not counted."""
    rows = [
        (f"u{user}", f"i{(user + step) % 6 + 6 * (step > 5)}", 100 * step + user)
        for user in range(9)
        for step in range(9)
    ]
    split = {"split": {"GTS": {"cut": 600, "unseen_users": "drop"}}}
    rows = [*rows, *((f"u{user}", f"i{user % 6}", 900) for user in range(9))]
    write_events(tmp_path, "tiny", rows)
    values, lists = evaluate(tmp_path, model, eval_args=split, topk=[3, 6], tail_ratio=0.34)
    assert values["itemcoverage@6"] == 1 and values["giniindex@6"] == 0
    assert values["tailpercentage@6"] == pytest.approx(1 / 3)  # two of six
    assert all(set(row) == {f"i{item}" for item in range(6)} for row in lists)


@pytest.mark.parametrize("model", ["SASRec", "SAMRec", "BPR"])
def test_count_training_events__of_a_share_of_users(events, model):
    folder, rows = events
    config = make_config(model, folder, eval_args=LAST_TWO, train_fraction=0.4)
    train = data_preparation(config, create_dataset(config))[0].dataset
    drawn = set(train.field2id_token["user_id"][train.inter_feat["user_id"].numpy()])
    assert 0 < len(drawn) < 20
    expected = Counter(
        item
        for user, items in histories(rows).items()
        if user in drawn
        for item in (items[:-2] if len(items) > 1 else items)
    )
    names = train.field2id_token["item_id"]
    assert dict(zip(names[1:], count_training_events(train).tolist()[1:], strict=True)) == {
        item: expected[item] for item in names[1:]
    }


def test_recbole_metrics__are_recboles_own(events):
    """The list of all 12 items: RecBole counts 13, and divides the entropy."""
    folder, rows = events
    found, _ = evaluate(folder, "SASRec", recbole_metrics=True)
    assert found["itemcoverage@12"] == pytest.approx(12 / 13)
    assert found["giniindex@12"] == pytest.approx(1 / 13)
    assert found["shannonentropy@12"] == pytest.approx(math.log(12) / 12)
    assert found["averagepopularity@12"] == pytest.approx(
        sum(max(0, len(items) - 3) for items in histories(rows).values()) / 12
    )
    assert found["tailpercentage@12"] == pytest.approx(1 / 12)
    with suspend("count_candidates_only"), suspend("count_all_training_events"), suspend("sum_entropy"):
        bare, _ = evaluate(folder, "SASRec")
    assert bare == found


def test_recbole_metrics__of_recboles_collector(events):
    folder, _ = events
    loaders, *_ = build(make_config("BPR", folder, metrics=LISTS, valid_metric="ItemCoverage@10", eval_args=LAST_TWO))
    for own in (True, False):
        config = make_config(
            "BPR", folder, metrics=LISTS, valid_metric="ItemCoverage@10", eval_args=LAST_TWO, recbole_metrics=own
        )
        collector = Collector(config)
        collector.data_collect(loaders[0])
        assert ("i11" in loaders[0].dataset.field2id_token["item_id"]) and (
            len(collector.data_struct["data.count_items"]) < ITEMS
        ) is own
