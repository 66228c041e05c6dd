"""The arguments of ``sharpness``: runs that are rejected before any computation, and the names of the others."""

import errno
import shutil
from pathlib import Path

import pytest
import torch

from recbole_samrec.experiments.job_folders import slug
from recbole_samrec.sharpness.arguments import prepare_folder, read_fractions, read_runs
from recbole_samrec.utils.errors import CheckpointError, ConfigError, DataError
from recbole_samrec.utils.locks import LOCK
from tests.helpers.records import write_record


@pytest.fixture(autouse=True)
def here(own_folder):
    """Each test has its own working folder."""


def finished(folder, weight=0.0, **record):
    """A folder of a finished run, with its record and its weights."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_record(Path(folder, "result.json"), **record)
    torch.save({"state_dict": {"weight": torch.full((2, 3), weight)}}, Path(folder, "best.pth"))
    return str(folder)


def test_read_runs_gives_each_run_a_name():
    words = [finished(f"{place}/run", number) for number, place in enumerate("abcd")]
    names = [run.name for run in read_runs(words)]
    assert names == [f"SAMRec{ending}, seed 1" for ending in ("", " (run)", " (run, 2)", " (run, 3)")]
    assert len({slug(name) for name in names}) == 4
    assert [run.label for run in read_runs([f"x={words[0]}", words[1]])] == ["x", "SAMRec"]


def test_read_runs_separates_labels_of_one_folder():
    words = [
        f"no dropout={finished('a', 1)}",
        f"No-dropout={finished('b', 2)}",
        f"no dropout={finished('c', 3, seed=2)}",
    ]
    runs = read_runs(words)
    assert [run.label for run in runs] == ["no dropout", "No-dropout (b)", "no dropout"]
    assert len({slug(run.name).lower() for run in runs}) == 3


def test_read_runs_rejects_one_run_by_two_paths():
    finished("a/run")
    with pytest.raises(ConfigError, match=r"^a/\.\./a/run is named twice, also as a/run; name each run once$"):
        read_runs(["a/run", "a/../a/run"])
    Path("link").symlink_to("a/run")
    with pytest.raises(ConfigError, match="link is named twice, also as a/run"):
        read_runs(["a/run", "link"])


def test_read_runs_rejects_copies():
    shutil.copytree(finished("a"), "b")
    with pytest.raises(ConfigError, match=r"^b has the weights of a: both are one run; name one of them$"):
        read_runs(["a", "b"])
    assert len(read_runs(["a", finished("c", 1)])) == 2


@pytest.mark.parametrize("missing", ["data", "dataset", "model", "seed", "test", "config"])
def test_read_runs_rejects_incomplete_records(missing):
    with pytest.raises(CheckpointError, match=rf"^run/result.json: it is damaged \(it has no {missing}\); train"):
        read_runs([finished("run", **{missing: ...})])


def test_read_runs_rejects_empty_records():
    with pytest.raises(CheckpointError, match=r"it is damaged \(data has no users and no items and no interactions\);"):
        read_runs([finished("run", data={"sha256": "0"})])
    with pytest.raises(CheckpointError, match="it has no metrics of a test set"):
        read_runs([finished("run", test=None)])


def test_read_runs_needs_a_common_metric():
    with pytest.raises(DataError, match="SAMRec, seed 1, SAMRec, seed 2 have no test metric in common"):
        read_runs([finished("a"), finished("b", 1, seed=2, test={"hr@5": 1})])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("entry,share\nA,1\n", "give the <dataset>-fractions.csv"),
        ("entry,fraction,ndcg@10_mean,ndcg@10_std\n", "give the <dataset>-fractions.csv"),
        ("entry,fraction,ndcg@10_mean\nA,1,0.5\n", r"missing column\(s\) ndcg@10_std for"),
        ("entry,fraction,hr@5_mean,hr@5_std\nA,1,0.5,0\n", r"missing column\(s\) ndcg@10_mean, ndcg@10_std"),
        ("entry,fraction,ndcg@10_mean,ndcg@10_std\nA,1,much,0\n", "column ndcg@10_mean is not numeric"),
    ],
)
def test_read_fractions_rejects_other_tables(text, words):
    Path("shares.csv").write_text(text)
    with pytest.raises(ConfigError, match=f"^--fractions=shares.csv: .*{words}"):
        read_fractions(Path("shares.csv"), "ndcg@10")


@pytest.mark.parametrize("entry", ["entry", "row"])  # older tables
def test_read_fractions_reads_a_table(entry):
    Path("shares.csv").write_text(f"{entry},fraction,ndcg@10_mean,ndcg@10_std\n7,1,0.5,\n")
    assert read_fractions(Path("shares.csv"), "ndcg@10")["entry"].tolist() == ["7"]


def test_prepare_folder_names_out():
    Path("file").write_text("")
    for out in ("file", "file/deeper/still"):
        with pytest.raises(ConfigError, match=f"^--out={out}: it cannot be written"), prepare_folder(Path(out)):
            raise AssertionError("nothing may be computed")
    with (
        pytest.raises(ConfigError, match=r"^--out=new: it cannot be written \(No space left"),
        prepare_folder(Path("new")),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(FileNotFoundError), prepare_folder(Path("new/deeper")):
        Path("elsewhere").read_text()
    assert not Path("new").exists()


def test_prepare_folder_leaves_an_existing_folder():
    Path("old").mkdir()
    with prepare_folder(Path("old")):
        assert [file.name for file in Path("old").iterdir()] == [LOCK]
    assert not list(Path("old").iterdir())
