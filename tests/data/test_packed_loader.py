"""The loader of packed training provides RecBole's trainer with batches in an order fixed by seed and state."""

import logging
from collections import Counter

import numpy as np
import pytest
import torch
from recbole.sampler import RepeatableSampler

from recbole_samrec.config.validate import check_values
from recbole_samrec.data.packed_loader import BATCH_TARGETS, PackedLoader
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.packed import assert_same, predictions, prepared

pytestmark = [
    pytest.mark.filterwarnings("ignore::pandas.errors.ChainedAssignmentError"),
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable"),
]


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
def test_packed_loader__draws_negatives_from_the_same_items(own_folder, distribution):
    drawn = []
    for training in ("prefix", "packed"):
        dataset, _ = prepared(own_folder, training)
        sampler = RepeatableSampler(["train", "valid", "test"], dataset, distribution)
        np.random.seed(0)
        users, items = np.array([2, 3, 4] * 5), np.array([1, 2, 3] * 5)
        drawn.append(sampler.sample_by_user_ids(users, items, 4).tolist())
    assert drawn[0] == drawn[1]


def test_packed_loader__evaluates_the_same_samples(own_folder):
    batches = []
    for training in ("prefix", "packed"):
        mode = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni3"}}
        _, loaders = prepared(own_folder, training, metrics=["Hit"], valid_metric="Hit@10", **mode)
        np.random.seed(0)
        batches.append(list(loaders[2]))
    for mine, his in zip(*batches, strict=True):
        assert set(mine[0].columns) == set(his[0].columns)
        for field in mine[0].columns:
            assert torch.equal(mine[0][field], his[0][field])


def test_packed_loader__logs_both_numbers_of_steps(own_folder, caplog):
    with caplog.at_level(logging.INFO):
        _, loaders = prepared(own_folder, "packed")
    (line,) = [record.getMessage() for record in caplog.records if "Packed training" in record.getMessage()]
    train, windows = loaders[0], loaders[0].windows
    steps = -(-len(train._dataset) // 16)
    assert line == (
        f"Packed training: {len(train)} steps per epoch ({steps} with training=prefix), {len(windows)} windows of "
        f"{sum(windows.lengths)} items with {len(train._dataset)} targets"
    )


def test_packed_loader__has_a_seeded_order_that_resumes(own_folder):
    def order(loader):
        return [batch["item_id_list"].tolist() for batch in loader]

    first, second = (prepared(own_folder, "packed")[1][0] for _ in range(2))
    assert order(first) == order(second)
    second.generator.set_state(first.generator.get_state())
    assert order(first) == order(second) != order(prepared(own_folder, "packed", seed=1)[1][0])
    fixed = prepared(own_folder, "packed", shuffle=False)[1][0]
    assert order(fixed) == order(fixed)


def test_packed_loader__divides_shares_by_half_of_the_batch(own_folder, monkeypatch):
    _, (whole, *_) = prepared(own_folder, "packed")
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    shares = []
    for rank in (0, 1):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        config = whole.config
        config["single_spec"] = False
        share = PackedLoader(config, whole._dataset, None, shuffle=True)
        config["single_spec"] = True
        share.sampler.set_epoch(0)
        assert len(share) == len(whole)
        shares.append(list(share))
    for batch, *parts in zip(whole, *shares, strict=True):
        assert BATCH_TARGETS not in batch
        targets = torch.count_nonzero(batch["item_id"]).item()
        assert all((part[BATCH_TARGETS] == targets / 2).all() and len(part) for part in parts)
        assert Counter(predictions(batch)) == sum((Counter(predictions(part)) for part in parts), Counter())


def test_packed_loader__is_read_when_saved(own_folder):
    _, first = prepared(own_folder, "packed", save_dataloaders=True)
    _, second = prepared(own_folder, "packed", trust_checkpoint=True)
    for one, other in zip(first[0], second[0], strict=True):
        assert_same(one, other)
    _, third = prepared(own_folder, "packed", trust_checkpoint=True, train_batch_size=8)
    assert third[0].batch_size == 8 and max(torch.count_nonzero(batch["item_id"]) for batch in third[0]) <= 8
    _, plain = prepared(own_folder, "prefix", trust_checkpoint=True)
    assert type(plain[0]) is not PackedLoader


def test_packed_loader__refuses_a_stride_below_1():
    with pytest.raises(ConfigError, match="window_stride=0: must be a whole number of at least 1"):
        check_values({"window_stride": 0})


def test_packed_loader__refuses_data_made_by_hand(own_folder):
    _, loaders = prepared(own_folder, "prefix")
    config = loaders[0].config
    with pytest.raises(ConfigError, match=r"SequentialDataset is not a packed data set; .*training=prefix"):
        PackedLoader(config, loaders[0]._dataset)
