"""S3Rec is pre-trained on users' training events only, with items and segments masked as in its paper."""

import pytest
import torch
from recbole.data import create_dataset, data_preparation

from recbole_samrec.data.s3rec_loader import PretrainingLoader, corrupt, draw_segments, draw_unseen, find_positions
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.pretraining import stage_of, write_items_with_kinds
from tests.helpers.tiny import make_config


@pytest.fixture
def data(tmp_path):
    return write_items_with_kinds(tmp_path / "data")


def test_pretraining_loader__has_only_training_events(data):
    """Each user's events except the last two, left-aligned; longer histories are cut into full windows."""
    config = make_config("S3Rec", data, train_stage="pretrain", MAX_ITEM_LIST_LENGTH=5)
    dataset = create_dataset(config)
    loader = data_preparation(config, dataset)[0]
    events, users = dataset.events, dataset.users
    training = {
        int(user): events["item_id"][first : last - 2].tolist()
        for user, first, last in zip(users, dataset.offsets[:-1], dataset.offsets[1:], strict=True)
    }
    items, lengths = loader.take_sequences(torch.arange(len(loader.starts)))
    seen = {user: set() for user in training}
    for row, length, user in zip(items.tolist(), lengths.tolist(), loader.users.tolist(), strict=True):
        assert all(row[:length]) and not any(row[length:])
        places = [at for at in range(len(training[user])) if training[user][at : at + length] == row[:length]]
        assert places and (length == 5 or places[0] == 0)
        seen[user] |= {place for at in places for place in range(at, at + length)}
    assert all(seen[user] == set(range(len(training[user]))) for user in training)


def test_pretraining_loader__shuffles_all_sequences_each_epoch(data):
    loader = stage_of(data)[0][0]
    epochs = [torch.cat(loader._order()) for _ in range(2)]
    assert all(sorted(order.tolist()) == list(range(len(loader.starts))) for order in epochs)
    assert not torch.equal(*epochs)
    assert len(list(loader)) == len(loader) == -(-len(loader.starts) // 8)


def corrupted(seed=0, n_items=40, rows=64, length=9):
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, length + 1, (rows,), generator=draw)
    users = torch.arange(rows) // 2  # two rows of each user
    items = torch.randint(1, n_items, (rows, length), generator=draw) * (torch.arange(length) < lengths[:, None])
    return corrupt(items, lengths, users, n_items, 0.3, draw), users


def test_find_positions__are_those_of_the_masks():
    batch, _ = corrupted()
    batch["negatives"][0] = 0  # as if no item was found that the sequence does not have
    batch["usable"][3] = False
    places = {name: values[0] for name, values in find_positions(batch, 40).items()}
    masked = batch["masked"].flatten()
    events = [i for i, item in enumerate(masked.tolist()) if item]
    assert places["where"].tolist() == events
    hidden = [n for n, i in enumerate(events) if masked[i] == 40]
    assert places["hidden"].tolist() == hidden
    assert places["shown"].tolist() == [n for n in range(len(events)) if n not in hidden]
    assert places["tested"].tolist() == [n for n in hidden if batch["negatives"].flatten()[events[n]] > 0]
    assert places["pairs"].tolist() == [row for row, usable in enumerate(batch["usable"]) if usable]


def test_corrupt__masks_items_and_draws_unseen_negatives():
    batch, _ = corrupted()
    items, masked, negatives = batch["items"], batch["masked"], batch["negatives"]
    hidden = masked == 40
    assert torch.equal(masked[~hidden], items[~hidden]) and (items[hidden] > 0).all()
    assert 0.2 < hidden[items > 0].float().mean() < 0.4
    assert torch.equal(negatives > 0, hidden) and negatives.max() < 40
    for row, wrong in zip(items.tolist(), negatives.tolist(), strict=True):
        assert not set(row) & (set(wrong) - {0})


def test_draw_unseen__finds_none_for_a_sequence_of_all_items():
    full, where = torch.arange(1, 6).unsqueeze(0), torch.ones(1, 5, dtype=torch.bool)
    assert draw_unseen(full, where, 6, torch.Generator().manual_seed(0)).eq(0).all()


def test_draw_segments__takes_the_other_from_another_user():
    batch, users = corrupted()
    items, lengths = batch["items"], batch["lengths"]
    assert batch["usable"].all()
    for row in range(len(items)):
        n = int(lengths[row])
        context, segment, other = (batch[name][row, :n].tolist() for name in ("context", "segment", "other"))
        inside = [place for place in range(n) if context[place] == 40]
        assert 1 <= len(inside) <= n // 2 and inside == list(range(inside[0], inside[-1] + 1))
        whole = items[row, :n].tolist()
        assert [s if p in inside else c for p, (s, c) in enumerate(zip(segment, context, strict=True))] == whole
        assert all(segment[p] == other[p] == 40 for p in range(n) if p not in inside)
        stretch = other[inside[0] : inside[-1] + 1]
        others = [items[r, : lengths[r]].tolist() for r in range(len(items)) if users[r] != users[row]]
        assert any(o[at : at + len(stretch)] == stretch for o in others for at in range(len(o)))
        assert not batch["context"][row, n:].any() and not batch["other"][row, n:].any()


def test_draw_segments__finds_none_without_another_user():
    items = torch.tensor([[1, 2, 3], [4, 5, 6]])
    batch = corrupt(items, torch.tensor([3, 3]), torch.tensor([7, 7]), 9, 0.2, torch.Generator().manual_seed(0))
    assert not batch["usable"].any()


def test_draw_segments__finds_none_for_a_sequence_of_one_item():
    items, lengths = torch.tensor([[1, 0, 0], [4, 5, 6]]), torch.tensor([1, 3])
    segments = draw_segments(items, lengths, torch.tensor([7, 8]), 9, torch.Generator().manual_seed(0))
    assert segments["usable"].tolist() == [False, True]


def test_pretraining_loader__refuses_data_that_are_not_packed():
    with pytest.raises(ConfigError, match=r"^pretraining=users needs packed data; add --training=packed, or --pre"):
        PretrainingLoader({}, object())
