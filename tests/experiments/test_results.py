"""Reading finished runs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbole_samrec.evaluator import test_ranks
from recbole_samrec.evaluator.user_metrics import AT_ONCE, ONE_BY_ONE
from recbole_samrec.experiments import worker
from recbole_samrec.experiments.results import group_runs, read_finished_runs, read_record, set_aside_damaged
from recbole_samrec.utils.errors import DataError
from tests.helpers.command import main
from tests.helpers.compared import make_run
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


@pytest.mark.slow
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
    remedy = f"remove it to train the run again: rm {file}"
    for words in (said.out, Path("out/tiny.md").read_text()):
        assert f"SASRec: {file}: " in " ".join(words.split()) and remedy in " ".join(words.split())
    assert "| GRU4Rec | 1 |" in Path("out/tiny.md").read_text()  # the table of the others

    file.unlink()
    (again,) = (job for job in make_jobs(["SASRec", "GRU4Rec"]) if not job.finished)
    assert again.folder == jobs[0].folder and select_figures(worker.train_job(again, ignore)) == wanted[0]
    assert main(*COMPARE, "--tables").status == 0


@pytest.mark.parametrize("name", ["result.json", "ranks.npz"])
def test_set_aside_damaged__lets_runs_continue(data, name):
    jobs = make_jobs(["SASRec", "GRU4Rec"])
    wanted = [select_figures(worker.train_job(job, ignore)) for job in jobs]
    file, notes = jobs[0].folder / name, []
    half = file.read_bytes()[: file.stat().st_size // 2]
    file.write_bytes(half)
    newer = json.loads((jobs[1].folder / "result.json").read_text()) | {"schema_version": 99}
    (jobs[1].folder / "result.json").write_text(json.dumps(newer))
    set_aside_damaged(jobs, notes.append)
    assert notes == [
        f"{file}: it is damaged and was renamed to {name}.damaged; the run resumes from its best checkpoint"
    ]
    assert file.with_name(f"{name}.damaged").read_bytes() == half
    assert [job.finished for job in make_jobs(["SASRec", "GRU4Rec"])] == [False, True]
    assert select_figures(worker.train_job(jobs[0], ignore)) == wanted[0]


def test_read_record_checks_keys_and_types(data):
    file = Path("result.json")
    whole = write_record(file)
    assert read_record(file) == whole
    needed = ("config", "data", "test", "seconds_total", "peak_memory_mb")
    odd = [{key: value} for key in needed for value in (None, "x", [])]
    odd += [{"test": {"mrr@10": None}}, {"parameters": ""}]
    for content in ("", "[]", "7", "{", *(json.dumps(whole | one) for one in odd)):
        file.write_text(content)
        with pytest.raises(DataError, match=r"^result\.json: not a valid record of a run .*: rm result\.json$"):
            read_record(file)
    with pytest.raises(DataError, match="not a valid record of a run"):
        read_record(Path("missing.json"))


RATIO = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user", "mode": "full"}
COLUMNS = {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}}


def store_as_earlier(file):
    """Remove from the ranks of a run the arrays that an earlier version did not store."""
    with np.load(file) as arrays:
        kept = {name: arrays[name] for name in (*test_ranks.COLUMNS, "test")}
    np.savez_compressed(file, **kept)


def test_read_finished_runs__of_an_earlier_version(data):
    """Without users, every event has another user under leave-one-out; other splits raise an error."""
    (job,), (several,) = make_jobs(["SASRec"]), make_jobs(["SASRec"], out="ratio", eval_args=RATIO)
    for each in (job, several):
        worker.train_job(each, ignore)
    before, other = (read_finished_runs([each])[0][0] for each in (job, several))
    assert other.has_several_events and not before.has_several_events
    for each in (job, several):
        store_as_earlier(each.folder / test_ranks.RANKS)
    (after,), damaged = read_finished_runs([job])
    assert after.users.tolist() == before.users.tolist() and not after.has_several_events and not damaged
    runs, damaged = read_finished_runs([several])
    (reason,) = damaged.values()
    assert not runs and "the users of the test events, and the split {'RS': [0.6, 0.2, 0.2]} may have" in reason
    assert reason.endswith(f"rm {several.folder / test_ranks.RANKS}")


def test_read_finished_runs__do_not_mix_predictions(data):
    """A sequential and a general model, both with several test events per user."""
    jobs = [*make_jobs(["SASRec"], eval_args=RATIO), *make_jobs(["Pop"], base={}, eval_args=RATIO, **COLUMNS)]
    for job in jobs:
        worker.train_job(job, ignore)
    with pytest.raises(DataError, match="SASRec predicts a user's test events on tiny one by one and Pop predicts"):
        read_finished_runs(jobs)
    assert read_finished_runs(jobs[1:])[0][0].prediction == AT_ONCE


def test_read_finished_runs__mix_models_with_one_event_each(data):
    jobs = [*make_jobs(["SASRec"]), *make_jobs(["Pop"], base={}, repeatable=True)]
    for job in jobs:
        worker.train_job(job, ignore)
    runs, damaged = read_finished_runs(jobs)
    assert [run.prediction for run in runs] == [ONE_BY_ONE, AT_ONCE] and not damaged


def test_read_record__of_a_run_that_was_not_tested(tmp_path):
    write_record(tmp_path / "result.json", test=None)
    assert read_record(tmp_path / "result.json", tested=False).valid == {"ndcg@10": 0.5}
    with pytest.raises(DataError, match="it has no metrics of a test set"):
        read_record(tmp_path / "result.json")
    write_record(tmp_path / "result.json", valid=None)
    with pytest.raises(DataError, match="it has no metrics of a validation set"):
        read_record(tmp_path / "result.json", tested=False)


def test_set_aside_damaged__of_runs_that_were_not_tested(data):
    (job,) = make_jobs(["SAMRec"], tested=False)
    job.folder.mkdir(parents=True)
    write_record(job.folder / "result.json", test=None)
    said = []
    set_aside_damaged([job], said.append)
    assert job.finished and said == []
    (job.folder / "result.json").write_text("{")
    set_aside_damaged([job], said.append)
    assert not job.finished and len(said) == 1


def test_group_runs__by_place_with_the_largest_share():
    runs = [make_run("A", 1, fraction=0.5), make_run("A", 1), replace(make_run("A", 2), protocol="loo")]
    runs.append(make_run("B", 1))
    groups = group_runs(runs)
    assert list(groups) == [("tiny_set", ""), ("tiny_set", "loo")]
    assert [run is kept for run, kept in zip(groups["tiny_set", ""], (runs[1], runs[3]), strict=True)] == [True, True]
    assert groups["tiny_set", "loo"] == [runs[2]]
