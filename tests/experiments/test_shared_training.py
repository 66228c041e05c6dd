"""Runs that differ only in their targets are trained once."""

from dataclasses import replace

import pytest
from rich.console import Console

from recbole_samrec.evaluator.test_ranks import load_ranks
from recbole_samrec.experiments import worker
from recbole_samrec.experiments.job_folders import find_same_training
from recbole_samrec.experiments.shared_training import select_sharing, test_again, train_each_once
from recbole_samrec.quick_start.record import RunRecord
from tests.helpers.jobs import SMALL, ignore, make_jobs
from tests.helpers.tiny import write_events

test_again.__test__ = False  # a function of the package, not a test


@pytest.fixture
def data(own_folder):
    """Users who start one after the other, so that many have events before and after the split."""
    events = [(f"u{u}", f"i{(u * u + step) % 9}", 40 * u + 97 * step) for u in range(30) for step in range(9)]
    write_events("dataset", "tiny", events)
    return own_folder


def make(target, out="out", entry="SASRec"):
    base = SMALL if entry == "SASRec" else {}
    eval_args = {"split": {"GTS": {"quantile": 0.7, "target": target}}, "order": "TO", "mode": "full"}
    given = {"eval_args": eval_args, "topk": [2], "valid_metric": "NDCG@2"}
    (job,) = make_jobs([entry], out=out, base={**base, "epochs": 2}, **given)
    return replace(job, folder=job.folder.with_name(f"{job.folder.name}-{target}"))


def test_train_each_once__tests_the_same_weights(data):
    jobs, trained = [make("last"), make("successive")], []

    def train(some):
        trained.extend(job for job in some if not job.finished)
        for job in some:
            assert "failed" not in worker.train_job(job, ignore)

    assert select_sharing(jobs) == jobs[1:]
    train_each_once(jobs, train, Console(quiet=True))
    assert trained == jobs[:1] and all(job.finished for job in jobs)
    assert find_same_training(jobs[1]) == jobs[0].folder and select_sharing([make("random")])
    own = make("successive", out="other")
    worker.train_job(own, ignore)
    shared, alone = (RunRecord.read(job.folder / "result.json") for job in (jobs[1], own))
    for name in ("test", "valid", "data", "best_epoch"):
        assert shared[name] == alone[name], name
    ranks = [load_ranks(job.folder / "ranks.npz") for job in (jobs[1], own)]
    assert ranks[0].frame.equals(ranks[1].frame) and ranks[0].test == ranks[1].test
    assert len(ranks[0].frame) > len(load_ranks(jobs[0].folder / "ranks.npz").frame)
    assert shared["config"]["eval_args"]["split"]["GTS"]["target"] == "successive"


def test_ranks__count_the_history_before_each_target(data):
    job = make("successive", entry="Pop")
    assert "failed" not in worker.train_job(job, ignore)
    ranks = load_ranks(job.folder / "ranks.npz")
    assert ranks.prediction == "one by one"
    for _, events in ranks.frame.groupby("user"):
        ordered = events.sort_values("event")
        assert ordered["event"].tolist() == list(range(len(events)))
        assert ordered["history"].diff().dropna().eq(1).all() and (ordered["history"] > 0).all()
