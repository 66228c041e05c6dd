"""What ``sharpness`` is given: which runs are refused before anything is computed, and how the others are called."""

import errno
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from recbole_samrec.experiments.jobs import slug
from recbole_samrec.sharpness.arguments import named_runs, read_shares, writable
from recbole_samrec.utils.errors import CheckpointError, ConfigError, DataError
from tests.helpers.records import write_record


@pytest.fixture(autouse=True)
def here(own_folder):
    """Every test has a working folder of its own."""


def finished(folder, weight=0.0, **record):
    """A folder as a finished run leaves it, as far as its record and its weights are read."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_record(Path(folder, "result.json"), **record)
    torch.save({"state_dict": {"weight": torch.full((2, 3), weight)}}, Path(folder, "best.pth"))
    return str(folder)


def test_runs_of_one_label_and_seed_have_names_and_places_of_their_own():
    words = [finished(f"{place}/run", number) for number, place in enumerate("abcd")]
    names = [run.name for run in named_runs(words)]
    assert names == [f"SAMRec{ending}, seed 1" for ending in ("", " (run)", " (run, 2)", " (run, 3)")]
    assert len({slug(name) for name in names}) == 4
    assert [run.label for run in named_runs([f"x={words[0]}", words[1]])] == ["x", "SAMRec"]


def test_labels_that_would_share_a_folder_do_not():
    words = [
        f"no dropout={finished('a', 1)}",
        f"No-dropout={finished('b', 2)}",
        f"no dropout={finished('c', 3, seed=2)}",
    ]
    runs = named_runs(words)
    assert [run.label for run in runs] == ["no dropout", "No-dropout (b)", "no dropout"]
    assert len({slug(run.name).lower() for run in runs}) == 3


def test_a_run_that_is_named_by_two_paths_is_named_twice():
    finished("a/run")
    with pytest.raises(ConfigError, match=r"^a/\.\./a/run is named twice, also as a/run; name each run once$"):
        named_runs(["a/run", "a/../a/run"])
    Path("link").symlink_to("a/run")
    with pytest.raises(ConfigError, match="link is named twice, also as a/run"):
        named_runs(["a/run", "link"])


def test_a_copy_of_a_run_is_no_second_run():
    shutil.copytree(finished("a"), "b")
    with pytest.raises(ConfigError, match=r"^b has the weights of a: both are one run; name one of them$"):
        named_runs(["a", "b"])
    assert len(named_runs(["a", finished("c", 1)])) == 2


@pytest.mark.parametrize("missing", ["data", "dataset", "model", "seed", "test", "config"])
def test_records_with_something_missing_are_damaged(missing):
    with pytest.raises(CheckpointError, match=rf"^run/result.json: it is damaged \(it has no {missing}\); train"):
        named_runs([finished("run", **{missing: ...})])


def test_records_without_content_are_one_line():
    with pytest.raises(CheckpointError, match=r"it is damaged \(data has no users and no items and no interactions\);"):
        named_runs([finished("run", data={"sha256": "0"})])
    with pytest.raises(CheckpointError, match="it has no metrics of a test set"):
        named_runs([finished("run", test=None)])


def test_runs_without_a_common_metric_are_refused():
    with pytest.raises(DataError, match="SAMRec, seed 1, SAMRec, seed 2 have no test metric in common"):
        named_runs([finished("a"), finished("b", 1, seed=2, test={"hr@5": 1})])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("row,share\nA,1\n", "give the <dataset>-fractions.csv"),
        ("row,fraction,ndcg@10_mean,ndcg@10_std\n", "give the <dataset>-fractions.csv"),
        ("row,fraction,ndcg@10_mean\nA,1,0.5\n", "no figure to draw, as it has no ndcg@10_std"),
        ("row,fraction,hr@5_mean,hr@5_std\nA,1,0.5,0\n", "has no ndcg@10_mean and no ndcg@10_std and these runs are"),
        ("row,fraction,ndcg@10_mean,ndcg@10_std\nA,1,much,0\n", "ndcg@10_mean holds something that is no number"),
    ],
)
def test_tables_from_which_nothing_can_be_drawn_are_refused(text, words):
    Path("shares.csv").write_text(text)
    with pytest.raises(ConfigError, match=f"^--fractions=shares.csv: .*{words}"):
        read_shares(Path("shares.csv"), "ndcg@10")


def test_a_table_of_shares_is_read():
    Path("shares.csv").write_text("row,fraction,ndcg@10_mean,ndcg@10_std\n7,1,0.5,\n")
    assert isinstance(read_shares(Path("shares.csv"), "ndcg@10"), pd.DataFrame)


def test_a_folder_that_cannot_be_written_names_out():
    Path("file").write_text("")
    for out in ("file", "file/deeper/still"):
        with pytest.raises(ConfigError, match=f"^--out={out}: it cannot be written"), writable(Path(out)):
            raise AssertionError("nothing may be computed")
    with pytest.raises(ConfigError, match=r"^--out=new: it cannot be written \(No space left"), writable(Path("new")):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(FileNotFoundError), writable(Path("new/deeper")):
        Path("elsewhere").read_text()
    assert not Path("new").exists()


def test_a_folder_that_was_there_stays():
    Path("old").mkdir()
    with writable(Path("old")):
        assert not list(Path("old").iterdir())
    assert Path("old").is_dir()
