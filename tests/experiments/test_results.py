"""Reading of finished runs."""

import json
from pathlib import Path

import pytest

from recbole_samrec.experiments import worker
from recbole_samrec.experiments.results import read_finished_runs, read_record
from recbole_samrec.utils.errors import DataError
from tests.helpers.command import main
from tests.helpers.jobs import SMALL, ignore, make_jobs, select_figures
from tests.helpers.records import write_record


def test_read_finished_runs_rejects_other_test_items(data):
    one, other = make_jobs(["SAMRec"]) + make_jobs(["SASRec"], user_inter_num_interval="[8,inf)")
    for job in (one, other):
        worker.train_job(job, ignore)
    with pytest.raises(DataError, match="ranked different test items"):
        read_finished_runs([one, other])


def test_read_finished_runs_rejects_other_candidates(data):
    lines = ["item_id:token\tclass:token_seq", *(f"i{i}\tc" for i in range(40))]  # some of which nobody had
    Path("dataset/tiny/tiny.item").write_text("\n".join(lines) + "\n")
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]}
    one, other = make_jobs(["SAMRec"]) + make_jobs(["SASRec"], load_col=columns)
    for job in (one, other):
        worker.train_job(job, ignore)
    with pytest.raises(DataError, match="ranked different candidates"):
        read_finished_runs([one, other])


COMPARE = ["compare", "--datasets=tiny", "--models=SASRec,GRU4Rec", "--seeds=1,", "--out=out"]
COMPARE += [f"--{key}={value}" for key, value in SMALL.items()]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("ranks.npz", lambda kept: b""),
        ("ranks.npz", lambda kept: kept[:100] + bytes(byte ^ 255 for byte in kept[100:140]) + kept[140:]),
        ("result.json", lambda kept: kept[: len(kept) // 2]),
        ("result.json", lambda kept: b'{"model": "SAMRec"}'),
    ],
)
def test_read_finished_runs_lists_damaged_runs(data, name, damage):
    jobs = make_jobs(["SASRec", "GRU4Rec"])
    wanted = [select_figures(worker.train_job(job, ignore)) for job in jobs]
    file = jobs[0].folder / name
    file.write_bytes(damage(file.read_bytes()))
    said = main(*COMPARE, "--tables")
    assert said.status == 3, said.err
    remedy = f"remove it, and compare trains the run again: rm {file}"
    for words in (said.out, Path("out/tiny.md").read_text()):
        assert f"SASRec: {file}: " in " ".join(words.split()) and remedy in " ".join(words.split())
    assert "| GRU4Rec | 1 |" in Path("out/tiny.md").read_text()  # the table of the others

    file.unlink()
    (again,) = (job for job in make_jobs(["SASRec", "GRU4Rec"]) if not job.finished)
    assert again.folder == jobs[0].folder and select_figures(worker.train_job(again, ignore)) == wanted[0]
    assert main(*COMPARE, "--tables").status == 0


def test_read_record_checks_keys_and_types(data):
    file = Path("result.json")
    whole = write_record(file)
    assert read_record(file) == whole
    needed = ("config", "data", "test", "seconds_total", "peak_memory_mb")
    odd = [{key: value} for key in needed for value in (None, "x", [])]
    odd += [{"test": {"mrr@10": None}}, {"parameters": ""}]
    for content in ("", "[]", "7", "{", *(json.dumps(whole | one) for one in odd)):
        file.write_text(content)
        with pytest.raises(DataError, match=r"^result\.json: this is no record of a run .*: rm result\.json$"):
            read_record(file)
    with pytest.raises(DataError, match="no record of a run"):
        read_record(Path("missing.json"))
