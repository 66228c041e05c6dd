"""Packed training reads the events once, and is equivalent to RecBole's rows for every reader."""

from collections import Counter
from pathlib import Path

import pytest
import recbole
import torch
from recbole.data import create_dataset, data_preparation
from recbole.data.dataset import SequentialDataset

from recbole_samrec.data.packed_dataset import EVENT, PackedDataset
from recbole_samrec.data.packed_loader import TARGET_POSITIONS, PackedLoader
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.packed import LENGTH, SPLITS, assert_same, predictions, prepared
from tests.helpers.tiny import make_config
from tests.helpers.toy_data import config as toy_config
from tests.helpers.toy_data import table

pytestmark = [
    pytest.mark.filterwarnings("ignore::pandas.errors.ChainedAssignmentError"),
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable"),
]
OPTIONS = {
    "plain": {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}},
    "all fields": {},
    "filtered": {"user_inter_num_interval": "[3,inf)", "item_inter_num_interval": "[2,inf)"},
    "numerical": {"numerical_features": ["rating", "point"]},
    "columns left out": {"unused_col": {"inter": ["timestamp", "timestamp_list", "rating", "tags_list"]}},
    "float32 times": {"exact_time_order": False},
}


def prefixes(rows):
    """RecBole's rows as triples of user, target and the items before it."""
    columns = (rows[field].tolist() for field in ("user_id", "item_id", "item_id_list", "item_length"))
    for user, target, items, length in zip(*columns, strict=True):
        yield user, target, tuple(items[:length])


def cut(triples, least):
    """The triples, with histories cut to the guaranteed length."""
    return Counter((user, target, items[-least:]) for user, target, items in triples)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("split", SPLITS)
def test_packed_dataset__has_recboles_parts(own_folder, split, options):
    seed = list(SPLITS).index(split) + 10 * list(OPTIONS).index(options)
    plain, theirs = prepared(own_folder, "prefix", split, seed, **OPTIONS[options])
    packed, ours = prepared(own_folder, "packed", split, seed, **OPTIONS[options])
    assert type(packed) is PackedDataset and type(plain) is SequentialDataset and type(ours[0]) is PackedLoader
    for part in (1, 2):
        assert_same(ours[part]._dataset.inter_feat, theirs[part]._dataset.inter_feat)
        assert len(ours[part]) == len(theirs[part])
        for mine, his in zip(ours[part], theirs[part], strict=True):
            assert_same(mine[0], his[0])
    assert_training_is_recboles(ours[0], theirs[0])
    for field in ("user_id", "item_id", "item_length", "item_id_list"):  # RecBole counts operations with such a row
        assert torch.equal(packed[torch.tensor([1])][field], plain[torch.tensor([1])][field])


def assert_training_is_recboles(ours, theirs, length=LENGTH):
    """Check that the rows, their order, RecBole's counts and the targets of the batches are equal."""
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


@pytest.mark.slow
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
        assert_same(ours[part]._dataset.inter_feat, theirs[part]._dataset.inter_feat)
    assert_training_is_recboles(ours[0], theirs[0], length=50)


# What else RecBole asks of data and loaders ---------------------------------------------------------------------------


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
    assert next(iter(train)).columns == ["client", "bought_s", "many", "bought", TARGET_POSITIONS]
    assert valid._dataset.inter_feat["bought_s"].shape == (3, 4)


# Caches ---------------------------------------------------------------------------------------------------------------


def test_packed_dataset__is_read_when_saved(own_folder):
    saving = {"save_dataset": True, "trust_checkpoint": True}
    _, first = prepared(own_folder, "packed", **saving)
    assert (own_folder / "saved" / "toy-PackedDataset.pth").exists()
    dataset, second = prepared(own_folder, "packed", trust_checkpoint=True)
    assert type(dataset) is PackedDataset
    for one, other in zip(first[0], second[0], strict=True):
        assert_same(one, other)
    assert_same(first[2]._dataset.inter_feat, second[2]._dataset.inter_feat)
    named = {"dataset_save_path": str(own_folder / "saved" / "toy-PackedDataset.pth"), "trust_checkpoint": True}
    assert type(prepared(own_folder, "prefix", **named)[0]) is SequentialDataset


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
