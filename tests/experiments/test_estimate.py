"""Costs of entries: from probes, from finished runs, and expected costs."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from recbole_samrec.experiments import worker
from recbole_samrec.experiments.estimate import CostBook, seconds_left
from recbole_samrec.experiments.job_folders import find_other_seeds
from recbole_samrec.experiments.progress import print_plan
from tests.helpers.jobs import ignore, make_jobs


def test_cost_book_uses_probes_until_a_run_ends(data):
    jobs = make_jobs(["SAMRec", "Pop"], seeds=(1, 2))
    costs = CostBook(jobs, Path("out"))
    assert costs.select_unknown(jobs) == jobs[:2]
    costs.add_probe(jobs[0], {"seconds_per_epoch": 2.0, "epochs": 300, "memory_mb": 100.0})
    assert CostBook(jobs, Path("out")).expected_seconds(jobs[2]) == 2.0 * 40  # remembered
    assert costs.select_unknown(jobs) == [jobs[1]]
    record = {"epochs_run": 10, "seconds_total": 50.0, "peak_memory_mb": 200.0, "config": {"epochs": 300}}
    costs.add_run(jobs[0], record)
    assert costs.expected_seconds(jobs[2]) == 50.0 and costs.memory_mb(jobs[2]) == 260.0
    assert costs.seconds_left([jobs[0], jobs[2]], lambda job: 0.0, parallel=2) == 50.0
    assert costs.seconds_left([jobs[0], jobs[2]], lambda job: 0.5, parallel=1) == 50.0
    other = make_jobs(["SAMRec"], train_batch_size=32)
    assert CostBook(other, Path("out")).find(other[0]) is None  # a probe of other settings


def test_cost_book_uses_runs_of_other_seeds(data):
    (one,) = make_jobs(["SAMRec"], seeds=(1,), stopping_step=1)
    ended = worker.train_job(one, ignore)["epochs_run"]
    (other,), (wide,) = (make_jobs(["SAMRec"], seeds=(2,), stopping_step=step) for step in (1, 2))
    costs = CostBook([other], Path("out"))
    assert not costs.is_assumed(other) and costs.expected_epochs(other) == ended
    assert not CostBook([wide], Path("out")).find(wide)
    assert list(find_other_seeds(other)) == [one.folder] and not list(find_other_seeds(wide))


@pytest.mark.parametrize(
    ("settings", "most", "expected", "said"),
    [
        ({}, 300, 40, "~40/300"),
        ({"stopping_step": 50}, 300, 80, "~80/300"),
        ({"stopping_step": 500}, 300, 300, "300/300"),
        ({"stopping_step": 10, "eval_step": 5}, 300, 80, "~80/300"),
        ({"eval_step": 0}, 300, 300, "300/300"),  # never validated, never stopped
        ({}, 3, 3, "3/3"),
    ],
)
def test_expected_epochs_include_the_patience(data, settings, most, expected, said):
    (job,) = make_jobs(["SAMRec"], **settings)
    costs, told = CostBook([job], Path("out")), io.StringIO()
    costs.add_probe(job, {"seconds_per_epoch": 1.0, "epochs": most, "memory_mb": 100.0})
    assert costs.expected_epochs(job) == expected
    print_plan(Console(file=told, width=100), [job], costs)
    assert f" {said} " in told.getvalue() and ("assuming best epoch" in told.getvalue()) == said.startswith("~")
    costs.add_run(job, {"epochs_run": 17, "seconds_total": 17.0, "peak_memory_mb": 1.0, "config": {"epochs": most}})
    assert costs.expected_epochs(job) == 17 and not costs.is_assumed(job)


def test_cost_book_keeps_host_and_device_memory_apart(data):
    jobs = make_jobs(["SAMRec"], seeds=(1, 2))
    costs = CostBook(jobs, Path("out"))
    costs.add_probe(jobs[0], {"seconds_per_epoch": 2.0, "epochs": 300, "memory_mb": 100.0})
    assert costs.gpu_share(jobs[0]) is None
    assert costs.select_unknown(jobs, lambda job: True) == jobs[:1]  # it was probed on a CPU
    on_gpu = {"memory_mb": 3000.0, "gpu_mb": 1000.0, "gpu_total_mb": 8192.0}
    costs.add_probe(jobs[0], {"seconds_per_epoch": 2.0, "epochs": 300, **on_gpu})
    assert costs.select_unknown(jobs, lambda job: True) == [] and costs.select_unknown(jobs) == jobs[:1]
    assert costs.gpu_share(jobs[1]) == 0.23  # (1.3 * 1000 + 512) / 8192 is 0.221
    assert CostBook(jobs, Path("out")).gpu_share(jobs[0]) == 0.23
    told = io.StringIO()
    print_plan(Console(file=told, width=120), jobs, costs)
    assert "3.0 GB, GPU 1.0 GB" in told.getvalue()
    told.truncate(0)
    print_plan(Console(file=told, width=70), jobs, costs)
    assert "…" not in told.getvalue()

    record = {"epochs_run": 10, "seconds_total": 50.0, "peak_memory_mb": 200.0, "config": {"epochs": 300}}
    costs.add_run(jobs[0], record | {"peak_device_memory_mb": 10_000.0, "device_memory_mb": 16_384.0})
    assert costs.memory_mb(jobs[1]) == 260.0 and costs.gpu_share(jobs[1]) == 0.83
    costs.add_run(jobs[0], record | {"peak_device_memory_mb": 16_000.0, "device_memory_mb": 16_384.0})
    assert costs.gpu_share(jobs[1]) == 1.0


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"SAMRec | tiny | 1": %s}'])
@pytest.mark.parametrize("entry", ["[]", '{"cost": {}}', '{"cost": [], "settings": {}}', '{"left_out": 3}'])
def test_cost_book_ignores_a_damaged_file(data, content, entry):
    (job,) = make_jobs(["SAMRec"])
    Path("out").mkdir()
    Path("out/costs.json").write_text(content.replace("%s", entry))
    costs = CostBook([job], Path("out"))
    assert costs.select_unknown([job]) == [job] and costs.skip_reason(job) in ("", "3")
    costs.add_probe(job, {"seconds_per_epoch": 2.0, "epochs": 300, "memory_mb": 100.0})
    assert CostBook([job], Path("out")).find(job).epochs == 300


def test_seconds_left_is_that_of_the_longest_or_of_all():
    assert seconds_left([10.0, 2.0, 2.0], parallel=2) == 10.0
    assert seconds_left([4.0, 4.0, 4.0], parallel=2) == 6.0
    assert seconds_left([], parallel=2) == 0.0
