"""Exactly the items that a user had before an event are masked in the ranking."""

import numpy as np
import pytest
import torch
from recbole.data import create_dataset, data_preparation

from recbole_samrec.evaluator.history_mask import Histories, HistoryMask, count_earlier, mask_items
from tests.helpers.tiny import make_config, random_events, write_events

SPLITS = {
    "leave one out": {"split": {"LS": "valid_and_test"}, "order": "TO"},
    "ratio of each user": {"split": {"RS": [0.5, 0.2, 0.3]}, "order": "TO", "group_by": "user"},
    "ratio of all": {"split": {"RS": [0.5, 0.2, 0.3]}, "order": "TO", "group_by": "none"},
    "time": {"split": {"TS": [0.5, 0.2, 0.3]}, "order": "TO"},
    "no validation": {"split": {"LS": "test_only"}, "order": "TO"},
}


def prepared(folder, events, model, **settings):
    """The data set of some events and its three loaders."""
    write_events(folder, "tiny", events)
    config = make_config(model, folder, topk=[1, 2, 3], valid_metric="NDCG@3", **settings)
    dataset = create_dataset(config)
    return dataset, data_preparation(config, dataset)


def hidden_rows(dataset, loaders, part):
    """For each row of a part of the split, the names of user, target, time and masked items."""
    earlier, data = [one._dataset for one in loaders[:part]], loaders[part]._dataset
    mask = HistoryMask(earlier, data)
    for start in range(0, len(data), 7):  # batches must not matter
        rows = data[list(range(start, min(start + 7, len(data))))]
        scores = torch.zeros(len(rows), dataset.item_num)
        targets = rows[dataset.iid_field]
        mask.apply(scores, rows, torch.arange(len(rows)), targets)
        for row, score in enumerate(scores):
            names = dataset.id2token(dataset.iid_field, torch.where(torch.isinf(score))[0].numpy())
            user = str(dataset.id2token(dataset.uid_field, rows[dataset.uid_field][row].item()))
            target = str(dataset.id2token(dataset.iid_field, targets[row].item()))
            yield user, target, rows[dataset.time_field][row].item(), {str(name) for name in names}


def scattered(users=12, items=8):
    """Events of users whose times interleave, with repeated items."""
    for user, item, time in random_events(users=users, items=items):
        yield user, item, time % 1000 * 50 + int(user[1:])


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("part", [1, 2], ids=["valid", "test"])
@pytest.mark.parametrize("training", ["packed", "prefix"])
@pytest.mark.parametrize("length", [1, 3])  # shorter than what users had
def test_rows_of_sequences(own_folder, split, part, training, length):
    events = list(scattered())
    options = {"eval_args": SPLITS[split], "MAX_ITEM_LIST_LENGTH": length, "training": training}
    dataset, loaders = prepared(own_folder, events, "SASRec", **options)
    rows = list(hidden_rows(dataset, loaders, part))
    assert (len(rows) == 0) == (split == "no validation" and part == 1)
    for user, target, time, hidden in rows:
        before = {item for one, item, when in events if one == user and when < time}
        assert (user, target, time) in events
        assert hidden == before - {target}


def test_an_event_worked_out_by_hand(own_folder):
    lists = {"u": "abcd", "v": "abaca"}
    events = [(user, item, time) for user, items in lists.items() for time, item in enumerate(items)]
    dataset, loaders = prepared(own_folder, events, "SASRec")
    valid = {user: (target, hidden) for user, target, _, hidden in hidden_rows(dataset, loaders, 1)}
    assert valid == {"u": ("c", {"a", "b"}), "v": ("c", {"a", "b"})}
    test = {user: (target, hidden) for user, target, _, hidden in hidden_rows(dataset, loaders, 2)}
    assert test == {"u": ("d", {"a", "b", "c"}), "v": ("a", {"b", "c"})}


@pytest.mark.parametrize("order", ["RO", "TO"])
@pytest.mark.parametrize("part", [1, 2], ids=["valid", "test"])
def test_general_models(own_folder, order, part):
    """The masking equals RecBole's own for these models."""
    options = {"eval_args": {"split": {"RS": [0.5, 0.2, 0.3]}, "order": order}}
    dataset, loaders = prepared(own_folder, scattered(items=25), "BPR", **options)
    rows = list(hidden_rows(dataset, loaders, part))
    assert rows
    events = [set(zip(*(one._dataset.inter_feat[field].tolist() for field in ("user_id", "item_id")), strict=True))
              for one in loaders]  # fmt: skip
    earlier = set().union(*events[:part])
    for user, target, _, hidden in rows:
        number = dataset.token2id("user_id", user)
        before = {str(dataset.id2token("item_id", item)) for one, item in earlier if one == number}
        assert hidden == before - {target}


def test_benchmark_files_carry_their_history_in_each_row(own_folder):
    folder = own_folder / "bench"
    folder.mkdir()
    header = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
    for part, row in (("train", "u\ta b\tc"), ("valid", "u\tb c\td"), ("test", "u\te a e\te")):
        (folder / f"bench.{part}.inter").write_text(f"{header}{row}\nv\ta b c\te\n")
    config = make_config(
        "SASRec",
        own_folder,
        "bench",
        benchmark_filename=["train", "valid", "test"],
        alias_of_item_id=["item_id_list"],
        load_col={"inter": ["user_id", "item_id_list", "item_id"]},
        topk=[1],
        valid_metric="NDCG@1",
    )
    dataset = create_dataset(config)
    loaders = data_preparation(config, dataset)
    test = loaders[2]._dataset
    mask = HistoryMask([loader._dataset for loader in loaders[:2]], test)
    rows = test[[0, 1]]
    scores = torch.zeros(2, dataset.item_num)
    mask.apply(scores, rows, torch.arange(2), rows["item_id"])
    found = [set(dataset.id2token("item_id", torch.where(torch.isinf(row))[0].numpy())) for row in scores]
    assert found == [{"a"}, {"a", "b", "c"}]  # e is what the first row asks for


def test_history_mask__suits_the_samples_of_each_process(own_folder):
    dataset, loaders = prepared(own_folder, scattered(), "SASRec")
    data = loaders[2]._dataset
    earlier = [one._dataset for one in loaders[:2]]
    whole = torch.zeros(len(data), dataset.item_num)
    rows = data[list(range(len(data)))]
    HistoryMask(earlier, data).apply(whole, rows, torch.arange(len(data)), rows["item_id"])
    for rank in range(3):
        numbers = list(range(rank, len(data), 3))
        mine, rows = torch.zeros(len(numbers), dataset.item_num), data[numbers]
        HistoryMask(earlier, data, rank, 3).apply(mine, rows, torch.arange(len(numbers)), rows["item_id"])
        assert torch.equal(mine, whole[numbers])


def test_targets_are_never_hidden():
    scores = torch.arange(8.0).reshape(2, 4)
    mask_items(scores, [np.array([1, 2]), np.array([], dtype=int)], np.array([0, 0, 1]), np.array([2, 3, 0]))
    assert scores.tolist() == [[0, -torch.inf, 2, 3], [4, 5, 6, 7]]


def test_histories_keep_the_order_of_events():
    histories = Histories.group_events(np.array([2, 1, 2, 2]), np.array([5, 6, 7, 5]), 4)
    assert [histories.find(user).tolist() for user in range(4)] == [[], [6], [5, 7, 5], []]
    assert histories.find(2, before=2).tolist() == [5, 7] and histories.find(1, before=9).tolist() == [6]


@pytest.mark.parametrize("values, counts", [([7, 7, 3, 7], [0, 1, 0, 2]), ([], []), ([1], [0])])
def test_occurrence(values, counts):
    assert count_earlier(np.array(values, dtype=int)).tolist() == counts
