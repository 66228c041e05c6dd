"""Searches with a real Ray: their files, and the interruptions that they survive."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from recbole_samrec.tune.search_spec import plan_search, read_search, write_search
from recbole_samrec.tune.strategies import Strategy
from tests.helpers.command import main, succeed
from tests.helpers.paths import ROOT
from tests.helpers.searches import FAILING, SMALL, settings

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_run_search_finds_the_best_trial(ray, data):
    Path("space.yaml").write_text("learning_rate: [0.000001, 0.03]\nsam_rho: [0.0]\n")
    said = succeed("tune", "--dataset=tiny", "--space=space.yaml", "--search=grid", "--scheduler=none", *settings())
    out = Path("runs/tune/SAMRec-tiny")
    trials = pd.read_csv(out / "trials.csv")
    assert list(trials["learning_rate"]) == [0.000001, 0.03] and list(trials["status"]) == ["finished"] * 2
    assert trials["score"][1] > 2 * trials["score"][0] and list(trials["epochs"]) == [4, 4]
    record = json.loads((out / "search.json").read_text())
    best = record["found"]["best"]
    assert record["complete"] and best["trial"] == 1 and best["valid"]["ndcg@5"] == trials["score"][1]
    assert "Best of SAMRec on tiny: trial 001" in said.out and f"{best['test']['ndcg@5']:.4f}" in said.out
    assert (out / "search.html").stat().st_size > 10_000
    assert not (out / "ray").exists()  # Ray's state holds pickles, and nobody needs it any more
    assert [file.name for file in sorted(out.rglob("*.pth"))] == ["best.pth"]
    assert all(json.loads(file.read_text())["test"] is None for file in out.glob("trials/*/result.json"))

    assert yaml.safe_load((out / "best.yaml").read_text())["learning_rate"] == 0.03
    succeed("run", f"--config_files={out / 'best.yaml'}", "--run_dir=again")
    again = json.loads(Path("again/result.json").read_text())
    assert (again["valid"], again["test"]) == (best["valid"], best["test"])

    said = main("tune", "--dataset=tiny", "--space=space.yaml", "--search=grid", *settings())
    assert said.status == 2 and "it already contains a search" in said.err
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*.pth")}
    succeed("tune", f"--resume={out}")  # there is nothing left to do
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*.pth")} == before


def test_run_search_starts_no_trial_beyond_its_passes(ray, data):
    """Trials of four epochs with SAM take eight passes each, so that the third one exceeds a budget of 18."""
    Path("space.yaml").write_text("learning_rate: {loguniform: [0.001, 0.1]}\n")
    more = ["--scheduler=none", "--parallel=1", "--out=out"]
    said = succeed("tune", "--dataset=tiny", "--space=space.yaml", "--passes=18", *more, *settings(stopping_step=9))
    trials = pd.read_csv("out/trials.csv")
    assert list(trials["passes"]) == [8.0] * 3 and list(trials["status"]) == ["finished"] * 3
    assert trials["learning_rate"].nunique() == 3 and "24 of 18 gradient passes: trial 002" in said.out
    records = [json.loads(file.read_text()) for file in Path("out").glob("trials/*/result.json")]
    assert [record["gradient_passes"] for record in records] == [8] * 3
    record = json.loads(Path("out/search.json").read_text())
    assert record["complete"] and record["strategy"]["passes"] == 18 and record["strategy"]["trials"] is None
    assert "trial 00" in succeed("tune", "--resume=out").out  # there is nothing left to do
    assert len(pd.read_csv("out/trials.csv")) == 3


def tune(*arguments):
    """The command in a separate process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "recbole_samrec", "tune", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def trials_in(out):
    try:
        return json.loads(Path(out, "progress.json").read_text())["trials"]
    except (OSError, ValueError):
        return {}


def epochs_of(folder):
    """List the epochs that a trial has trained, from its log; a repeated epoch occurs twice."""
    text = Path(folder, "run.log").read_text() if Path(folder, "run.log").exists() else ""
    return [int(epoch) for epoch in re.findall(r"epoch (\d+) training", text)]


def wait_for(condition, process, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition(), process.communicate()[0] if process.poll() is not None else "it took too long"


EPOCHS = 30  # of some 60 ms: a trial that is to be stopped must not be over before it is


LONG = {"epochs": EPOCHS, "stopping_step": EPOCHS}


@pytest.fixture
def interrupted(data):
    """Arguments of a search of two trials, which is stopped when one has ended and the next one is running."""
    Path("space.yaml").write_text("learning_rate: [0.01, 0.001]\n")
    search = ["--dataset=tiny", "--space=space.yaml", "--search=grid", "--scheduler=none", "--parallel=1", "--out=out"]
    return search + settings(**LONG)


def is_second_at_work():
    return len(epochs_of("out/trials/001")) > 3


def assert_resumes(resume):
    """Check that a stopped search is resumed: finished trials are kept, the other one continues and ends the same."""
    ended = epochs_of("out/trials/000")
    assert ended == list(range(EPOCHS)) and 3 < len(epochs_of("out/trials/001")) < EPOCHS
    resume()
    assert epochs_of("out/trials/000") == ended
    rest = epochs_of("out/trials/001")
    assert sorted(set(rest)) == list(range(EPOCHS)) and len(rest) <= EPOCHS + 1  # that in which it died may be twice
    trials = pd.read_csv("out/trials.csv")
    assert list(trials["status"]) == ["finished"] * 2 and list(trials["epochs"]) == [EPOCHS] * 2

    assert list(trials["passes"]) == [2 * EPOCHS] * 2
    for number, rate in enumerate((0.01, 0.001)):
        alone = settings(**LONG, learning_rate=rate)
        more = ["--eval_args={'split': {'LS': 'valid_and_test'}, 'order': 'TO', 'mode': 'full', 'group_by': 'user'}"]
        succeed("run", "--dataset=tiny", f"--run_dir=alone{number}", "--repeatable=True", *more, *alone)
        result = json.loads(Path(f"alone{number}/result.json").read_text())
        assert result["valid"]["ndcg@5"] == trials["score"][number]


def test_run_search_resumes_after_a_kill(interrupted):
    process = tune(*interrupted)
    wait_for(is_second_at_work, process)
    process.kill()
    process.communicate(timeout=120)

    def resume():
        process = tune("--resume=out")
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said

    assert_resumes(resume)


def test_run_search_resumes_after_ctrl_c(ray, interrupted):
    """Ray keeps running, as in a notebook."""
    over = threading.Event()

    def interrupt():
        while not is_second_at_work():
            if over.wait(0.02):
                return
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    said = main("tune", *interrupted)
    over.set()
    watcher.join()
    assert said.status == 130 and "resume with: python -m recbole_samrec tune --resume=out" in said.out, said
    assert_resumes(lambda: succeed("tune", "--resume=out"))


def test_connect_ray_listens_on_the_loopback(ray):
    assert [node["NodeManagerAddress"] for node in ray.nodes()] == ["127.0.0.1"]


def test_run_search_reports_why_a_trial_failed(ray, data):
    """The first trial always raises in its second epoch; the other one does not."""
    Path("own.py").write_text(FAILING)
    arguments = ["--model=own.py:Stumbling", "--dataset=tiny", "--search=grid", "--scheduler=none", "--retries=0"]
    Path("space.yaml").write_text("fails: [True, False]\n")
    small = [*settings()[-4:], "--train_neg_sample_args=None"]
    said = succeed("tune", *arguments, "--space=space.yaml", "--out=out", *small)
    trials = pd.read_csv("out/trials.csv")
    assert list(trials["status"]) == ["failed", "finished"]
    assert trials["reason"][0] == "unexpected ValueError: it was planted" in said.out
    assert f"--config_files out/best.yaml --model={Path('own.py').resolve()}:Stumbling" in said.out
    again = succeed("tune", "--resume=out").out
    assert "retrying failed trials: 1" in again and "trial 000 failed: unexpected ValueError" in again
    assert list(pd.read_csv("out/trials.csv")["status"]) == ["failed", "finished"]
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    assert read_search(Path("../out")).entry == "Stumbling"


def test_run_search_rejects_changed_data_or_state(ray, data):
    space, strategy = {"learning_rate": [0.1, 0.2]}, Strategy(search="grid")
    write_search(plan_search("SASRec", "tiny", space, strategy, [1], Path("out"), given=SMALL))
    entry = {"drawn": {"learning_rate": 0.1}, "epochs": 3, "score": 0.1}
    Path("out/progress.json").write_text(json.dumps({"seconds": 1.0, "trials": {"000": entry}}))
    said = main("tune", "--resume=out")
    assert said.status == 2 and "Ray Tune's state of this search is missing or damaged" in said.err
    with open("dataset/tiny/tiny.inter", "a") as file:
        file.write("u1\ti1\t99999\n")
    said = main("tune", "--resume=out")
    assert said.status == 2 and "tiny has changed since the search in out started" in said.err


def test_run_search_moves_trials_of_a_lost_computer(data):
    """Two computers of a cluster; the one that runs a trial past its second report is killed."""
    import ray
    from ray.cluster_utils import Cluster

    ray.shutdown()  # the one of the tests above: two in a process mix up their addresses; so this test is the last
    Path("space.yaml").write_text("learning_rate: [0.01]\n")
    there = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        first = there.add_node(num_cpus=1)
        process = tune(
            "--dataset=tiny", "--space=space.yaml", "--search=grid", "--scheduler=none", "--out=out",
            f"--address={there.address}", *settings(**LONG),
        )  # fmt: skip
        raylet = psutil.Process(first.all_processes["raylet"][0].process.pid)
        wait_for(lambda: len(epochs_of("out/trials/000")) > 3, process)
        workers = raylet.children(recursive=True)  # left alone they live on for a second, enough to end the trial
        for worker in workers:
            worker.suspend()
        there.remove_node(first, allow_graceful=False)
        done = len(epochs_of("out/trials/000"))
        for worker in workers:
            worker.kill()
        there.add_node(num_cpus=1)
        said = process.communicate(timeout=300)[0]
    finally:
        there.shutdown()
    assert process.returncode == 0, said
    assert "trial 000: worker process died" in said and "retrying from its last checkpoint" in said
    trained = epochs_of("out/trials/000")
    assert 3 < done < EPOCHS and sorted(set(trained)) == list(range(EPOCHS)) and len(trained) <= EPOCHS + 1
    assert json.loads(Path("out/search.json").read_text())["found"]["statuses"] == {"finished": 1}
