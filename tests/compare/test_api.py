"""Comparisons from Python: their tables and their failures."""

import io
import json
import random
import shutil
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from recbole_samrec.compare import api
from recbole_samrec.compare.api import compare_models
from recbole_samrec.experiments import worker
from recbole_samrec.utils.errors import UserError
from tests.helpers.jobs import SMALL, ignore
from tests.helpers.tables import ROLES, make_frame
from tests.helpers.tiny import random_events, write_events


@pytest.fixture
def trained(own_folder, monkeypatch):
    """A data set, and a comparison whose runs are trained in this process."""
    write_events("dataset", "tiny", random_events(users=30, items=25))

    def train_all(jobs, *more, **options):
        for job in jobs:
            worker.train_job(job, ignore)

    monkeypatch.setattr(api, "train_all", train_all)
    return own_folder


def compare(models, **more):
    """Compare models on the data set in the working folder."""
    console = Console(file=io.StringIO(), width=100)
    return compare_models(models, "tiny", seeds=[1, 2], out="out", console=console, **SMALL, **more)


def test_compare_models_returns_tables(trained):
    found = compare(["SASRec", "Pop"], mask_history=True)
    assert found.complete and found.failures.empty and found.folder == Path("out")
    assert found.entries == ["SASRec", "Pop"]
    assert list(zip(found.runs["entry"], found.runs["seed"], strict=True)) == [
        ("SASRec", 1), ("Pop", 1), ("SASRec", 2), ("Pop", 2)
    ]  # fmt: skip
    for line in found.runs.itertuples():
        record = json.loads(Path(line.folder, "result.json").read_text())
        assert record["seed"] == line.seed and record["epochs_run"] == line.epochs_run
    table = found.table
    assert list(table["entry"]) == ["SASRec", "Pop"] * 2 and list(table["masked"]) == [False] * 2 + [True] * 2
    means = found.runs.groupby("entry")["ndcg@10"].mean()
    unmasked = table[~table["masked"]].set_index("entry")
    for entry in found.entries:
        assert unmasked.loc[entry, "ndcg@10_mean"] == pytest.approx(means[entry], abs=1e-4)
    one = found.differences.query("metric == 'ndcg@10' and not masked").iloc[0]
    assert (one["dataset"], one["entry"], one["reference"]) == ("tiny", "Pop", "SASRec")
    assert one["difference"] == pytest.approx(means["Pop"] - means["SASRec"], abs=1e-4)
    assert one["low"] <= one["difference"] <= one["high"] and 0 < one["p"] <= 1
    assert pd.isna(one["p_holm"]) and one["mark"] == "" and found.primary.empty
    assert set(found.groups["entry"]) == {"SASRec", "Pop"} and set(found.groups["kind"]) == {"history", "popularity"}
    assert "2 entries, 4 runs in out" in repr(found) and "NDCG@10" in repr(found)
    assert found._repr_html_().count("<tr") == 5


def test_compare_models_lists_failures(trained):
    found = compare(["SASRec", "Pop+SAM"])
    assert not found.complete and not found.damaged
    assert list(found.failures["seed"]) == [1, 2] and set(found.failures["entry"]) == {"Pop+SAM"}
    assert all("sam_rho cannot be used with Pop" in reason for reason in found.failures["reason"])
    shutil.rmtree("out/tiny/SASRec-1")
    again = compare(["SASRec"], train=False)
    assert list(again.failures["reason"]) == ["not trained yet"] and len(again.runs) == 1


def test_compare_models_trains_no_finished_run_again(trained):
    compare(["SASRec"])
    before = {file: file.stat().st_mtime_ns for file in Path("out").glob("tiny/*/result.json")}
    assert len(compare(["SASRec"]).runs) == 2
    assert {file: file.stat().st_mtime_ns for file in before} == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": ["SASRek"]}, "unknown model or entry SASRek"),
        ({"seeds": 0}, "give a number of seeds"),
        ({"seeds": [1, 1]}, "a seed is listed twice"),
        ({"train_fraction": 0}, "give distinct numbers in"),
        ({"limit_hours": 0}, "must be a number above 0"),
        ({"threads": 0}, "must be a whole number of at least 1"),
        ({"tuned": ""}, "name a folder of searches"),
        ({"hiden_size": 8}, "hiden_size"),
    ],
)
def test_compare_models_rejects_wrong_arguments(trained, arguments, words):
    with pytest.raises(UserError, match=words):
        compare_models(**{"models": ["SASRec"], "datasets": "tiny", "console": Console(quiet=True), **arguments})


def test_compare_models__tests_what_a_file_declares(trained):
    Path("mine.yaml").write_text("primary: [[SASRec, Pop]]\nequivalence: [[Pop, SASRec]]\nequivalence_margin: 5\n")
    found = compare(["SASRec", "Pop"], mask_history=True, entries=["mine.yaml"])
    assert list(found.primary["test"]) == ["difference", "equivalence"]
    line = found.primary.iloc[0]
    difference = found.differences.query("metric == 'ndcg@10' and not masked").iloc[0]
    assert (line["entry"], line["reference"]) == ("SASRec", "Pop")
    assert line["difference"] == pytest.approx(-difference["difference"])
    assert [line["p_holm"], difference["p"], difference["p_holm"]] == pytest.approx([line["p"]] * 3)
    assert pd.isna(found.differences.query("masked or metric != 'ndcg@10'")["p_holm"]).all()
    page = Path("out", "primary.md").read_text(encoding="utf-8")
    assert "SASRec \N{MINUS SIGN} Pop" in page and "--entries=mine.yaml" in page
    masked, plain = (Path("out", f"tiny{end}.md").read_text(encoding="utf-8") for end in ("-masked", ""))
    assert "## Primary comparisons" in plain and "this page is exploratory" in masked
    with pytest.raises(UserError, match=r"mine.yaml: primary, pair 1: SASRec is not compared; .* add it to --models"):
        compare(["Pop"], entries=["mine.yaml"], train=False)


def test_compare_models__under_several_protocols(trained, monkeypatch):
    """Each protocol has a table, runs that differ only in their targets are trained once, and a page compares them."""
    draw = random.Random(0)
    starts = [draw.randrange(300) for _ in range(40)]
    events = [
        (f"u{u}", f"i{draw.randrange(12)}", s + draw.randrange(200)) for u, s in enumerate(starts) for _ in range(7)
    ]
    write_events("dataset", "tiny", events)
    names, train_all, protocols = ["loo", "gts-last", "gts-successive"], api.train_all, []

    def train(jobs, *more, **options):
        protocols.extend(job.protocol for job in jobs)
        train_all(jobs, *more, **options)

    monkeypatch.setattr(api, "train_all", train)
    given = {"out": "out", "protocol": names, "console": Console(file=io.StringIO(), width=100)}
    found = compare_models(["Pop", "BPR"], "tiny", seeds=[1], **given, epochs=1, topk=[2, 5], valid_metric="NDCG@5")
    assert protocols == ["loo", "loo", "gts-last", "gts-last"] and found.complete and len(found.finished) == 6
    assert list(found.table["protocol"]) == [name for name in names for _ in range(2)]
    pages = {name: Path("out", f"tiny-{name}.md").read_text(encoding="utf-8") for name in names}
    assert "Leave-one-out leaks across time" in pages["loo"] and "leaks" not in pages["gts-last"]
    assert "every later event" in pages["gts-successive"] and "| candidates |" in pages["gts-last"]
    assert "unseen users dropped" in pages["gts-last"] and "--protocol=loo,gts-last,gts-successive" in pages["loo"]
    taus = pd.read_csv(Path("out", "protocols.csv"))
    assert set(zip(taus["protocol"], taus["other"], strict=True)) == set(combinations(names, 2))


ENTRIES = """
entries:
  SASRec: {model: SAMRec, fixed: {sam_rho: 0}, choose: {learning_rate: [0.001, 0.01]}}
  SAMRec: {model: SAMRec, variant_of: SASRec, choose: {sam_rho: [0, 0.1]}}
  random: {model: SAMRec, variant_of: SASRec, fixed: {sam_variant: random}, choose: {sam_rho: [0.1]}}
  again: {model: SAMRec, tuned_as: SASRec, choose: {sam_rho: [-0.1]}}
primary: [[SAMRec, SASRec]]
"""


@pytest.mark.parametrize(
    ("models", "arguments", "words"),
    [
        (["SASRec"], {}, "choose of SASRec: it requires --select; add --select"),
        (["Pop", "SAMRec"], {"select": True, "select_seeds": [1, 3]}, "--select_seeds: 1 is also in --seeds"),
        (["SASRec"], {"select": True, "learning_rate": 0.1}, "learning_rate is also given as 0.1"),
        (["SASRec", "again"], {"select": True}, "choose of again: sam_rho=-0.1: must be"),
        (["SASRec", "SAMRec", "random"], {"select": True}, "random: it has 1 candidates and SAMRec has 2"),
        (["SASRec", "SAMRec"], {"equal": "passes"}, "--equal=passes requires --select"),
        (
            ["SASRec", "SAMRec"],
            {"select": True, "equal": "time"},
            "--equal=time: only --equal=passes is supported",
        ),
        (["SASRec"], {"select": True, "equal": "passes"}, "no entry with SAM is compared with its plain entry"),
    ],
)
def test_compare_models__refuses_wrong_selections(trained, models, arguments, words):
    Path("mine.yaml").write_text(ENTRIES.partition("primary")[0])
    with pytest.raises(UserError, match=words):
        compare(models, entries=["mine.yaml"], **arguments)
    assert not Path("out", "tiny").exists() and not Path("out", "selection").exists()


def test_compare_models__names_what_equal_passes_add(trained):
    Path("mine.yaml").write_text(ENTRIES.replace("[SAMRec, SASRec]", "[SAMRec, SASRec (equal passes)]"))
    with pytest.raises(UserError, match=r"SASRec \(equal passes\) is an entry of --equal=passes only; add it, or"):
        compare(["SASRec", "SAMRec"], entries=["mine.yaml"], select=True)


def test_compare_models__lists_entries_without_a_choice(trained):
    """Without the runs of the selection, the pages give the reasons; the comparison still counts in the family."""
    Path("mine.yaml").write_text(ENTRIES)
    found = compare(["SASRec", "SAMRec"], entries=["mine.yaml"], select=True, select_seeds=[7], train=False)
    words = "2 of 2 candidates are not trained: run the command again without --tables"
    assert list(found.failures["reason"]) == [words] * 2 and list(found.failures["entry"]) == ["SASRec", "SAMRec"]
    assert words in Path("out/tiny-selected.md").read_text() and found.chosen.empty
    assert len(found.primary) == 1 and found.primary["p"].isna().all()


def test_compare_models_takes_frames_and_files(trained):
    frame = make_frame(users=30, items=25)
    frame.assign(bought=frame["bought"] + 0.5).to_parquet("events.parquet")
    console, options = Console(file=io.StringIO(), width=100), {"seeds": [1], "out": "out", **SMALL}
    found = compare_models(["SASRec", "Pop"], [frame, "events.parquet", "tiny"], **ROLES, console=console, **options)
    assert found.complete and len(found.runs) == 6
    names = list(dict.fromkeys(found.runs["dataset"]))
    assert [name.rpartition("-")[0] for name in names[:2]] == ["frame", "events"] and names[2] == "tiny"
    assert all((Path("out") / f"{name}.md").exists() for name in names)
    assert f"--datasets={','.join(names)}" in Path(f"out/{names[0]}.md").read_text()  # which finds them again
    again = compare_models(["SASRec", "Pop"], names, console=console, train=False, **options)
    assert again.table.equals(found.table)


def test_compare_models_takes_items_with_attributes(trained):
    frame = make_frame(users=30, items=25)
    items = frame[["sku"]].drop_duplicates().assign(tags=lambda table: [[name[-1], "all"] for name in table["sku"]])
    options = {"seeds": [1], "out": "out", "console": Console(quiet=True), "pretrain_epochs": 1, **SMALL}
    found = compare_models(["SASRec", "S3Rec"], frame, **ROLES, items=items, **options)
    assert found.complete and list(found.runs["entry"]) == ["SASRec", "S3Rec"]
    without = compare_models(["SASRec", "S3Rec"], frame, **ROLES, **options)  # S3Rec is skipped
    assert list(without.runs["entry"]) == ["SASRec"] and without.runs["hr@5"][0] == found.runs["hr@5"][0]


def test_compare_models_writes_tables_without_data(own_folder, monkeypatch):
    """Records suffice, also of an entry that reads attributes; training needs the data."""
    monkeypatch.setattr(api, "train_all", lambda jobs, *_, **options: [worker.train_job(job, ignore) for job in jobs])
    write_events("dataset", "tiny", random_events(users=30, items=25))
    tags = [f"i{number}\tt{number % 3} all" for number in range(25)]
    Path("dataset/tiny/tiny.item").write_text("\n".join(["item_id:token\ttags:token_seq", *tags]))
    options = {"seeds": [1], "out": "out", "pretrain_epochs": 1, **SMALL}
    compare_models(["SASRec", "S3Rec"], "tiny", console=Console(quiet=True), **options)
    before = {file.name: file.read_bytes() for file in Path("out").glob("tiny*") if file.is_file()}
    shutil.rmtree("dataset")
    console = Console(file=io.StringIO(), width=200)
    again = compare_models(["SASRec", "S3Rec"], "tiny", train=False, console=console, **options)
    assert again.complete and len(again.runs) == 2
    said = console.file.getvalue()
    assert "note: tiny is not in dataset/tiny; the tables are made of the records in out/tiny alone" in said
    assert len(before) > 5 and {name: Path("out", name).read_bytes() for name in before} == before
    other = compare_models(["SASRec"], "tiny", train=False, console=console, **{**options, "hidden_size": 4})
    assert not other.complete and len(other.runs) == 0  # other settings are other runs
    for arguments in ({"train": True}, {"train": False, "out": "nowhere"}):
        with pytest.raises(UserError, match=r"^tiny is not in dataset/tiny and is unknown"):
            compare_models(["SASRec"], "tiny", console=console, **{**options, **arguments})


def test_compare_models_names_skipped_entries_without_data(own_folder, monkeypatch):
    """The pages say why an entry was skipped, also where the data that it is incompatible with is not."""
    monkeypatch.setattr(api, "train_all", lambda jobs, *_, **options: [worker.train_job(job, ignore) for job in jobs])
    write_events("dataset", "tiny", random_events(users=30, items=25))
    options = {"seeds": [1], "out": "out", "console": Console(quiet=True), **SMALL}
    assert "attribute" in compare_models(["SASRec", "S3Rec"], "tiny", **options).failures["reason"][0]
    before = {file.name: file.read_bytes() for file in Path("out").glob("tiny*") if file.is_file()}
    shutil.rmtree("dataset")
    again = compare_models(["SASRec", "S3Rec"], "tiny", train=False, **options)
    assert "attribute" in again.failures["reason"][0]
    assert len(before) > 5 and {name: Path("out", name).read_bytes() for name in before} == before


def test_compare_models_of_users_with_few_events(own_folder, monkeypatch):
    """General models get the targets of sequential ones, and their pages are the same without the data."""
    monkeypatch.setattr(api, "train_all", lambda jobs, *_, **options: [worker.train_job(job, ignore) for job in jobs])
    events = [(f"u{user}", f"i{user + step}", 100 * user + step) for user in range(20) for step in range(1 + user % 9)]
    write_events("dataset", "tiny", events)
    options = {"seeds": [1], "out": "out", "console": Console(quiet=True), **SMALL}
    assert compare_models(["SASRec", "Pop"], "tiny", **options).complete
    before = {file.name: file.read_bytes() for file in Path("out").glob("tiny*") if file.is_file()}
    assert b"sequential_targets: true" in before["tiny.md"]
    shutil.rmtree("dataset")
    assert compare_models(["SASRec", "Pop"], "tiny", train=False, **options).complete
    assert len(before) > 5 and {name: Path("out", name).read_bytes() for name in before} == before


def test_compare_models_refuses_columns_of_data_sets(trained):
    with pytest.raises(UserError, match=r"user, item and time apply to frames .* but tiny is a data set"):
        compare_models(["Pop"], "tiny", user="customer")
