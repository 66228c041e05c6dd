"""Counts of training items: targets, all events, and each user's first event, which is not a target."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recbole_samrec.data.item_counts import count_training_events, count_training_items, find_first_items
from tests.helpers.tiny import build, make_config, write_events


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_count_training_items__of_recboles_training_data(tmp_path, model):
    events = [(f"u{u}", f"i{i}", step) for u in range(3) for step, i in enumerate([0, 1, 1 + u % 2, 2, 3, 4])]
    write_events(tmp_path, "tiny", [*events, *(("another", f"j{step}", step) for step in range(3))])
    split = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}}
    loaders, _, _ = build(make_config(model, tmp_path, **split))
    tokens = loaders[0]._dataset.field2token_id["item_id"]
    counts = count_training_items(loaders[0]._dataset)
    assert len(counts) == 9 and counts[0] == 0
    found = {name: int(counts[tokens[name]]) for name in ("i0", "i1", "i2", "i3", "i4")}
    first = 0 if model == "SASRec" else 3  # a sequence's first item is not predicted
    assert found == {"i0": first, "i1": 5, "i2": 4, "i3": 0, "i4": 0}


def part(users, items, **fields):
    """A part of RecBole's split: three users and the items 1 to 4."""
    columns = {"user": torch.tensor(users), "item": torch.tensor(items)}
    return SimpleNamespace(
        uid_field="user", iid_field="item", user_num=4, item_num=5, inter_feat=columns,
        item_list_length_field="length", config={"eval_args": {"split": {"LS": "valid_and_test"}}}, **fields,
    )  # fmt: skip


USERS, ITEMS = np.array([1, 1, 1, 2, 2, 3]), np.array([4, 1, 2, 3, 3, 2])


def test_find_first_items__are_the_events_that_are_no_targets():
    parts = [part([1, 2], [1, 3]), part([1], [2])]
    assert find_first_items(USERS, ITEMS, parts).tolist() == [0, 4, 3, 2]


def test_find_first_items__is_none_if_others_are_no_targets():
    assert find_first_items(USERS, ITEMS, [part([1, 2], [1, 3])]) is None
    assert find_first_items(USERS, ITEMS, [part([1, 1, 2, 3], [1, 2, 3, 2])]) is None


def test_count_training_events__adds_each_users_first_item():
    data = part([1, 2], [1, 3], first_items=np.array([0, 4, 3, 2]))
    data.inter_feat["length"] = torch.tensor([1, 1])
    assert count_training_events(data).tolist() == [0, 1, 1, 2, 1]  # item 0 adds nothing


def test_count_training_events__after_a_time_split():
    data = part([1, 2], [1, 3], first_items=np.array([0, 4, 3, 2]))
    data.inter_feat["length"] = torch.tensor([1, 1])
    data.config["eval_args"]["split"] = {"TS": [0.8, 0.1, 0.1]}
    assert count_training_events(data).tolist() == [0, 1, 0, 2, 1]  # user 3, who has no target, is left out


def test_count_training_events__of_one_line_for_each_event():
    assert count_training_events(part([1, 1, 3], [4, 4, 1])).tolist() == [0, 1, 0, 0, 2]
