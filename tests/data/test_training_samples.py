"""Sequences of the training part are the same in both kinds of data, without validation and test events."""

import pytest
import torch
from recbole.data import create_dataset, data_preparation

from recbole_samrec.data.training_samples import collect_prefixes, collect_user_sequences
from tests.helpers.tiny import make_config, random_events, write_events

LAST_TWO = {"split": {"LS": "valid_and_test"}, "order": "TO"}
SHARES = {"split": {"RS": [0.5, 0.2, 0.3]}, "order": "TO", "group_by": "user"}


def events():
    """Some histories, two of which are very short."""
    short = [("short", f"i{i}", 90_000 + i) for i in range(3)] + [("shorter", f"i{i}", 95_000 + i) for i in range(2)]
    return [*random_events(), *short]


def training_part(folder, training, length, eval_args):
    settings = {"training": training, "MAX_ITEM_LIST_LENGTH": length, "eval_args": eval_args}
    config = make_config("SAMRec", folder, **settings)
    return data_preparation(config, create_dataset(config))[0]._dataset


def list_items(rows):
    items, lengths = rows[torch.arange(len(rows))]
    assert not (items * (torch.arange(items.size(1)) >= lengths[:, None])).any()
    assert items.size(1) == lengths.max()
    return [row[:length] for row, length in zip(items.tolist(), lengths.tolist(), strict=True)]


@pytest.mark.parametrize("training", ["packed", "prefix"])
@pytest.mark.parametrize("length", [1, 4, 50])
def test_collect_user_sequences__leaves_the_last_two_events(training, length, tmp_path):
    write_events(tmp_path, "tiny", events())
    train = training_part(tmp_path, training, length, LAST_TWO)
    histories = {}
    for user, item, _ in events():
        histories.setdefault(train.token2id("user_id", user), []).append(train.token2id("item_id", item))
    learnt = [items[: max(2, len(items) - 2)] for _, items in sorted(histories.items())]  # RecBole leaves one target
    assert list_items(collect_user_sequences(train, length)) == [items[-length:] for items in learnt]
    examples = collect_prefixes(train, length)
    pairs = sorted(zip(list_items(examples), examples.targets.tolist(), strict=True))
    prefixes = [(items[max(0, t - length) : t], items[t]) for items in learnt for t in range(1, len(items))]
    assert pairs == sorted(prefixes)


@pytest.mark.parametrize("length", [1, 4, 5, 50])
def test_take_packed__cuts_up_to_half_off_full_sequences(length, tmp_path):
    """As in the windows of packed training, where a target far from the start has any position in the second half."""
    write_events(tmp_path, "tiny", events())
    rows = collect_user_sequences(training_part(tmp_path, "packed", length, LAST_TWO), length)
    whole, everyone, lost = list_items(rows), torch.arange(len(rows)), set()
    for _ in range(60):
        items, lengths = rows.take_packed(everyone, length)
        for row, count, all_of in zip(items.tolist(), lengths.tolist(), whole, strict=True):
            assert row[:count] == all_of[-count:] and not any(row[count:])
            assert len(all_of) == length or count == len(all_of)
            lost |= {length - count} if len(all_of) == length else set()
    assert lost == (set() if length == 50 else set(range(length // 2 + 1)))


@pytest.mark.parametrize("length", [1, 3, 50])
def test_training_samples__are_the_same_of_both_kinds_of_data(length, tmp_path):
    write_events(tmp_path, "tiny", events())
    packed, prefix = (training_part(tmp_path, training, length, SHARES) for training in ("packed", "prefix"))
    assert list_items(collect_user_sequences(packed, length)) == list_items(collect_user_sequences(prefix, length))
    one, other = (collect_prefixes(part, length) for part in (packed, prefix))
    pairs = [sorted(zip(list_items(rows), rows.targets.tolist(), strict=True)) for rows in (one, other)]
    assert pairs[0] == pairs[1] and len(pairs[0]) == len(packed) == len(prefix)
