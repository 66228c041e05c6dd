"""Training a job in one process."""

import json
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from recbole_samrec.experiments import runner, worker
from recbole_samrec.utils.locks import LOCK
from tests.helpers.jobs import ignore, make_jobs


def test_train_job_leaves_its_record(data):
    (job,) = make_jobs(["SAMRec"])
    assert not job.finished
    said = []
    result = worker.train_job(job, said.append)
    assert job.finished and result["test"] and said[-1][:3] == (False, 3, 3)
    names = {path.name for path in job.folder.iterdir()}
    assert {"result.json", "ranks.npz", "best.pth", "job.json"} <= names and "last.pth" not in names
    assert make_jobs(["SAMRec"])[0].folder == job.folder  # found again
    before = (job.folder / "result.json").stat().st_mtime_ns
    assert worker.train_job(job, ignore) == json.loads((job.folder / "result.json").read_text())
    assert (job.folder / "result.json").stat().st_mtime_ns == before


def test_train_job_returns_the_reason_of_a_failure(data):
    _, job = make_jobs(["SAMRec", "Pop+SAM"])
    assert "sam_rho cannot be used with Pop" in worker.train_job(job, ignore)["failed"]
    assert not job.finished and "sam_rho cannot be used with Pop" in (job.folder / worker.FAILURE).read_text()


def test_train_job_locks_its_folder(data):
    (job,) = make_jobs(["SAMRec"])
    job.folder.mkdir(parents=True)
    with FileLock(job.folder / LOCK):
        assert "another process is at work there" in worker.train_job(job, ignore)["failed"]
    assert worker.train_job(job, ignore)["test"]
    assert not (job.folder / worker.FAILURE).exists()


def test_train_job_restarts_without_readable_checkpoints(data):
    (job,) = make_jobs(["SAMRec"])
    job.folder.mkdir(parents=True)
    for name in ("last.pth", "best.pth"):
        (job.folder / name).write_bytes(b"nothing")
    assert worker.train_job(job, ignore)["test"] and job.finished


def test_train_job_of_a_users_own_model(data):
    Path("own.py").write_text(
        "from recbole.model.sequential_recommender.gru4rec import GRU4Rec\n\n\nclass Mine(GRU4Rec):\n    pass\n"
    )
    of_gru4rec = {"loss_type": "CE", "num_layers": 1, "embedding_size": 8, "dropout_prob": 0.1}
    mine, with_sam = make_jobs(["SAMRec", "own.py:Mine", "own.py:Mine+SAM"], **of_gru4rec)[1:]
    assert (mine.entry, with_sam.entry) == ("Mine", "Mine+SAM") and mine.source == with_sam.source == "own.py:Mine"
    assert worker.train_job(with_sam, ignore)["test"]


def test_train_job__without_a_test_leaves_no_ranks(data):
    (job,) = make_jobs(["SAMRec"], tested=False)
    assert not job.tested and worker.train_job(job, ignore)["test"] is None
    assert job.finished and not replace(job, tested=True).finished
    assert json.loads((job.folder / "result.json").read_text())["valid"] and not (job.folder / "ranks.npz").exists()
    said = runner._describe_end(json.loads((job.folder / "result.json").read_text()))
    assert said.startswith("validation NDCG@10 0.")
