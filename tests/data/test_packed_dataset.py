"""Packed training reads the events once, and nobody who reads RecBole's rows can tell the difference."""

import logging
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import recbole
import torch
from recbole.data import create_dataset, data_preparation
from recbole.data.dataset import SequentialDataset
from recbole.sampler import RepeatableSampler

from recbole_samrec.config.validate import check_values
from recbole_samrec.data.packed_dataset import EVENT, PackedDataset
from recbole_samrec.data.packed_loader import BATCH_TARGETS, PackedLoader
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import make_config
from tests.helpers.toy_data import config as toy_config
from tests.helpers.toy_data import table

pytestmark = [
    pytest.mark.filterwarnings("ignore::pandas.errors.ChainedAssignmentError"),
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable"),
]
LENGTH = 6
SPLITS = {
    "LS valid_and_test": {"split": {"LS": "valid_and_test"}},
    "LS valid_only": {"split": {"LS": "valid_only"}},
    "LS test_only": {"split": {"LS": "test_only"}},
    "RS of each user": {"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "user"},
    "RS of all": {"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": None},
    "TS": {"split": {"TS": [0.7, 0.1, 0.2]}},
}
HEAD = "user_id:token item_id:token timestamp:float rating:float tags:token_seq place:token point:float_seq"
OPTIONS = {
    "plain": {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}},
    "all fields": {},
    "filtered": {"user_inter_num_interval": "[3,inf)", "item_inter_num_interval": "[2,inf)"},
    "numerical": {"numerical_features": ["rating", "point"]},
    "columns left out": {"unused_col": {"inter": ["timestamp", "timestamp_list", "rating", "tags_list"]}},
    "float32 times": {"exact_time_order": False},
}


def rows_of(seed):
    """Users of 1 to 3 and of up to 20 events, whose times lie between each other's and are often equal."""
    draw = random.Random(seed)
    rows = ["u0|i1|1|1.0|t1 t2 t3|p1|0.5 0.25"]
    for user in range(1, 14):
        for _ in range(draw.choice([1, 2, 3, 4, 7, 20])):
            tags = " ".join(f"t{draw.randrange(5)}" for _ in range(draw.randint(1, 3)))
            time = 978300000 + draw.randrange(60)
            item, place = draw.randrange(9), draw.randrange(3)
            rows.append(f"u{user}|i{item}|{time}|{draw.randint(1, 5)}.0|{tags}|p{place}|{draw.random():.3f} 1.5")
    return rows


def prepared(folder, training, split="LS valid_and_test", seed=0, model="SASRec", **options):
    """The data set and the three loaders of random users."""
    settings = {
        "eval_args": {"order": "TO", "mode": "full", **SPLITS[split]},
        "MAX_ITEM_LIST_LENGTH": LENGTH,
        "train_batch_size": 16,
        "train_neg_sample_args": None,
        "training": training,
        **options,
    }
    config = toy_config(folder, {"inter": table(HEAD, *rows_of(seed))}, model, **settings)
    dataset = create_dataset(config)
    return dataset, data_preparation(config, dataset)


def same(one, other):
    """Whether two interactions have the same columns in the same order, with the same types and values."""
    assert one.columns == other.columns
    for field in one.columns:
        assert one[field].dtype == other[field].dtype, field
        assert torch.equal(one[field], other[field]), field


def prefixes(rows):
    """RecBole's rows as triples of user, target and the items before it."""
    columns = (rows[field].tolist() for field in ("user_id", "item_id", "item_id_list", "item_length"))
    for user, target, items, length in zip(*columns, strict=True):
        yield user, target, tuple(items[:length])


def predictions(batch):
    """What a packed batch predicts, as triples of user, target and all items before it in the row."""
    columns = (batch[field].tolist() for field in ("user_id", "item_id", "item_id_list", "item_length"))
    for user, targets, items, length in zip(*columns, strict=True):
        assert 0 not in items[:length] and not any(items[length:]) and not any(targets[length:])
        yield from ((user, target, tuple(items[: place + 1])) for place, target in enumerate(targets) if target)


def cut(triples, least):
    """The triples with no more items than are promised."""
    return Counter((user, target, items[-least:]) for user, target, items in triples)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("split", SPLITS)
def test_packed_dataset__has_recboles_parts(own_folder, split, options):
    seed = list(SPLITS).index(split) + 10 * list(OPTIONS).index(options)
    plain, theirs = prepared(own_folder, "prefix", split, seed, **OPTIONS[options])
    packed, ours = prepared(own_folder, "packed", split, seed, **OPTIONS[options])
    assert type(packed) is PackedDataset and type(plain) is SequentialDataset and type(ours[0]) is PackedLoader
    for part in (1, 2):
        same(ours[part]._dataset.inter_feat, theirs[part]._dataset.inter_feat)
        assert len(ours[part]) == len(theirs[part])
        for mine, his in zip(ours[part], theirs[part], strict=True):
            same(mine[0], his[0])
    assert_training_is_recboles(ours[0], theirs[0])
    for field in ("user_id", "item_id", "item_length", "item_id_list"):  # RecBole counts operations with such a row
        assert torch.equal(packed[torch.tensor([1])][field], plain[torch.tensor([1])][field])


def assert_training_is_recboles(ours, theirs, length=LENGTH):
    """The rows, their order and what RecBole counts in them are the same, and so are the targets of the batches."""
    mine, his = ours._dataset, theirs._dataset
    assert set(mine.inter_feat.columns) == {"user_id", "item_id", "item_length", EVENT}
    for field in ("user_id", "item_id", "item_length"):
        assert torch.equal(mine.inter_feat[field], his.inter_feat[field])
    assert mine.inter_num == his.inter_num and str(mine) == str(his)
    assert mine.item_counter == his.item_counter and mine.user_counter == his.user_counter
    assert (mine.inter_matrix("csr") != his.inter_matrix("csr")).nnz == 0
    every = list(range(len(his)))
    assert torch.equal(mine[every]["item_id_list"], his[every]["item_id_list"])
    assert -(-len(his) // ours.batch_size) == len(theirs)
    assert len(theirs) <= len(ours) <= 1.05 * len(theirs)
    epoch = list(ours)
    assert len(epoch) == len(ours)
    wanted = list(prefixes(his.inter_feat))
    found = [one for batch in epoch for one in predictions(batch)]
    assert cut(found, -(-length // 2)) == cut(wanted, -(-length // 2))
    assert not Counter(one for one in wanted if len(one[2]) < length) - Counter(found)
    assert all(torch.count_nonzero(batch["item_id"]) <= ours.batch_size for batch in epoch)


@pytest.mark.parametrize("split", SPLITS)
def test_packed_dataset__of_stride_1_trains_on_the_same_samples(own_folder, split):
    _, (theirs, *_) = prepared(own_folder, "prefix", split)
    _, (ours, *_) = prepared(own_folder, "packed", split, window_stride=1)
    found = Counter(one for batch in ours for one in predictions(batch))
    assert found == Counter(prefixes(theirs._dataset.inter_feat))


def test_packed_dataset__leaves_short_sequences_whole(own_folder):
    _, (theirs, *_) = prepared(own_folder, "prefix", MAX_ITEM_LIST_LENGTH=20)
    _, (ours, *_) = prepared(own_folder, "packed", MAX_ITEM_LIST_LENGTH=20, train_batch_size=500)
    (batch,) = ours
    assert Counter(predictions(batch)) == Counter(prefixes(theirs._dataset.inter_feat))
    assert len(batch["user_id"].unique()) == len(batch)  # one row for each user


def test_packed_dataset__packs_ml_100k():
    folder = Path(recbole.__file__).parent / "dataset_example"
    settings = {"MAX_ITEM_LIST_LENGTH": 50, "train_batch_size": 2048, "train_neg_sample_args": None}
    settings["eval_args"] = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"}
    loaders = []
    for training in ("prefix", "packed"):
        config = make_config("SASRec", folder, "ml-100k", training=training, **settings)
        loaders.append(data_preparation(config, create_dataset(config)))
    theirs, ours = loaders
    for part in (1, 2):
        same(ours[part]._dataset.inter_feat, theirs[part]._dataset.inter_feat)
    assert_training_is_recboles(ours[0], theirs[0], length=50)


# What else RecBole asks of data and loaders ---------------------------------------------------------------------------


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


def test_packed_dataset__hides_the_same_histories(own_folder):
    from recbole_samrec.evaluator.history_mask import HistoryMask

    hidden = []
    for training in ("prefix", "packed"):
        dataset, loaders = prepared(own_folder, training, "RS of each user")
        train, valid, test = (loader._dataset for loader in loaders)
        for earlier, part in (([train], valid), ([train, valid], test)):
            rows = part[list(range(len(part)))]
            scores = torch.zeros(len(rows), dataset.item_num)
            HistoryMask(earlier, part).apply(scores, rows, torch.arange(len(rows)), rows["item_id"])
            hidden.append(scores)
    assert torch.equal(hidden[0], hidden[2]) and torch.equal(hidden[1], hidden[3]) and torch.isinf(hidden[1]).any()


def test_packed_dataset__counts_items_that_nobody_had(own_folder):
    from recbole_samrec.quick_start.recbole_warnings import _count_unseen_items

    found = []
    for training in ("prefix", "packed"):
        events = ["u1|i0|1", "u1|i1|2", "u1|i2|3", "u1|i3|4", "u2|i4|1", "u2|i0|2"]  # i4 is only ever a first item
        items = table("item_id:token", *(f"i{number}" for number in range(7)))
        files = {"inter": table("user_id:token item_id:token timestamp:float", *events), "item": items}
        evaluation = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}
        settings = {"eval_args": evaluation, "train_neg_sample_args": None, "training": training}
        config = toy_config(own_folder, files, "SASRec", **settings)
        dataset = create_dataset(config)
        data_preparation(config, dataset)
        found.append(_count_unseen_items(dataset))
    assert found == [2, 2]


def test_packed_dataset__makes_no_table_of_prefixes(own_folder):
    dataset, loaders = prepared(own_folder, "packed")
    for data in (dataset, loaders[0]._dataset):
        assert data.events.columns == ["item_id"]
        assert all(data.inter_feat[field].dim() == 1 for field in ("user_id", "item_id", "item_length", EVENT))
        assert not any(field.endswith("_list") for field in data.inter_feat)


def test_packed_dataset__takes_other_names_of_fields(own_folder):
    text = "client:token\tbought:token\twhen:float\n" + "".join(f"u{k % 3}\ti{k}\t{k}\n" for k in range(30))
    names = {"USER_ID_FIELD": "client", "ITEM_ID_FIELD": "bought", "TIME_FIELD": "when", "LIST_SUFFIX": "_s"}
    names |= {"ITEM_LIST_LENGTH_FIELD": "many", "MAX_ITEM_LIST_LENGTH": 4}
    evaluation = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}
    settings = {"eval_args": evaluation, "train_neg_sample_args": None, "training": "packed", **names}
    config = toy_config(own_folder, {"inter": text}, "SASRec", **settings)
    train, valid, _ = data_preparation(config, create_dataset(config))
    assert next(iter(train)).columns == ["client", "bought_s", "many", "bought"]
    assert valid._dataset.inter_feat["bought_s"].shape == (3, 4)


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


# Caches ---------------------------------------------------------------------------------------------------------------


def test_packed_dataset__is_read_when_saved(own_folder):
    saving = {"save_dataset": True, "trust_checkpoint": True}
    _, first = prepared(own_folder, "packed", **saving)
    assert (own_folder / "saved" / "toy-PackedDataset.pth").exists()
    dataset, second = prepared(own_folder, "packed", trust_checkpoint=True)
    assert type(dataset) is PackedDataset
    for one, other in zip(first[0], second[0], strict=True):
        same(one, other)
    same(first[2]._dataset.inter_feat, second[2]._dataset.inter_feat)
    named = {"dataset_save_path": str(own_folder / "saved" / "toy-PackedDataset.pth"), "trust_checkpoint": True}
    assert type(prepared(own_folder, "prefix", **named)[0]) is SequentialDataset


def test_packed_loader__is_read_when_saved(own_folder):
    _, first = prepared(own_folder, "packed", save_dataloaders=True)
    _, second = prepared(own_folder, "packed", trust_checkpoint=True)
    for one, other in zip(first[0], second[0], strict=True):
        same(one, other)
    _, third = prepared(own_folder, "packed", trust_checkpoint=True, train_batch_size=8)
    assert third[0].batch_size == 8 and max(torch.count_nonzero(batch["item_id"]) for batch in third[0]) <= 8
    _, plain = prepared(own_folder, "prefix", trust_checkpoint=True)
    assert type(plain[0]) is not PackedLoader


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"benchmark_filename": ["train", "valid", "test"]}, "^benchmark_filename: .* do not support packed.*prefix"),
        ({"transform": "crop_itemseq"}, "^transform=crop_itemseq: .*--training=prefix"),
        ({"model": "BERT4Rec"}, "BERT4Rec.*training=prefix"),
        ({"model": "BPR"}, "BPR.*training=prefix"),
        (
            {
                "train_neg_sample_args": {"distribution": "popularity", "sample_num": 1, "dynamic": False},
                "loss_type": "BPR",
            },
            "^train_neg_sample_args=.*--training=prefix",
        ),
    ],
    ids=["benchmark files", "transform", "not causal", "no sequences", "popular negatives"],
)
def test_packed_dataset__refuses_what_cannot_be_packed(own_folder, settings, message):
    with pytest.raises(ConfigError, match=message):
        prepared(own_folder, "packed", **settings)


def test_packed_loader__refuses_a_stride_below_1():
    with pytest.raises(ConfigError, match="window_stride=0: must be a whole number of at least 1"):
        check_values({"window_stride": 0})


def test_packed_loader__refuses_data_made_by_hand(own_folder):
    _, loaders = prepared(own_folder, "prefix")
    config = loaders[0].config
    with pytest.raises(ConfigError, match=r"SequentialDataset is not a packed data set; .*training=prefix"):
        PackedLoader(config, loaders[0]._dataset)
