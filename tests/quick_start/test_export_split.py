"""Exported splits equal those of pandas and of the loaders of a run."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

import recbole_samrec
from recbole_samrec.data.temporal_options import TemporalOptions
from recbole_samrec.quick_start.export_split import FILES, export_split
from recbole_samrec.utils.errors import ConfigError, DataError
from tests.helpers.command import main, succeed
from tests.helpers.tables import ROLES, make_frame
from tests.helpers.temporal import split_by_pandas, tied_events
from tests.helpers.tiny import build, make_config, write_events

QUIET = Console(quiet=True)
RANKED = {"topk": [2], "valid_metric": "NDCG@2"}
PARTS = ("train", "validation", "test", "history")


def make_events(seed=3):
    """Events with many equal times and repeated pairs, which are also written to ``dataset/tied``."""
    frame = tied_events(seed, users=40, items=12, days=12)
    write_events("dataset", "tied", frame.itertuples(index=False))
    return frame


def export(dataset="tied", **settings):
    export_split(dataset, "out", overwrite=True, console=QUIET, **RANKED, **settings)
    return {part: pd.read_parquet(f"out/{part}.parquet") for part in (*PARTS, "candidates")}


def rows(parts):
    return {part: parts[part]["row"].tolist() for part in PARTS}


def leave_out(frame, kept):
    """Leave-one-out by pandas of the kept rows: rows for training, validation and test, and others."""
    ordered = frame.loc[kept].sort_values("time", kind="stable").groupby("user")
    found = {part: [] for part in PARTS}
    for _, events in ordered:
        n = list(events.index)
        if len(n) == 1:
            found["history"] += n
        elif len(n) == 2:
            found["train"] += n
        else:
            held = min(2, len(n) - 2)  # RecBole leaves a target to train on
            found["train"] += n[: len(n) - held]
            found["test"] += n[-1:]
            found["validation"] += n[-2:-1] if held == 2 else []
    return {part: sorted(of) for part, of in found.items()}


def filter_counts(frame, users, items):
    """Rows of users and items with enough events, filtered repeatedly."""
    kept = frame
    while True:
        enough = kept.groupby("user")["item"].transform("size").ge(users)
        enough &= kept.groupby("item")["user"].transform("size").ge(items)
        if enough.all():
            return kept.index
        kept = kept[enough]


@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_export_split__leave_one_out_as_pandas_has_it(own_folder, training):
    frame = make_events()
    parts = export(training=training)
    truth = leave_out(frame, frame.index)
    assert rows(parts) == truth and len(truth["history"]) > 0
    for part in PARTS:
        there = frame.loc[truth[part]]
        assert parts[part]["user"].tolist() == there["user"].astype(str).tolist()
        assert parts[part]["item"].tolist() == there["item"].astype(str).tolist()
        assert parts[part]["time"].tolist() == there["time"].tolist() and parts[part]["time"].dtype == np.int64
    assert sorted(parts["candidates"]["item"]) == sorted(frame["item"].astype(str).unique())


def test_export_split__honours_filters(own_folder):
    frame = make_events()
    kept = filter_counts(frame, 5, 18)
    assert 0 < len(kept) < len(frame)
    parts = export(user_inter_num_interval="[5,inf)", item_inter_num_interval="[18,inf)")
    assert rows(parts) == leave_out(frame, kept)
    assert set(parts["candidates"]["item"]) == set(frame.loc[kept, "item"].astype(str))
    last = frame.sort_values("time", kind="stable").drop_duplicates(["user", "item"], keep="last").index
    assert rows(export(rm_dup_inter="last")) == leave_out(frame, last)
    late = frame.index[frame["time"] >= frame["time"].median()]
    assert rows(export(val_interval={"timestamp": f"[{frame['time'].median()},inf)"})) == leave_out(frame, late)


def test_export_split__ratio_for_general_models(own_folder):
    frame = make_events()
    split = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user"}
    parts = rows(export(model="Pop", eval_args=split))
    for _, events in frame.sort_values("time", kind="stable").groupby("user"):
        mine = list(events.index)
        sizes = [sum(row in parts[part] for row in mine) for part in PARTS]
        assert sizes[3] == 0 and sum(sizes) == len(mine)
        bounds = np.cumsum(sizes)
        for part, start, end in zip(PARTS, [0, *bounds], bounds, strict=False):
            assert set(mine[start:end]) <= set(parts[part])
        assert sizes[1] == int(0.2 * len(mine)) or len(mine) < 5


@pytest.mark.parametrize("model", ["SASRec", "Pop"])
@pytest.mark.parametrize("target", ["last", "first", "random", "successive"])
@pytest.mark.parametrize("unseen", ["keep", "drop"])
def test_export_split__global_temporal_split_as_pandas_has_it(own_folder, model, target, unseen):
    frame = make_events(1)
    given = {"quantile": 0.6, "target": target, "unseen_items": unseen, "validation": "by_time"}
    if model == "SASRec":
        given["unseen_users"] = unseen
    options = TemporalOptions.from_settings(given)
    parts = export(model=model, eval_args={"split": {"GTS": given}})
    if target == "random":
        config = make_config(model, "dataset", "tied", eval_args={"split": {"GTS": given}}, **RANKED)
        names = build(config)[0][0]._dataset.field2id_token["user_id"]
        numbers = np.random.default_rng(options.split_seed).random(len(names))
        drawn = {int(name): number for name, number in zip(names[1:], numbers[1:], strict=True)}
    truth = split_by_pandas(frame, options, drawn if target == "random" else None)
    found = rows(parts)
    assert found["train"] == truth["train"]
    assert found["validation"] == sorted(truth["valid"]) and found["test"] == sorted(truth["test"])
    before = {row for held in ("valid", "test") for history in truth[held].values() for row in history}
    others = {*truth["train"], *truth["valid"], *truth["test"]}
    assert found["history"] == sorted(before - others)
    assert set(parts["candidates"]["item"]) == {str(item) for item in truth["candidates"]}


SPLITS = [
    {},
    {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "none"}},
    {"eval_args": {"split": {"TS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "none"}},
    {"eval_args": {"split": {"TS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user"}},
    {"eval_args": {"split": {"GTS": {"quantile": 0.7, "target": "successive"}}}},
    {"train_fraction": 0.4},
    {"train_fraction": 0.4, "eval_args": {"split": {"GTS": {"quantile": 0.7}}}},
]


def list_pairs(part):
    """Users and items of a part's samples, by name."""
    data = part[torch.arange(len(part))]
    names = [part.field2id_token[field][data[field]] for field in (part.uid_field, part.iid_field)]
    return sorted(zip(*(map(str, column) for column in names), strict=True))


CASES = [(model, settings) for model in ("SASRec", "BPR") for settings in SPLITS]
CASES.append(("BPR", {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": "user"}}))


@pytest.mark.parametrize(("model", "settings"), CASES)
def test_export_split__has_what_the_loaders_have(own_folder, model, settings):
    """Each part has the targets of its loader; training also has the first event of each of its sequences."""
    make_events(5)
    parts = export(model=model, **settings)
    loaders = build(make_config(model, "dataset", "tied", **{**RANKED, **settings}))[0]
    pairs = {part: list(map(tuple, parts[part][["user", "item"]].to_numpy().tolist())) for part in PARTS}
    for part, loader in zip(PARTS[1:3], loaders[1:], strict=True):
        assert sorted(pairs[part]) == list_pairs(loader._dataset)
    trained = list_pairs(loaders[0]._dataset)
    firsts = list(pairs["train"])
    for pair in trained:
        firsts.remove(pair)
    users = {user for user, _ in trained}
    several = [user for user, _ in firsts if user in users]  # of GTS there may be users with a single event
    assert sorted(several) == (sorted(users) if model == "SASRec" else [])
    assert len(several) == len(firsts) or ("GTS" in str(settings) and len(firsts) == len(set(firsts)))
    numbers = np.concatenate([parts[part]["row"] for part in PARTS])
    assert len(np.unique(numbers)) == len(numbers)
    if "GTS" not in str(settings):
        assert len(numbers) == len(make_events(5))


def test_export_split__numbers_the_rows_of_a_frame(own_folder):
    frame = make_frame(users=20)
    frame.loc[3, "sku"] = None
    parts = export(frame, **ROLES)
    whole = pd.concat([parts[part] for part in PARTS]).set_index("row").sort_index()
    assert whole.index.tolist() == [row for row in range(len(frame)) if row != 3]
    there = frame.iloc[whole.index]
    assert whole["user"].dtype == frame["customer"].dtype and whole["user"].tolist() == there["customer"].tolist()
    assert whole["item"].tolist() == there["sku"].tolist() and whole["time"].tolist() == there["bought"].tolist()


@pytest.mark.parametrize("split", [{}, {"GTS": {"quantile": 0.8, "target": "last"}}], ids=str)
def test_export_split__keeps_nanoseconds(own_folder, split):
    """Times that are one nanosecond apart are equal as floats, and then a history could have events of the future."""
    frame = tied_events(3, users=40, items=12, days=12)
    frame["time"] = 1_600_000_000_000_000_000 + np.random.default_rng(0).permutation(len(frame))
    roles = {"user": "user", "item": "item", "time": "time"}
    parts = export(frame, **roles, **({"eval_args": {"split": split}} if split else {}))
    for part in PARTS:
        there = frame["time"].to_numpy()[parts[part]["row"]]
        assert parts[part]["time"].dtype == np.int64 and parts[part]["time"].tolist() == there.tolist()
    last = parts["test"].set_index("user")["time"]
    seen = parts["history"][parts["history"]["user"].isin(last.index)]
    assert (seen["time"] < seen["user"].map(last)).all()


def test_export_split__takes_the_data_set_of_a_file(own_folder):
    frame = make_frame(users=20)
    frame.to_parquet("events.parquet")
    Path("c.yaml").write_text("dataset: events.parquet\n")
    parts = export(None, config_files=["c.yaml"], **ROLES)
    assert sum(len(parts[part]) for part in PARTS) == len(frame)


def test_export_split__is_a_command(own_folder):
    frame = make_events()
    said = succeed("data", "--export-split", "tied", "--out=out", "--topk=[2]", "--valid_metric=NDCG@2")
    truth = leave_out(frame, frame.index)
    assert pd.read_parquet("out/test.parquet")["row"].tolist() == truth["test"]
    assert f"{len(truth['train']):,} rows" in said.out and "out/train.parquet" in said.out
    about = json.loads(Path("out/split.json").read_text())
    assert about["sizes"]["test"] == len(truth["test"]) and about["settings"]["dataset"] == "tied"
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(FILES)
    assert "it already contains an export; add --force" in main("data", "--export-split", "tied", "--out=out").err
    assert succeed("data", "--export-split", "tied", "--out=out", "--force", "--topk=[2]", "--valid_metric=NDCG@2")
    make_frame(users=20).to_parquet("events.parquet")
    flags = ["--user=customer", "--item=sku", "--time=bought"]
    succeed("data", "--export-split", "events.parquet", *flags, "--out=mine")
    assert set(pd.read_parquet("mine/test.parquet")["user"]) <= set(range(20))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tied"], "--export-split: name the folder to write with --out=FOLDER"),
        (["tied", "x.csv", "--out=out"], "SOURCE cannot be used with --export-split"),
        (["tied", "--format=table", "--out=out"], "--format cannot be used with --export-split"),
        (["tied", "--out=out", "--user=u"], "user, item and time apply to frames"),
        (["tied", "--out=out", "--modell=Pop"], "unknown setting --modell; did you mean model"),
        (["tied", "--out=dataset"], "it contains other files; choose a new folder"),
        (["nowhere", "--out=out"], "nowhere"),
        (["tied", "--out=out", "--check"], "--check and --export-split: give one of them"),
    ],
)
def test_export_split__reports_wrong_arguments(own_folder, arguments, words):
    make_events()
    said = main("data", "--export-split", *arguments)
    assert said.status == 2 and words in said.err and len(said.err.splitlines()) == 1


def test_export_split__refuses_files_that_are_split(own_folder):
    make_events()
    with pytest.raises((ConfigError, DataError), match="these files are split already"):
        export(benchmark_filename=["train", "valid", "test"])


def test_export_split__is_public():
    assert recbole_samrec.export_split is export_split
