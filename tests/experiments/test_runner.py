"""Jobs in Ray processes: retried, resumed, skipped, and run on the computers of a cluster."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from recbole_samrec.experiments import ray_cluster, runner, worker
from recbole_samrec.experiments.estimate import CostBook
from recbole_samrec.experiments.ray_cluster import (
    Capacity,
    RayConnection,
    Resources,
    choose_resources,
    connect_ray,
    measure_capacity,
)
from recbole_samrec.experiments.trial_watcher import LOST
from tests.helpers.jobs import SEEING, SMALL, ignore, make_jobs, select_figures
from tests.helpers.paths import ROOT

CAPACITY = Capacity(parallel=2, largest_mb=10_000.0, total_mb=10_000.0, node="here")
DYING = """
import os
import signal
from pathlib import Path
from recbole.model.general_recommender.bpr import BPR


class Dying(BPR):
    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.lives, self.marks = config["lives"], Path(config["checkpoint_dir"]) / "attempts"

    def calculate_loss(self, interaction):
        attempts = len(self.marks.read_text()) if self.marks.exists() else 0
        if attempts < self.lives:
            self.marks.write_text("x" * (attempts + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().calculate_loss(interaction)
"""


def test_train_all_skips_entries_that_take_too_long(data, monkeypatch):
    jobs = make_jobs(["SAMRec", "GRU4Rec"], seeds=(1, 2))
    costs, started = CostBook(jobs, Path("out")), []
    for job, seconds in zip(jobs[:2], (1000.0, 1.0), strict=True):
        costs.add_probe(job, {"seconds_per_epoch": seconds, "epochs": 300, "memory_mb": 100.0})
    monkeypatch.setattr(ray_cluster, "connect_ray", lambda resources: nullcontext(None))
    monkeypatch.setattr(runner, "measure_capacity", lambda ray, resources: CAPACITY)
    monkeypatch.setattr(runner, "run_jobs", lambda todo, *more, **options: started.extend(todo))
    told, connection = io.StringIO(), RayConnection(Resources())
    runner.train_all(jobs, costs, connection, Console(file=told), limit_hours=1, command="compare --out out")
    assert started == jobs[1::2]  # GRU4Rec's: 40 epochs of the other take 11 hours
    shares = make_jobs(["SAMRec"], fractions=[0.5, 1.0], out="shares")
    of_shares = CostBook(shares, Path("shares"))
    for job in shares:
        of_shares.add_probe(job, {"seconds_per_epoch": 1000.0, "epochs": 300, "memory_mb": 100.0})
    runner.train_all(shares, of_shares, connection, Console(file=io.StringIO()), limit_hours=1, command="compare")
    assert ["add it on a faster one: compare" in of_shares.skip_reason(job) for job in shares] == [False, True]
    again = CostBook(jobs, Path("out"))  # as a later call reads it
    for reason in (costs.skip_reason(jobs[0]), again.skip_reason(jobs[2])):
        assert "expected to take 11:06:40" in reason and reason.endswith("add it on a faster one: compare --out out")
    assert "skipped: SAMRec on tiny: a run is expected" in told.getvalue()
    runner.train_all(jobs, costs, connection, Console(file=told))
    assert started[2:] == jobs and not costs.skip_reason(jobs[0])


def test_run_jobs_rejects_jobs_that_need_more_memory(data):
    (job,) = make_jobs(["SAMRec"])
    costs, ended = CostBook([job], Path("out")), {}
    costs.add_probe(job, {"seconds_per_epoch": 1.0, "epochs": 3, "memory_mb": 10_000.0})
    runner.run_jobs([job], costs, Resources(), CAPACITY, ended.__setitem__)
    assert ended[job] == {"failed": "needs about 13.0 GB, and no computer has more than 10.0 GB"}


@pytest.mark.slow
@pytest.mark.ray
def test_run_jobs_retries_a_lost_process_once(data, monkeypatch):
    """One process dies in its first attempt, one in both; an error in a run is not retried."""
    Path("own.py").write_text(DYING)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    dying, fails = make_jobs(["own.py:Dying", "Pop+SAM"], base={"epochs": 1})
    jobs = [
        replace(
            dying, settings={**dying.settings, "embedding_size": 8, "lives": lives}, folder=Path("out", f"dies-{lives}")
        )
        for lives in (1, 2)
    ]
    ended, retried = {}, []
    with connect_ray(Resources(parallel=2)) as ray:
        capacity = measure_capacity(ray, Resources(parallel=2))
        costs = CostBook(jobs, Path("out"))
        runner.run_jobs(
            [*jobs, fails],
            costs,
            Resources(parallel=2),
            capacity,
            ended.__setitem__,
            retry=lambda job, reason: retried.append((job, reason)),
        )
    once, twice = jobs
    assert once.finished and ended[once]["test"], ended[once]
    assert ended[twice] == {"failed": runner.LOST_TWICE} and not twice.finished
    assert "sam_rho cannot be used with Pop" in ended[fails]["failed"]
    assert sorted(retried, key=lambda pair: jobs.index(pair[0])) == [(job, LOST) for job in jobs]


@pytest.mark.slow
@pytest.mark.ray
def test_run_jobs_shares_every_gpu(data, monkeypatch):
    """Three runs with half a GPU each share two GPUs that only Ray believes to have; one run has to wait."""
    import ray

    Path("own.py").write_text(SEEING)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(ray, "init", partial(ray.init, num_gpus=2))
    jobs = make_jobs(["own.py:Seeing"], seeds=(1, 2, 3, 4), base={"epochs": 1})
    assert "CUDA_VISIBLE_DEVICES" not in os.environ  # planning has chosen no GPU; Ray would not take more than that one
    jobs = [replace(job, settings={**job.settings, "embedding_size": 8, "together": 3}) for job in jobs]
    costs, ended = CostBook(jobs, Path("out")), {}
    needed = {"memory_mb": 400.0, "gpu_mb": 2500.0, "gpu_total_mb": 8192.0}
    costs.add_probe(jobs[0], {"seconds_per_epoch": 1.0, "epochs": 1, **needed})
    with connect_ray(resources := choose_resources(parallel=3)) as ray:
        capacity = measure_capacity(ray, resources)
        assert (capacity.gpus, capacity.parallel) == (2, 3) and costs.gpu_share(jobs[0]) == 0.46
        runner.run_jobs(jobs[:3], costs, resources, capacity, ended.__setitem__)
        runner.run_jobs(jobs[3:], costs, choose_resources(gpus=0), capacity, ended.__setitem__)
    assert all(job.finished for job in jobs), ended
    seen = [json.loads((job.folder / "seen.json").read_text()) for job in jobs]
    assert sorted(one["gpus"] for one in seen[:3]) in (["0", "0", "1"], ["0", "1", "1"])
    assert [one["use_gpu"] for one in seen] == [True] * 3 + [False] and seen[3]["gpus"] is None


# The command ---------------------------------------------------------------------------------------------------------


def compare(*arguments):
    """Start the command like a user."""
    settings = [f"--{key}={value}" for key, value in (SMALL | {"epochs": 6}).items()]
    command = [sys.executable, "-m", "recbole_samrec", "compare", "--datasets=tiny", "--out=out", *settings]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process):
    """Wait for the command, and return its output."""
    try:
        return process.communicate(timeout=600)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"it did not end: {process.communicate()[0]}")


@pytest.mark.ray
@pytest.mark.slow
def test_compare_resumes_after_ctrl_c(data):
    """Stop the command when one run is finished; finished runs are not touched again, and the results are the same.

    The test of ``tune`` kills it, through the same :func:`recbole_samrec.experiments.ray_tuner.fit`.
    """
    process = compare("--models=SASRec", "--seeds=1,2", "--parallel=1")
    finished = []
    deadline = time.monotonic() + 300
    while not finished and process.poll() is None and time.monotonic() < deadline:
        finished = list(Path("out/tiny").glob("*/result.json"))
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = ended(process)
    assert process.returncode == 130 and "stopped; resume with: python -m" in said, said
    assert finished and len(list(Path("out/tiny").glob("*/result.json"))) < 2
    before = {file: file.stat().st_mtime_ns for file in Path("out/tiny").glob("*/result.json")}

    process = compare("--models=SASRec,Pop+SAM", "--seeds=1,2")
    said = ended(process)
    assert process.returncode == 3, said  # an entry could not be trained
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert "sam_rho cannot be used with Pop" in said
    jobs = make_jobs(["SASRec"], seeds=(1, 2), epochs=6)
    assert all(job.finished for job in jobs)
    for suffix in ("md", "csv", "tex", "png", "pdf"):
        assert Path(f"out/tiny.{suffix}").stat().st_size > 0
    table = Path("out/tiny.md").read_text()
    assert "| SASRec |" in table and "Pop+SAM" in table

    alone = make_jobs(["SASRec"], seeds=(1, 2), epochs=6, out="alone")
    for job, single in zip(jobs, alone, strict=True):
        result = json.loads((job.folder / "result.json").read_text())
        assert select_figures(worker.train_job(single, ignore)) == select_figures(result)


@pytest.mark.ray
@pytest.mark.slow
def test_compare_runs_on_the_computers_of_a_cluster(data):
    """Two nodes with one core each, whose processes cannot import this package from the disk."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        process = compare("--models=SASRec", "--seeds=1,2", f"--address={cluster.address}")
        said = ended(process)
    finally:
        cluster.shutdown()
    assert process.returncode == 0, said
    assert all(job.finished for job in make_jobs(["SASRec"], seeds=(1, 2), epochs=6))
