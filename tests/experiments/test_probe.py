"""Probes of costs."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from recbole_samrec.experiments import probe, worker
from recbole_samrec.experiments.estimate import CostBook
from recbole_samrec.experiments.progress import print_plan
from tests.helpers.jobs import make_jobs
from tests.helpers.tiny import write_kinds


def test_probe_cost_leaves_nothing_behind(data, monkeypatch):
    monkeypatch.setattr(probe, "PROBED_SECONDS", 0.0)
    (job,) = make_jobs(["SAMRec"], epochs=7)
    cost = probe.probe_cost(job)
    assert cost["epochs"] == 7 and cost["seconds_per_epoch"] > 0 and cost["memory_mb"] > 50
    assert not Path("out").exists()
    _, counted, refused = make_jobs(["SAMRec", "Pop", "Pop+SAM"])
    assert probe.probe_cost(counted)["seconds_per_epoch"] > 0
    assert "sam_rho" in probe.probe_cost(refused)["failed"]


def test_probe_cost_of_pretraining(data, monkeypatch):
    monkeypatch.setattr(probe, "PROBED_SECONDS", 0.0)
    write_kinds("dataset/tiny", items=25)
    given = {"pretrain_epochs": 5, "pretrain_batch_size": 4, "train_batch_size": 16}
    (job,) = make_jobs(["S3Rec"], **given)
    cost = probe.probe_cost(job)
    assert (cost["epochs"], cost["pretrain_epochs"]) == (3, 5) and cost["pretrain_seconds"] > 0
    assert not Path("out").exists()
    costs, said, told = CostBook([job], Path("out")), [], io.StringIO()
    costs.add_probe(job, cost | {"seconds_per_epoch": 10.0, "pretrain_seconds": 20.0})
    assert costs.expected_seconds(job) == 5 * 20 + 3 * 10
    print_plan(Console(file=told, width=100), [job], costs)
    assert "S3Rec on tiny: each run begins with 5 epochs of pre-training, 20.0 s each" in told.getvalue()
    assert " 3/3 " in told.getvalue() and "0:02:10" in told.getvalue()

    monkeypatch.setattr(worker.time, "monotonic", iter(range(0, 10**6, 3)).__next__)  # each step is told
    record = dict(worker.train_job(job, said.append))
    assert sorted({(one.pretrains, one.epochs) for one in said}) == [(False, 3), (True, 5)]
    shares = [costs.share_done(job, one) for one in said]
    assert shares == sorted(shares) and shares[-1] == 1 and 100 / 130 in shares
    costs.add_run(job, record)
    ended, before = costs.find(job), record["pretraining"]
    assert (ended.pretrain_epochs, ended.pretrain_seconds) == (5, before["seconds_per_epoch"])
    assert 3 * ended.seconds_per_epoch == pytest.approx(record["seconds_total"] - before["seconds"])
    assert costs.expected_seconds(job) == pytest.approx(record["seconds_total"])
    costs.add_run(job, record | {"seconds_total": 0.9 * before["seconds"]})  # its weights lay there already
    assert costs.find(job).seconds_per_epoch == pytest.approx(0.3 * before["seconds"])
    costs.add_run(job, record | {"pretraining": before | {"reused": True}})  # they were another run's
    assert costs.find(job).seconds_per_epoch == pytest.approx(record["seconds_total"] / 3)
