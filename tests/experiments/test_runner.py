"""Runs of a comparison: carried out, continued after kill -9, probed, read back, and what happens when one fails."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from rich.console import Console

from recbole_samrec.data.find import find_dataset
from recbole_samrec.experiments import runner, worker
from recbole_samrec.experiments.entries import read_rows
from recbole_samrec.experiments.estimate import Costs, seconds_left
from recbole_samrec.experiments.jobs import plan, with_other_seeds
from recbole_samrec.experiments.progress import show_plan
from recbole_samrec.experiments.ray_cluster import Resources, run_all
from recbole_samrec.experiments.results import finished_runs, read_record
from recbole_samrec.quick_start.context import data_hash
from recbole_samrec.utils.errors import DataError
from tests.helpers.command import main
from tests.helpers.paths import ROOT
from tests.helpers.records import write_record
from tests.helpers.tiny import random_events, write_events, write_kinds

SMALL = {
    "hidden_size": 8,
    "inner_size": 8,
    "n_layers": 1,
    "MAX_ITEM_LIST_LENGTH": 6,
    "train_batch_size": 64,
    "epochs": 3,
}


@pytest.fixture
def data(own_folder):
    """A data set in the working folder."""
    write_events("dataset", "tiny", random_events(users=30, items=25))
    return own_folder


def jobs_of(names, seeds=(1,), out="out", fractions=(1.0,), **given):
    find_dataset("tiny", Path("dataset"))
    sha256 = data_hash({"data_path": "dataset/tiny", "dataset": "tiny", "benchmark_filename": None})
    return plan(read_rows(names), {"tiny": sha256}, seeds, fractions, Path(out), given=SMALL | given)


def silent(report):
    """Nobody listens."""


def figures(record):
    """What may not differ between two runs of the same settings."""
    return {key: record[key] for key in ("valid", "test", "best_epoch", "epochs_run", "parameters")}


def test_a_run_leaves_its_record_and_is_finished(data):
    (job,) = jobs_of(["SAMRec"])
    assert not job.finished
    said = []
    result = worker.carry_out(job, 1, said.append)
    assert job.finished and result["test"] and said[-1][:3] == (False, 3, 3)
    names = {path.name for path in job.folder.iterdir()}
    assert {"result.json", "ranks.npz", "best.pth", "job.json"} <= names and "last.pth" not in names
    assert jobs_of(["SAMRec"])[0].folder == job.folder  # found again
    before = (job.folder / "result.json").stat().st_mtime_ns
    assert worker.carry_out(job, 1, silent) == json.loads((job.folder / "result.json").read_text())
    assert (job.folder / "result.json").stat().st_mtime_ns == before


def test_a_run_that_cannot_be_carried_out_says_why(data):
    _, job = jobs_of(["SAMRec", "Pop+SAM"])
    assert "sam_rho cannot be used with Pop" in worker.carry_out(job, 1, silent)["failed"]
    assert not job.finished and "sam_rho cannot be used with Pop" in (job.folder / worker.FAILURE).read_text()


def test_two_processes_do_not_train_the_same_run(data):
    (job,) = jobs_of(["SAMRec"])
    job.folder.mkdir(parents=True)
    with FileLock(job.folder / worker.LOCK):
        assert "another process is at work there" in worker.carry_out(job, 1, silent)["failed"]
    assert worker.carry_out(job, 1, silent)["test"]
    assert not (job.folder / worker.FAILURE).exists()


def test_a_probe_leaves_nothing_and_knows_the_epochs(data, monkeypatch):
    monkeypatch.setattr(worker, "PROBED_SECONDS", 0.0)
    (job,) = jobs_of(["SAMRec"], epochs=7)
    cost = worker.probe(job, 1)
    assert cost["epochs"] == 7 and cost["seconds_per_epoch"] > 0 and cost["memory_mb"] > 50
    assert not Path("out").exists()
    _, counted, refused = jobs_of(["SAMRec", "Pop", "Pop+SAM"])
    assert worker.probe(counted, 1)["seconds_per_epoch"] > 0
    assert "sam_rho" in worker.probe(refused, 1)["failed"]


def test_pre_training_is_probed_told_and_counted_on_its_own(data, monkeypatch):
    monkeypatch.setattr(worker, "PROBED_SECONDS", 0.0)
    write_kinds("dataset/tiny", items=25)
    given = {"pretrain_epochs": 5, "pretrain_batch_size": 4, "train_batch_size": 16}
    (job,) = jobs_of(["S3Rec"], **given)
    cost = worker.probe(job, 1)
    assert (cost["epochs"], cost["pretrain_epochs"]) == (3, 5) and cost["pretrain_seconds"] > 0
    assert not Path("out").exists()
    costs, said, told = Costs([job], Path("out")), [], io.StringIO()
    costs.probed(job, cost | {"seconds_per_epoch": 10.0, "pretrain_seconds": 20.0})
    assert costs.seconds(job) == 5 * 20 + 3 * 10
    show_plan(Console(file=told, width=100), [job], costs)
    assert "S3Rec on tiny: each run begins with 5 epochs of pre-training, 20.0 s each" in told.getvalue()
    assert " 3/3 " in told.getvalue() and "0:02:10" in told.getvalue()

    monkeypatch.setattr(worker.time, "monotonic", iter(range(0, 10**6, 2)).__next__)  # each step is told
    record = worker.carry_out(job, 1, said.append)
    assert sorted({(one.pretrains, one.epochs) for one in said}) == [(False, 3), (True, 5)]
    shares = [costs.share(job, one) for one in said]
    assert shares == sorted(shares) and shares[-1] == 1 and 100 / 130 in shares
    costs.ended(job, record)
    ended, before = costs.of(job), record["pretraining"]
    assert (ended.pretrain_epochs, ended.pretrain_seconds) == (5, before["seconds_per_epoch"])
    assert 3 * ended.seconds_per_epoch == pytest.approx(record["seconds_total"] - before["seconds"])
    assert costs.seconds(job) == pytest.approx(record["seconds_total"])
    costs.ended(job, record | {"seconds_total": 0.9 * before["seconds"]})  # its weights lay there already
    assert costs.of(job).seconds_per_epoch == pytest.approx(0.3 * before["seconds"])
    costs.ended(job, record | {"pretraining": before | {"reused": True}})  # they were another run's
    assert costs.of(job).seconds_per_epoch == pytest.approx(record["seconds_total"] / 3)


def test_costs_come_from_probes_until_a_run_has_ended(data):
    jobs = jobs_of(["SAMRec", "Pop"], seeds=(1, 2))
    costs = Costs(jobs, Path("out"))
    assert costs.unknown(jobs) == jobs[:2]
    costs.probed(jobs[0], {"seconds_per_epoch": 2.0, "epochs": 300, "memory_mb": 100.0})
    assert Costs(jobs, Path("out")).seconds(jobs[2]) == 2.0 * 40  # remembered
    assert costs.unknown(jobs) == [jobs[1]]
    record = {"epochs_run": 10, "seconds_total": 50.0, "peak_memory_mb": 200.0, "config": {"epochs": 300}}
    costs.ended(jobs[0], record)
    assert costs.seconds(jobs[2]) == 50.0 and costs.memory_mb(jobs[2]) == 260.0
    assert seconds_left([jobs[0], jobs[2]], costs, lambda job: 0.0, parallel=2) == 50.0
    assert seconds_left([jobs[0], jobs[2]], costs, lambda job: 0.5, parallel=1) == 50.0
    other = jobs_of(["SAMRec"], train_batch_size=32)
    assert Costs(other, Path("out")).of(other[0]) is None  # a probe of other settings


def test_costs_come_from_finished_runs_of_seeds_that_are_not_named_too(data):
    (one,) = jobs_of(["SAMRec"], seeds=(1,), stopping_step=1)
    ended = worker.carry_out(one, 1, silent)["epochs_run"]
    (other,), (wide,) = (jobs_of(["SAMRec"], seeds=(2,), stopping_step=step) for step in (1, 2))
    costs = Costs([other], Path("out"))
    assert not costs.assumed(other) and costs.epochs(other) == ended and not Costs([wide], Path("out")).of(wide)
    assert list(with_other_seeds(other)) == [one.folder] and not list(with_other_seeds(wide))


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
def test_the_epochs_that_are_expected_leave_early_stopping_its_time(data, settings, most, expected, said):
    (job,) = jobs_of(["SAMRec"], **settings)
    costs, told = Costs([job], Path("out")), io.StringIO()
    costs.probed(job, {"seconds_per_epoch": 1.0, "epochs": most, "memory_mb": 100.0})
    assert costs.epochs(job) == expected
    show_plan(Console(file=told, width=100), [job], costs)
    assert f" {said} " in told.getvalue() and ("taken to be its best epoch" in told.getvalue()) == said.startswith("~")
    costs.ended(job, {"epochs_run": 17, "seconds_total": 17.0, "peak_memory_mb": 1.0, "config": {"epochs": most}})
    assert costs.epochs(job) == 17 and not costs.assumed(job)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"SAMRec | tiny | 1": %s}'])
@pytest.mark.parametrize("entry", ["[]", '{"cost": {}}', '{"cost": [], "settings": {}}', '{"left_out": 3}'])
def test_costs_that_cannot_be_read_are_estimated_again(data, content, entry):
    (job,) = jobs_of(["SAMRec"])
    Path("out").mkdir()
    Path("out/costs.json").write_text(content.replace("%s", entry))
    costs = Costs([job], Path("out"))
    assert costs.unknown([job]) == [job] and costs.reason(job) in ("", "3")
    costs.probed(job, {"seconds_per_epoch": 2.0, "epochs": 300, "memory_mb": 100.0})
    assert Costs([job], Path("out")).of(job).epochs == 300


def test_rows_that_take_too_long_are_left_out_and_say_how_to_add_them(data, monkeypatch):
    jobs = jobs_of(["SAMRec", "GRU4Rec"], seeds=(1, 2))
    costs, started = Costs(jobs, Path("out")), []
    for job, seconds in zip(jobs[:2], (1000.0, 1.0), strict=True):
        costs.probed(job, {"seconds_per_epoch": seconds, "epochs": 300, "memory_mb": 100.0})
    machine = SimpleNamespace(cluster_resources=lambda: {"CPU": 2})
    monkeypatch.setattr(runner, "cluster", lambda resources: nullcontext(machine))
    monkeypatch.setattr(runner, "run_all", lambda ray, todo, *more, **options: started.extend(todo))
    told = io.StringIO()
    runner.train_all(jobs, costs, Resources(), Console(file=told), limit_hours=1, command="compare --out out")
    assert started == jobs[1::2]  # GRU4Rec's: 40 epochs of the other take 11 hours
    shares = jobs_of(["SAMRec"], fractions=[0.5, 1.0], out="shares")
    of_shares = Costs(shares, Path("shares"))
    for job in shares:
        of_shares.probed(job, {"seconds_per_epoch": 1000.0, "epochs": 300, "memory_mb": 100.0})
    runner.train_all(shares, of_shares, Resources(), Console(file=io.StringIO()), limit_hours=1, command="compare")
    assert ["add it on a faster one: compare" in of_shares.reason(job) for job in shares] == [False, True]
    for reason in (costs.reason(jobs[0]), Costs(jobs, Path("out")).reason(jobs[2])):  # also when it is asked later
        assert "expected to take 11:06:40" in reason and reason.endswith("add it on a faster one: compare --out out")
    assert "left out: SAMRec on tiny: a run is expected" in told.getvalue()
    runner.train_all(jobs, costs, Resources(), Console(file=told))
    assert started[2:] == jobs and not costs.reason(jobs[0])


def test_rows_that_ranked_different_items_are_not_compared(data):
    one, other = jobs_of(["SAMRec"]) + jobs_of(["SASRec"], user_inter_num_interval="[8,inf)")
    for job in (one, other):
        worker.carry_out(job, 1, silent)
    with pytest.raises(DataError, match="ranked different test items"):
        finished_runs([one, other])


def test_rows_that_ranked_among_other_items_are_not_compared(data):
    lines = ["item_id:token\tclass:token_seq", *(f"i{i}\tc" for i in range(40))]  # some of which nobody had
    Path("dataset/tiny/tiny.item").write_text("\n".join(lines) + "\n")
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]}
    one, other = jobs_of(["SAMRec"]) + jobs_of(["SASRec"], load_col=columns)
    for job in (one, other):
        worker.carry_out(job, 1, silent)
    with pytest.raises(DataError, match="ranked different candidates"):
        finished_runs([one, other])


def test_a_run_whose_checkpoints_cannot_be_read_begins_anew(data):
    (job,) = jobs_of(["SAMRec"])
    job.folder.mkdir(parents=True)
    for name in ("last.pth", "best.pth"):
        (job.folder / name).write_bytes(b"nothing")
    assert worker.carry_out(job, 1, silent)["test"] and job.finished


def test_a_model_of_the_users_own_is_a_row(data):
    Path("own.py").write_text(
        "from recbole.model.sequential_recommender.gru4rec import GRU4Rec\n\n\nclass Mine(GRU4Rec):\n    pass\n"
    )
    of_gru4rec = {"loss_type": "CE", "num_layers": 1, "embedding_size": 8, "dropout_prob": 0.1}
    mine, with_sam = jobs_of(["SAMRec", "own.py:Mine", "own.py:Mine+SAM"], **of_gru4rec)[1:]
    assert (mine.row, with_sam.row) == ("Mine", "Mine+SAM") and mine.source == with_sam.source == "own.py:Mine"
    assert worker.carry_out(with_sam, 1, silent)["test"]


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
def test_a_damaged_run_is_listed_and_trained_again_when_its_file_is_removed(data, name, damage):
    jobs = jobs_of(["SASRec", "GRU4Rec"])
    wanted = [figures(worker.carry_out(job, 1, silent)) for job in jobs]
    file = jobs[0].folder / name
    file.write_bytes(damage(file.read_bytes()))
    said = main(*COMPARE, "--tables")
    assert said.status == 3, said.err
    remedy = f"remove it, and compare trains the run again: rm {file}"
    for words in (said.out, Path("out/tiny.md").read_text()):
        assert f"SASRec: {file}: " in " ".join(words.split()) and remedy in " ".join(words.split())
    assert "| GRU4Rec | 1 |" in Path("out/tiny.md").read_text()  # the table of the others

    file.unlink()
    (again,) = (job for job in jobs_of(["SASRec", "GRU4Rec"]) if not job.finished)
    assert again.folder == jobs[0].folder and figures(worker.carry_out(again, 1, silent)) == wanted[0]
    assert main(*COMPARE, "--tables").status == 0


def test_a_record_is_read_whole_or_not_at_all(data):
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


def test_a_folder_that_cannot_be_written_is_said_before_anything_starts(data):
    Path("taken").write_text("")
    for out in ("taken", "taken/below"):
        said = main(*COMPARE, f"--out={out}")
        assert said.status == 2 and f"--out={out}: the folder cannot be written" in " ".join(said.err.split())


@pytest.mark.parametrize("hours", ["-1", "0", "nan"])
def test_a_limit_that_is_no_time_is_refused(data, hours):
    said = main(*COMPARE, f"--limit_hours={hours}")
    assert said.status == 2 and f"--limit_hours={hours}: must be a number above 0" in " ".join(said.err.split())
    assert not Path("out").exists()


class LosingRay:
    """Stands in for Ray: processes die as they are told, and the one that holds the board before any other."""

    RayError = type("RayError", (Exception,), {})
    OutOfMemoryError = type("OutOfMemoryError", (RayError,), {})
    RayTaskError = type("RayTaskError", (RayError,), {"cause": OSError("no such disk")})

    def __init__(self, outcomes):
        self.outcomes, self.started, self.max_retries = outcomes, [], None
        self.exceptions = self
        self.waited = 0

    def nodes(self):
        return [{"Resources": {"memory": 2**40}}]

    def remote(self, **options):
        self.max_retries = options.get("max_retries")
        board = SimpleNamespace(reports=SimpleNamespace(remote=lambda: "board"))
        task = SimpleNamespace(remote=self.start)
        return lambda what: SimpleNamespace(remote=lambda: board, options=lambda **options: task)

    def start(self, job, *more):
        self.started.append(job.row)
        return len(self.started) - 1

    def wait(self, references, **options):
        self.waited += 1
        return references[-1:] if self.waited == 1 else references[:1], []

    def get(self, reference):
        outcome = self.OutOfMemoryError() if reference == "board" else self.outcomes[self.started[reference]].pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome, {}


def test_a_run_that_is_killed_for_want_of_memory_is_tried_twice(data, monkeypatch):
    monkeypatch.setattr("recbole_samrec.experiments.ray_cluster.POLL_SECONDS", 0)
    dies, lives, fails = jobs_of(["SAMRec", "SASRec", "Pop"])
    killed, broken = LosingRay.OutOfMemoryError(), LosingRay.RayTaskError()
    ray = LosingRay({"SAMRec": [killed, killed], "SASRec": [killed, {"test": 1}], "Pop": [broken]})
    ended = {}
    run_all(ray, [dies, lives, fails], Resources(), lambda job: 1.0, done=ended.__setitem__)
    assert ray.max_retries == 0  # Ray itself would go on for ever
    assert "lost twice, most likely for want of memory" in ended[dies]["failed"] and ended[lives] == {"test": 1}
    assert "OSError: no such disk" in ended[fails]["failed"]
    assert ray.started == ["SAMRec", "SASRec", "Pop", "SAMRec", "SASRec"]


# With a real Ray -----------------------------------------------------------------------------------------------------


def compare(*arguments):
    """Start the command as a user does."""
    settings = [f"--{key}={value}" for key, value in (SMALL | {"epochs": 6}).items()]
    command = [sys.executable, "-m", "recbole_samrec", "compare", "--datasets=tiny", "--out=out", *settings]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process):
    """Wait for the command, and give back what it printed."""
    try:
        return process.communicate(timeout=600)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"it did not end: {process.communicate()[0]}")


@pytest.mark.ray
def test_a_killed_comparison_goes_on_where_it_stopped(data):
    """Kill -9 the command when one run is finished; no finished run is touched again, and the end is the same."""
    rows = "--models=SASRec,GRU4Rec,Pop+SAM"
    process = compare(rows, "--seeds=1,2", "--parallel=1")
    finished = []
    deadline = time.monotonic() + 300
    while not finished and process.poll() is None and time.monotonic() < deadline:
        finished = list(Path("out/tiny").glob("*/result.json"))
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert finished and len(list(Path("out/tiny").glob("*/result.json"))) < 4
    before = {file: file.stat().st_mtime_ns for file in Path("out/tiny").glob("*/result.json")}

    process = compare(rows, "--seeds=1,2")
    said = ended(process)
    assert process.returncode == 3, said  # a row could not be trained
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert "sam_rho cannot be used with Pop" in said
    jobs = jobs_of(["SASRec", "GRU4Rec"], seeds=(1, 2), epochs=6)
    assert all(job.finished for job in jobs)
    for suffix in ("md", "csv", "tex", "png", "pdf"):
        assert Path(f"out/tiny.{suffix}").stat().st_size > 0
    table = Path("out/tiny.md").read_text()
    assert "| SASRec |" in table and "| GRU4Rec |" in table and "Pop+SAM" in table

    alone = jobs_of(["SASRec", "GRU4Rec"], seeds=(1, 2), epochs=6, out="alone")
    for job, single in zip(jobs, alone, strict=True):
        result = json.loads((job.folder / "result.json").read_text())
        assert figures(worker.carry_out(single, 1, silent)) == figures(result)


@pytest.mark.slow
@pytest.mark.ray
def test_a_comparison_runs_on_the_computers_of_a_cluster(data):
    """Two nodes of one core each, in whose processes this package is not to be found."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        process = compare("--models=SASRec,GRU4Rec", "--seeds=1", f"--address={cluster.address}")
        said = ended(process)
    finally:
        cluster.shutdown()
    assert process.returncode == 0, said
    assert all(job.finished for job in jobs_of(["SASRec", "GRU4Rec"], seeds=[2020], epochs=6))


@pytest.mark.ray
def test_an_address_where_nothing_listens_is_said_at_once(data):
    said = main("compare", "--datasets=tiny", "--models=Pop", "--address=127.0.0.1:1")
    assert said.status == 2 and "--address=127.0.0.1:1: nothing answers there" in " ".join(said.err.split())
