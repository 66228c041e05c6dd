"""Interactions are sorted and split by exact time, ties in file order; stored timestamps do not change."""

from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import recbole
import torch
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataset import DIENDataset, SequentialDataset
from recbole.utils import init_seed

from tests.helpers.toy_data import LEAVE_ONE_OUT, RATIO, SASREC, built, config, load, suspend, table, tokens
from tools.figures import WRONG_TEST_ITEMS

pytestmark = [
    pytest.mark.filterwarnings("ignore::pandas.errors.ChainedAssignmentError"),
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable"),
]
HEAD = "user_id:token item_id:token timestamp:float"
# One second apart, which is less than float32 can tell at 1.6e9.
SECONDS = {
    "inter": table(
        HEAD,
        *("u1|third|1600000003", "u1|first|1600000001", "u2|last|1600000009", "u1|fourth|1600000004"),
        *("u2|tie a|1600000008", "u1|second|1600000002", "u2|tie b|1600000008", "u2|early|1600000000"),
    )
}
U1, U2 = ["first", "second", "third", "fourth"], ["early", "tie a", "tie b", "last"]
ALL_IN_ORDER = ["early", *U1, "tie a", "tie b", "last"]
UNGROUPED = RATIO | {"group_by": None}


def items_of(dataset, user):
    rows = zip(tokens(dataset, "item_id"), tokens(dataset, "user_id"), strict=True)
    return [item for item, owner in rows if owner == user]


def targets(tmp_path, files, **settings):
    """The items of the train, valid and test part, in order."""
    return [tokens(part, "item_id") for part in load(tmp_path, files, **settings).build()]


# Exact order: `sort_by_exact_time`


def test_exact_time_order__holds_in_histories(tmp_path):
    dataset = built(tmp_path, SECONDS, **SASREC)
    assert items_of(dataset, "u1") == U1[1:] and items_of(dataset, "u2") == U2[1:]
    longest = dataset.inter_feat[tokens(dataset, "item_id").index("last")]
    history = dataset.id2token("item_id", longest["item_id_list"][:3].numpy())
    assert list(history) == U2[:3] and longest["item_length"] == 3


def test_exact_time_order__leaves_the_latest_out(tmp_path):
    train, valid, test = targets(tmp_path, SECONDS, **SASREC)
    assert (train, valid, test) == (["second", "tie a"], ["third", "tie b"], ["fourth", "last"])


def test_exact_time_order__leaves_out_for_general_models_too(tmp_path):
    train, valid, test = targets(tmp_path, SECONDS, eval_args=LEAVE_ONE_OUT)
    assert (train, valid, test) == (["early", "tie a", "first", "second"], ["tie b", "third"], ["last", "fourth"])


@pytest.mark.parametrize("normalize", [False, True])
def test_exact_time_order__holds_over_all_users(tmp_path, normalize):
    files = {"eval_args": UNGROUPED, "normalize_all": normalize}
    assert list(chain(*targets(tmp_path, SECONDS, **files))) == ALL_IN_ORDER
    # A sequential data set has no row for a user's first event.
    sequential = list(chain(*targets(tmp_path, SECONDS, **SASREC | files)))
    assert sequential == [item for item in ALL_IN_ORDER if item not in ("early", "first")]


def test_exact_time_order__survives_discretized_times(tmp_path):
    buckets = {"timestamp": {"method": "ED", "bucket": 2}}
    settings = SASREC | {"numerical_features": ["timestamp"], "discretization": buckets}
    assert targets(tmp_path, SECONDS, **settings)[2] == ["fourth", "last"]


def test_exact_time_order__keeps_the_stored_times_and_ids(tmp_path):
    exact = built(tmp_path, SECONDS)
    rounded = built(tmp_path, SECONDS, exact_time_order=False)
    assert exact.inter_feat["timestamp"].dtype == torch.float32
    assert exact.inter_feat["timestamp"].sort().values.equal(rounded.inter_feat["timestamp"].sort().values)
    assert list(exact.field2id_token["item_id"]) == list(rounded.field2id_token["item_id"])
    assert list(exact.field2id_token["item_id"])[1:4] == ["third", "first", "last"]  # in order of appearance


def test_exact_time_order__is_wrong_without_the_patch(tmp_path):
    switched_off = targets(tmp_path, SECONDS, exact_time_order=False, **SASREC)
    with suspend("sort_by_exact_time"):
        assert targets(tmp_path, SECONDS, **SASREC) == switched_off
    assert switched_off[2] == ["second", "early"]  # the last in the file: all times are one float32


def test_exact_time_order__is_unmoved_by_filtered_rows(tmp_path):
    text = SECONDS["inter"] + "\tx\t1600000007\n" + "u3\tx\t1600000002\n" + "u1\tfifth\t1600000005\n"
    settings = SASREC | {"user_inter_num_interval": "[2,inf)"}
    assert targets(tmp_path, {"inter": text}, **settings)[2] == ["fifth", "last"]


def test_exact_time_order__takes_a_missing_time_as_the_mean(tmp_path):
    rows = ["u1|c|1600000003", "u1|a|1600000001", "u1|mean|", "u1|d|1600000004", "u1|b|1600000002"]
    dataset = built(tmp_path, {"inter": table(HEAD, *rows)})
    assert tokens(dataset, "item_id") == ["a", "b", "mean", "c", "d"]


@pytest.mark.parametrize("suffix", ["", ".0"])
def test_exact_time_order__knows_nanoseconds(tmp_path, suffix):
    times = {item: f"160000000000000000{k}{suffix}" for k, item in enumerate("abcde")} | {"missing": ""}
    rows = [f"u1|{item}|{times[item]}" for item in ["d", "b", "missing", "e", "a", "c"]]
    # The mean of the times is that of c as far as float64 can tell: the missing one stands where its mean falls.
    order = tokens(built(tmp_path, {"inter": table(HEAD, *rows)}), "item_id")
    assert [item for item in order if item != "missing"] == list("abcde")


def test_exact_time_order__takes_huge_times_as_float64(tmp_path):
    text = table(HEAD, "u1|b|3e30", "u1|a|1e30", "u1|c|inf")
    assert tokens(built(tmp_path, {"inter": text}), "item_id") == ["a", "b", "c"]


def test_exact_time_order__leaves_random_order_alone(tmp_path):
    def rows(**settings):
        dataset = load(tmp_path, SECONDS, eval_args=UNGROUPED | {"order": "RO"}, **settings)
        init_seed(7, True)
        return [tokens(part, "item_id") for part in dataset.build()]

    assert rows() == rows(exact_time_order=False)


def test_exact_time_order__leaves_benchmark_files_alone(tmp_path):
    files = {f"{part}.inter": SECONDS["inter"] for part in ("train", "valid", "test")}
    parts = targets(tmp_path, files, benchmark_filename=["train", "valid", "test"])
    assert parts[0] == ["third", "first", "last", "fourth", "tie a", "second", "tie b", "early"]


def test_exact_time_order__needs_no_time_field(tmp_path):
    text = table("user_id:token item_id:token", "u1|b", "u1|a")
    args = RATIO | {"order": "RO"}
    assert len(built(tmp_path, {"inter": text}, TIME_FIELD=None, eval_args=args)) == 2


def ml_100k(folder, **settings):
    """The number of users of RecBole's own ml-100k whose test item is not their latest, without normalization."""
    source = Path(recbole.__file__).parent / "dataset_example"
    base = {"data_path": str(source), "checkpoint_dir": str(folder), "use_gpu": False, "MAX_ITEM_LIST_LENGTH": 2}
    base |= {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}, "normalize_all": False}
    dataset = create_dataset(Config(dataset="ml-100k", config_dict=base | settings))
    test = dataset.build()[2]
    file = pd.read_csv(source / "ml-100k" / "ml-100k.inter", sep="\t", dtype={0: str, 1: str})
    file.columns = list("uirt")
    time = file.set_index(["u", "i"])["t"]
    rows = zip(tokens(test, "user_id"), tokens(test, "item_id"), strict=True)
    latest = file.groupby("u")["t"].max()
    return sum(time[user, item] != latest[user] for user, item in rows), len(test)


def test_exact_time_order__tests_the_latest_items_of_ml_100k(tmp_path):
    assert ml_100k(tmp_path, **SASREC) == (0, 943)
    assert ml_100k(tmp_path, model="BPR", eval_args=LEAVE_ONE_OUT) == (0, 943)


def test_exact_time_order__misses_test_items_without_the_patch(tmp_path):
    with suspend("sort_by_exact_time"):
        assert ml_100k(tmp_path, **SASREC) == (WRONG_TEST_ITEMS, 943)


# Time splits: `split_by_exact_time`

TIME_SPLIT = {"split": {"TS": [0.5, 0.2, 0.3]}, "order": "TO", "group_by": "user", "mode": "full"}


def many_events(seed=0, users=6, events=60):
    """Unix seconds within two minutes, of which float32 distinguishes two values; in random order, with ties."""
    rng = np.random.default_rng(seed)
    times = 1_600_000_000 + rng.integers(0, 120, events)
    rows = [f"u{rng.integers(users)}|i{k}|{time}" for k, time in enumerate(times)]
    return {"inter": table(HEAD, *rows)}, [(*row.split("|")[:2], float(row.split("|")[2])) for row in rows]


def split_by_hand(events, ratios, skip_first):
    """RecBole's time split written out in float64: the items of train, valid and test, per user."""
    in_order = sorted(events, key=lambda event: event[2])  # stable: ties in file order
    by_user = {}
    for event in in_order:
        by_user.setdefault(event[0], []).append(event)
    if skip_first:
        by_user = {user: rows[1:] for user, rows in by_user.items()}
    times = sorted(row[2] for rows in by_user.values() for row in rows)
    place = (len(times) - 1) * (1 - ratios[2])
    low, part = int(place), place - int(place)
    boundary = times[low] + part * (times[min(low + 1, len(times) - 1)] - times[low])
    result = {}
    for user, rows in by_user.items():
        before = [item for _, item, time in rows if time <= boundary]
        cut = int(len(before) * (ratios[0] / (1 - ratios[2])))
        result[user] = before[:cut], before[cut:], [item for _, item, time in rows if time > boundary]
    return result


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("normalize", [False, True])
def test_exact_time_split__is_in_float64(tmp_path, sequential, seed, normalize):
    files, events = many_events(seed)
    settings = (SASREC if sequential else {}) | {"eval_args": TIME_SPLIT, "normalize_all": normalize}
    dataset = load(tmp_path, files, **settings)
    parts = dataset.build()
    expected = split_by_hand(events, [0.5, 0.2, 0.3], skip_first=sequential)
    for user, items in expected.items():
        assert tuple(items_of(part, user) for part in parts) == items
    for part in [dataset, *parts]:
        assert part.inter_feat["timestamp"].dtype == torch.float32
        assert set(part.inter_feat.columns) == set(dataset.inter_feat.columns)
        assert "stored" not in "".join(part.inter_feat.columns)
    stored = torch.cat([part.inter_feat["timestamp"] for part in parts])
    assert stored.sort().values.equal(dataset.inter_feat["timestamp"].sort().values)


def test_exact_time_split__is_wrong_without_the_patch(tmp_path):
    files, events = many_events()
    expected = split_by_hand(events, [0.5, 0.2, 0.3], skip_first=False)
    with suspend("split_by_exact_time"):
        parts = load(tmp_path, files, eval_args=TIME_SPLIT).build()
    assert any(tuple(items_of(part, user) for part in parts) != items for user, items in expected.items())


def test_exact_time_split__ignores_an_unused_time_column(tmp_path):
    files, events = many_events()
    parts = load(tmp_path, files, eval_args=TIME_SPLIT, unused_col={"inter": ["timestamp"]}).build()
    expected = split_by_hand(events, [0.5, 0.2, 0.3], skip_first=False)
    assert all(tuple(items_of(part, user) for part in parts) == items for user, items in expected.items())
    assert all(part.inter_feat.columns == ["user_id", "item_id"] for part in parts)


def test_exact_time_split__suits_own_augmentation(tmp_path):
    files, events = many_events()
    text = files["inter"].replace("timestamp:float", "timestamp:float\tlabel:float").replace("\n", "\t1\n")
    text = text.replace("label:float\t1", "label:float")
    labeled = {"metrics": ["AUC"], "valid_metric": "AUC", "eval_args": TIME_SPLIT | {"mode": "labeled"}}
    dataset = load(tmp_path, {"inter": text}, model="DIEN", **labeled)
    assert isinstance(dataset, DIENDataset)
    parts = dataset.build()
    expected = split_by_hand(events, [0.5, 0.2, 0.3], skip_first=True)
    assert all(tuple(items_of(part, user) for part in parts) == items for user, items in expected.items())


class EveryOtherRow(SequentialDataset):
    def data_augmentation(self):
        super().data_augmentation()
        self.inter_feat = self.inter_feat[::2]


class RowsAfterFiltering(SequentialDataset):
    def _data_processing(self):
        super()._data_processing()
        self.inter_feat = pd.concat([self.inter_feat, self.inter_feat])


class ReversedTimes(SequentialDataset):
    def _load_inter_feat(self, token, dataset_path):
        super()._load_inter_feat(token, dataset_path)
        self.inter_feat["timestamp"] = -self.inter_feat["timestamp"]


def test_exact_time_order__falls_back_on_unknown_rows_and_warns(tmp_path, caplog):
    dataset = EveryOtherRow(config(tmp_path, SECONDS, **SASREC | {"eval_args": TIME_SPLIT}))
    assert sum(len(part) for part in dataset.build()) == 3
    assert "EveryOtherRow does not make one sample for each event" in caplog.text
    dataset = RowsAfterFiltering(config(tmp_path, SECONDS, **SASREC))
    assert sum(len(part) for part in dataset.build()) == 14
    assert "RowsAfterFiltering added rows after filtering" in caplog.text


def test_exact_time_order__takes_times_that_a_data_set_changes(tmp_path):
    dataset = ReversedTimes(config(tmp_path, SECONDS, **SASREC))
    assert sorted(tokens(dataset.build()[2], "item_id")) == ["early", "first"]


# Duplicates: `remove_duplicates_stably`

HEAD_RATED = "user_id:token item_id:token timestamp:float rating:float"
# A hundred users rate one item three times, each at the same moment.
TIES = {"inter": table(HEAD_RATED, *(f"u{k % 100}|i|{k % 100 % 7}|{k}" for k in range(300)))}


def ratings(dataset):
    return dict(zip(tokens(dataset, "user_id"), dataset.inter_feat["rating"].tolist(), strict=True))


@pytest.mark.parametrize(("keep", "offset"), [("first", 0), ("last", 200)])
def test_duplicates__of_one_time_go_by_file_order(tmp_path, keep, offset):
    assert ratings(built(tmp_path, TIES, rm_dup_inter=keep)) == {f"u{k}": offset + k for k in range(100)}


def test_duplicates__go_by_chance_without_the_patch(tmp_path):
    with suspend("remove_duplicates_stably"):
        assert ratings(built(tmp_path, TIES, rm_dup_inter="first")) != {f"u{k}": k for k in range(100)}


@pytest.mark.parametrize("unit", [1, 10**9])
@pytest.mark.parametrize(("keep", "rating"), [("first", 1), ("last", 3)])
def test_duplicates__go_by_exact_time(tmp_path, unit, keep, rating):
    late, early = 1_600_000_000 * unit + 3, 1_600_000_000 * unit + 1
    rows = [f"u1|i|{late}|3", f"u1|i|{early}|1", f"u1|i|{late - 1}|2", f"u1|j|{early}|9"]
    dataset = built(tmp_path, {"inter": table(HEAD_RATED, *rows)}, rm_dup_inter=keep)
    assert sorted(dataset.inter_feat["rating"].tolist()) == [rating, 9]


def test_duplicates__may_have_no_times(tmp_path, caplog):
    text = table("user_id:token item_id:token rating:float", "u1|i|3", "u1|i|1", "u1|j|2")
    args = RATIO | {"order": "RO"}
    dataset = built(tmp_path, {"inter": text}, rm_dup_inter="first", eval_args=args)
    assert dataset.inter_feat["rating"].tolist() == [3, 2]
    assert "rm_dup_inter: first uses the order of the lines" in caplog.text
