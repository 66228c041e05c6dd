"""The command ``compare``: its arguments and the entries that it skips."""

from pathlib import Path

import pytest

from recbole_samrec.compare import api
from tests.helpers.command import main
from tests.helpers.jobs import SMALL
from tests.helpers.tables import FLAGS, make_frame
from tests.helpers.tiny import random_events, write_events


@pytest.fixture
def data(own_folder):
    """A data set in the working folder."""
    write_events("dataset", "tiny", random_events(users=30, items=25))
    return own_folder


def with_attributes(name, of="c"):
    """Give the items of a data set an attribute."""
    lines = ["item_id:token\tclass:token_seq", *(f"i{i}\t{of}{i % 3}" for i in range(25))]
    Path("dataset", name, f"{name}.item").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("models", ["S3Rec,SAMRec", "SAMRec,S3Rec"])
def test_compare_skips_incompatible_entries(data, monkeypatch, models):
    write_events("dataset", "tiny2", random_events(users=30, items=25))
    with_attributes("tiny")
    todo = []
    monkeypatch.setattr(api, "train_all", lambda jobs, *more, **options: todo.extend(jobs))
    said = main("compare", f"--models={models}", "--datasets=tiny,tiny2", "--seeds=1,")
    assert said.status == 3
    rows = [(one.dataset, one.entry) for one in todo]
    assert sorted(rows) == [("tiny", "S3Rec"), ("tiny", "SAMRec"), ("tiny2", "SAMRec")]
    reason = "skipped: S3Rec on tiny2: dataset/tiny2/tiny2.item is missing"
    assert said.out.count(reason) == 1 and "tiny2.item is missing" in Path("runs/compare/tiny2.md").read_text()


def test_compare_skips_incompatible_data_sets(data, monkeypatch):
    write_events("dataset", "tiny2", random_events(users=30, items=25))
    with_attributes("tiny")
    todo = []
    monkeypatch.setattr(api, "train_all", lambda jobs, *more, **options: todo.extend(jobs))
    assert main("compare", "--models=S3Rec", "--datasets=tiny2,tiny", "--seeds=1,").status == 3
    assert [(one.dataset, one.entry) for one in todo] == [("tiny", "S3Rec")]
    said = main("compare", "--models=S3Rec", "--datasets=tiny2", "--seeds=1,")
    assert said.status == 2 and "tiny2.item is missing" in said.err and "skipped" not in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--models=SASRek"], "no model or entry SASRek"),
        (["--models=,"], "--models: name at least one"),
        (["--seeds=0"], "--seeds=0: give how many"),
        (["--seeds=1,1"], "a seed is named twice"),
        (["--seeds=many"], "--seeds=many: give how many"),
        (["--seeds=2020"], "--seeds=2020: give how many"),
        (["--eval_args={'mode':'uni100','split':{'LS':'valid_and_test'},'order':'TO'}"], "ranks all items, not uni100"),
        (["--models=XGBoost"], "--models: XGBoost: requires the package"),
        (["--models=missing.py:Mine"], "missing.py cannot be imported"),
        (["--train_fraction=0,1"], "above 0 and at most 1"),
        (["--train_fraction=half"], "--train_fraction=half: give numbers"),
        (["--threads=0"], "--threads=0: must be a whole number of at least 1"),
        (["--gpus=1.5"], "--gpus=1.5: give a part of a GPU"),
        (["--datasets=nowhere"], "nowhere"),
        (["--sam_rho=-1"], "sam_rho=-1"),
        (["--learning_rate=fast"], "learning_rate=fast"),
        (["--entries=missing.yaml"], "missing.yaml"),
        (["--rows=missing.yaml"], "missing.yaml"),
        (["--console=1"], "unknown setting --console"),
    ],
)
def test_compare_rejects_wrong_arguments(data, arguments, words):
    said = main("compare", *arguments)
    assert said.status == 2 and words in " ".join(said.err.split()) and said.err.count("error:") == 1
    assert not Path("runs").exists()


COMPARE = ["compare", "--datasets=tiny", "--models=SASRec,GRU4Rec", "--seeds=1,", "--out=out"]
COMPARE += [f"--{key}={value}" for key, value in SMALL.items()]


def test_compare_rejects_a_folder_that_is_not_writable(data):
    Path("taken").write_text("")
    for out in ("taken", "taken/below"):
        said = main(*COMPARE, f"--out={out}")
        assert said.status == 2 and f"--out={out}: the folder cannot be written" in " ".join(said.err.split())


@pytest.mark.parametrize("hours", ["-1", "0", "nan"])
def test_compare_rejects_a_wrong_limit(data, hours):
    said = main(*COMPARE, f"--limit_hours={hours}")
    assert said.status == 2 and f"--limit_hours={hours}: must be a number above 0" in " ".join(said.err.split())
    assert not Path("out").exists()


def test_compare_rejects_an_address_without_listener(data):
    said = main("compare", "--datasets=tiny", "--models=Pop", "--address=127.0.0.1:1")
    assert said.status == 2 and "--address=127.0.0.1:1: nothing answers there" in " ".join(said.err.split())


def test_compare_takes_parquet_files(data, monkeypatch):
    make_frame(users=30, items=25).to_parquet("events.parquet")
    todo = []
    monkeypatch.setattr(api, "train_all", lambda jobs, *more, **options: todo.extend(jobs))
    for given, wanted in (["--data=events.parquet"], 1), (["--datasets=events.parquet,tiny"], 2), (
        ["--data=events.parquet", "--datasets=tiny"], 2
    ):  # fmt: skip
        assert main("compare", "--models=Pop", *given, *FLAGS, "--seeds=1,", "--out=out").status == 3
        assert len({one.dataset for one in todo}) == wanted
        todo.clear()
    said = main("compare", "--models=Pop", "--data=events.parquet", "--user=customers", "--seeds=1,")
    assert said.status == 2 and "events.parquet has no column 'customers'" in said.err
