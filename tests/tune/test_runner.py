"""Searches with a real Ray on tiny data: what they find, choose by, stop, survive and leave."""

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from recbole_samrec.experiments.ray_cluster import Resources, cluster
from recbole_samrec.tune import objective, runner, search, strategies
from recbole_samrec.tune.search_spec import design, recall, store
from recbole_samrec.tune.spaces import space_of
from recbole_samrec.tune.strategies import Strategy
from recbole_samrec.tune.trial_log import Entry, Journal
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.command import main, succeed
from tests.helpers.paths import ROOT
from tests.helpers.tiny import cyclic, write_events

SMALL = {
    "hidden_size": 8,
    "inner_size": 8,
    "n_layers": 1,
    "MAX_ITEM_LIST_LENGTH": 6,
    "train_batch_size": 64,  # what follows is known to every model
    "topk": [5],
    "valid_metric": "NDCG@5",
    "epochs": 4,
}
PLANTED = '''
import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType

class Planted(SequentialRecommender):
    """Puts one item before all others: the one that is right in validation, or the one that is right in the test."""

    input_type = InputType.POINTWISE

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.favourite = dataset.token2id(dataset.iid_field, config["favourite"])

    def calculate_loss(self, interaction):
        return self.weight**2

    def full_sort_predict(self, interaction):
        scores = torch.zeros(len(interaction), self.n_items)
        scores[:, self.favourite] = 1
        return scores
'''

FAILING = PLANTED.replace("Planted", "Stumbling").replace(
    'self.favourite = dataset.token2id(dataset.iid_field, config["favourite"])',
    'self.favourite, self.fails, self.steps = 1, config["fails"], 0',
).replace("        return self.weight**2", '''
        self.steps += 1
        if self.fails and self.steps > 5:
            raise ValueError("it was planted")
        return self.weight**2''')  # fmt: skip


@pytest.fixture(scope="module")
def machine():
    """One Ray for the searches of this file, as a search would start it."""
    with cluster(Resources(parallel=2)) as ray:
        yield ray


@pytest.fixture
def ray(machine, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(runner, "cluster", lambda resources, store_mb: contextlib.nullcontext(machine))
    return machine


@pytest.fixture
def data(own_folder):
    """Users who go round a circle of items."""
    write_events("dataset", "tiny", cyclic(users=40, items=12))
    return own_folder


def settings(**more):
    return [f"--{key}={value}" for key, value in (SMALL | more).items()]


# What a search finds and leaves -------------------------------------------------------------------------------------


@pytest.mark.ray
def test_the_best_trial_of_a_known_space_is_found_and_trains_again_alike(ray, data):
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
    assert said.status == 2 and "it holds a search already" in said.err
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*.pth")}
    succeed("tune", f"--resume={out}")  # there is nothing left to do
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*.pth")} == before


@pytest.mark.ray
def test_the_choice_is_by_validation_where_the_test_says_otherwise(ray, own_folder):
    """All users end with v and then t; a model that always says t is right in the test only."""
    Path("planted.py").write_text(PLANTED)
    events = [(f"u{u}", item, 10 * u + n) for u in range(8) for n, item in enumerate(["a", "b", f"c{u % 3}", "v", "t"])]
    write_events("dataset", "tiny", events)
    space = {"favourite": ["t", "v"]}
    given = {"topk": [1], "valid_metric": "Hit@1", "epochs": 1, "train_neg_sample_args": None, "weight_decay": 0}
    strategy = Strategy(search="grid", scheduler="none")
    trials = search("planted.py:Planted", "tiny", space, trials=2, out="out", strategy=strategy, **given)
    assert list(trials["score"]) == [0.0, 1.0]
    assert trials.attrs["settings"] == {"favourite": "v"}
    assert trials.attrs["scores"]["valid"]["hr@1"] == 1.0 and trials.attrs["scores"]["test"]["hr@1"] == 0.0


@pytest.mark.ray
def test_asha_stops_what_is_behind(ray, data):
    space = {"learning_rate": [0.03, 0.000001, 0.000002, 0.000003]}
    strategy, given = Strategy(search="grid", grace=2), SMALL | {"epochs": 12, "stopping_step": 12}
    trials = search("SASRec", "tiny", space, trials=4, out="out", strategy=strategy, **given)
    assert trials.attrs["settings"] == {"learning_rate": 0.03}
    stopped = trials[trials["status"] == "stopped early"]
    assert len(stopped) >= 2 and (stopped["epochs"] < 12).all() and trials["status"][0] == "finished"
    assert (trials["epochs"][trials["status"] == "finished"] == 12).all()


@pytest.mark.ray
def test_a_trial_that_fails_does_not_end_the_search(ray, data):
    space = {"n_heads": [3, 2]}  # eight features cannot be shared by three heads
    strategy = Strategy(search="grid")
    trials = search("SAMRec", "tiny", space, trials=2, out="out", strategy=strategy, retries=0, **SMALL)
    assert list(trials["status"]) == ["failed", "finished"] and trials.attrs["settings"] == {"n_heads": 2}
    assert "n_heads" in trials["reason"][0] and not trials["reason"][1] and math.isnan(trials["score"][0])
    assert "n_heads" in Path("out/search.html").read_text()


@pytest.mark.ray
def test_a_trial_is_chosen_by_the_mean_of_its_seeds(ray, data):
    strategy = Strategy(search="grid", scheduler="asha", grace=2)
    trials = search(
        "SASRec", "tiny", {"learning_rate": [0.01]}, trials=1, out="out", strategy=strategy, seeds=(1, 2), **SMALL
    )
    scores = []
    for seed in (1, 2):
        record = json.loads(Path(f"out/trials/000/{seed}/result.json").read_text())
        assert record["seed"] == seed and record["epochs_run"] == 4
        scores.append(record["valid"]["ndcg@5"])
    assert scores[0] != scores[1] and trials["score"][0] == sum(scores) / 2
    assert trials.attrs["scores"]["valid"]["ndcg@5"] == sum(scores) / 2


@pytest.mark.ray
def test_population_based_training_goes_on_from_the_stronger(ray, data, monkeypatch):
    """The weak trial takes over the state of the strong one; they take turns at the one place that there is."""
    monkeypatch.setattr(strategies, "PERTURBED_EVERY", 4)
    space = {"learning_rate": [0.03, 1e-7]}
    strategy, place = Strategy(search="grid", scheduler="pbt"), Resources(threads=2)
    given = SMALL | {"epochs": 8}
    trials = search("SASRec", "tiny", space, trials=2, out="out", strategy=strategy, resources=place, **given)
    assert set(trials["status"]) == {"finished"} and (trials["epochs"] == 8).all()
    assert trials["score"].min() > 0.5  # alone, the weak one stays where it began
    rates = [json.loads(file.read_text())["config"]["learning_rate"] for file in Path("out").rglob("result.json")]
    assert set(rates) <= {0.03, 1e-7} and 0.03 in rates


@pytest.mark.ray
def test_the_objective_works_in_a_tuner_of_ones_own(ray, data):
    from ray import tune

    tuner = tune.Tuner(
        objective("SAMRec", "tiny", **SMALL),
        param_space={"sam_rho": tune.grid_search([0.0, 0.2])},
        run_config=tune.RunConfig(storage_path=str(Path("own").resolve()), verbose=0),
        tune_config=tune.TuneConfig(metric="score", mode="max"),
    )
    results = tuner.fit()
    assert not results.errors and [result.metrics["epoch"] for result in results] == [4, 4]
    with results.get_best_result().checkpoint.as_directory() as folder:
        assert {"last.pth", "best.pth"} <= set(os.listdir(folder))


# What is drawn ------------------------------------------------------------------------------------------------------


def drawn(strategy, mapping):
    """What a search would try."""
    from ray.tune.experiment import Experiment

    found, space = strategies.searcher(strategy, 10), space_of(mapping, "here")
    size = strategy.trials if strategy.search != "grid" else 1
    spec = {"config": strategies.param_space(strategy, space), "num_samples": size}
    found.add_configurations(Experiment("name", run=lambda config: None, **spec))
    return [space.complete(trial.config) for trial in iter(found.next_trial, None)]


def test_the_same_seed_draws_the_same_trials():
    space = {"learning_rate": {"loguniform": [0.001, 0.1]}, "n_layers": [1, 2, 3], "attn_dropout_prob": [0.1, 0.2]}
    first = drawn(Strategy(trials=6), space)
    assert drawn(Strategy(trials=6), space) == first and len({str(one) for one in first}) == 6
    assert drawn(Strategy(trials=6, seed=7), space) != first
    grid = {"n_layers": [1, 2], "n_heads": [1, 2, 4]}
    every = drawn(Strategy(search="grid", trials=None), grid)
    assert sorted(map(str, every)) == sorted(map(str, space_of(grid, "here").grid()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--search=best"], "--search=best: must be one of random, grid, optuna, hyperopt"),
        (["--scheduler=x"], "--scheduler=x: must be one of asha, median, pbt, none"),
        (["--trials=0"], "--trials=0: must be a whole number of at least 1"),
        (["--space=nowhere.yaml"], "--space=nowhere.yaml: there is no such file"),
        (["--search=grid"], "grid needs lists of values"),
        (["--model=SAMRek"], "there is no model or row SAMRek; did you mean SAMRec"),
        (["--model=LINE"], "--model=LINE: it has no search space of its own"),
        (["--seed=3"], "seed belongs to each trial of a search; use --seeds"),
        (["--sam_rho=0.1"], "sam_rho"),
        (["--memory=-1"], "--memory=-1: must be a number above 0"),
        (["--retries=-1"], "--retries=-1: must be a whole number of at least 0"),
        (["--out=afile/x"], "--out=afile/x: the folder cannot be written"),
        (["--space=masked.yaml"], "mask_history"),
        (["--eval_args={'split': {'RS': [0.8, 0.0, 0.2]}, 'order': 'TO'}"], "nothing for validation"),
        (["--scheduler=pbt", "--seeds=2"], "--scheduler=pbt: a trial has one seed"),
        (["--resume"], "--resume: say which search"),
        (["--resume=nowhere"], "--resume=nowhere: there is no search"),
        (["--resume=nowhere", "--trials=3"], "leave --trials out"),
        (["--resume=nowhere", "--epochs=3"], "leave --epochs out"),
        (["--topk=[500]", "--valid_metric=NDCG@500"], "tiny has only 12 items"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(data, monkeypatch, arguments, words):
    monkeypatch.setattr(runner, "cluster", lambda *more: pytest.fail("Ray was started"))
    Path("afile").touch()
    Path("masked.yaml").write_text("mask_history: [True, False]\n")
    ranked = [] if "--topk=[500]" in arguments else ["--topk=[5]", "--valid_metric=NDCG@5"]
    asked = [] if "--resume" in arguments[0] else ["--dataset=tiny", *ranked]
    said = main("tune", *asked, *arguments)
    assert said.status == 2 and words in " ".join(said.err.split())
    assert not Path("runs").exists()


def test_a_search_algorithm_that_is_not_installed_is_said():
    space = space_of({"n_layers": [1, 2]}, "here")
    for name in ("optuna", "hyperopt"):
        with contextlib.suppress(ImportError):
            __import__(name)
            continue
        with pytest.raises(ConfigError, match=f"pip install {name}"):
            Strategy(search=name).check(space, 1)
    with pytest.raises(ConfigError, match="there are 2 combinations, more than --trials=1"):
        Strategy(search="grid", trials=1).check(space, 1)
    with pytest.raises(ConfigError, match="changes learning_rate, sam_rho"):
        Strategy(scheduler="pbt").check(space, 1)


# What a search survives ---------------------------------------------------------------------------------------------


def tune(*arguments):
    """The command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "recbole_samrec", "tune", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def journal(out):
    try:
        return json.loads(Path(out, "progress.json").read_text())["trials"]
    except (OSError, ValueError):
        return {}


def epochs_of(folder):
    """How often each epoch was trained, as the log of a trial tells."""
    text = Path(folder, "run.log").read_text() if Path(folder, "run.log").exists() else ""
    return [int(epoch) for epoch in re.findall(r"epoch (\d+) training", text)]


def wait_for(condition, process, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition(), process.communicate()[0] if process.poll() is not None else "it took too long"


EPOCHS = 30  # of some 60 ms: a trial that is to be stopped must not be over before it is
LONG = {"epochs": EPOCHS, "stopping_step": EPOCHS}


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_search_goes_on_and_repeats_nothing(data, how):
    """Stop the command when one trial has ended and the next is at work."""
    Path("space.yaml").write_text("learning_rate: [0.01, 0.001]\n")
    process = tune(
        "--dataset=tiny", "--space=space.yaml", "--search=grid", "--scheduler=none", "--parallel=1", "--out=out",
        *settings(**LONG),
    )  # fmt: skip
    wait_for(lambda: len(epochs_of("out/trials/001")) > 3, process)
    process.send_signal(how)
    said = process.communicate(timeout=120)[0]
    assert how == signal.SIGKILL or ("go on with: python -m recbole_samrec tune --resume=out" in said), said
    ended = epochs_of("out/trials/000")
    assert ended == list(range(EPOCHS)) and 3 < len(epochs_of("out/trials/001")) < EPOCHS

    process = tune("--resume=out")
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    assert epochs_of("out/trials/000") == ended
    rest = epochs_of("out/trials/001")
    assert sorted(set(rest)) == list(range(EPOCHS)) and len(rest) <= EPOCHS + 1  # that in which it died may be twice
    trials = pd.read_csv("out/trials.csv")
    assert list(trials["status"]) == ["finished"] * 2 and list(trials["epochs"]) == [EPOCHS] * 2

    for number, rate in enumerate((0.01, 0.001)):
        alone = settings(**LONG, learning_rate=rate)
        more = ["--eval_args={'split': {'LS': 'valid_and_test'}, 'order': 'TO', 'mode': 'full', 'group_by': 'user'}"]
        succeed("run", "--dataset=tiny", f"--run_dir=alone{number}", "--repeatable=True", *more, *alone)
        result = json.loads(Path(f"alone{number}/result.json").read_text())
        assert result["valid"]["ndcg@5"] == trials["score"][number]


def test_a_search_is_read_back_as_it_was(data):
    space = {"sam_rho": {"loguniform": [0.01, 1]}, "hidden_dropout_prob": [0.1, 0.2]}
    space["attn_dropout_prob"] = {"same_as": "hidden_dropout_prob"}
    found = design("SAMRec", "tiny", space, Strategy(trials=3, grace=4), [1, 2], Path("out"), given=SMALL)
    store(found)
    assert recall(Path("out")) == found
    Path("out/search.json").write_text("{")
    assert "this is no record of a search" in main("tune", "--resume=out").err


def test_what_failed_or_was_not_trained_with_all_seeds_is_not_chosen(tmp_path):
    def journal(several):
        trials = {
            "000": Entry({}, "finished", 0.5, ended=3.0),
            "001": Entry({}, "failed", 0.9, ended=1.0),
            "002": Entry({}, "stopped early", 0.8, ended=2.0),
            "003": Entry({}, "running", 0.95),
        }
        return Journal(tmp_path / "file.json", several=several, trials=trials)

    assert journal(several=False).best == "002" and journal(several=True).best == "000"


def test_no_rung_lies_at_the_last_epoch():
    space = space_of({"n_layers": [1, 2]}, "here")
    for grace, epochs in ((2, 18), (10, 300), (1, 3), (2, 6)):
        asha = strategies.scheduler(Strategy(grace=grace), space, epochs)
        rungs = [milestone for bracket in asha._brackets for milestone, _ in bracket._rungs]
        assert min(rungs) == grace and max(rungs) < epochs
    assert type(strategies.scheduler(Strategy(grace=3), space, 3)).__name__ == "FIFOScheduler"


def test_what_population_based_training_changes_stays_in_its_bounds():
    within = strategies.Within({"hidden_dropout_prob": (0.1, 0.5)})
    assert within({"hidden_dropout_prob": 0.6, "sam_rho": 3.0}) == {"hidden_dropout_prob": 0.5, "sam_rho": 3.0}


@pytest.mark.ray
def test_ray_listens_on_the_loopback(ray):
    assert [node["NodeManagerAddress"] for node in ray.nodes()] == ["127.0.0.1"]


@pytest.mark.ray
def test_a_search_of_ones_own_model_that_dies_goes_on_and_says_why_it_failed(ray, data):
    """The first trial raises in its second epoch, whatever is done; the other one does not."""
    Path("own.py").write_text(FAILING)
    arguments = ["--model=own.py:Stumbling", "--dataset=tiny", "--search=grid", "--scheduler=none", "--retries=0"]
    Path("space.yaml").write_text("fails: [True, False]\n")
    small = [*settings()[-4:], "--train_neg_sample_args=None"]
    said = succeed("tune", *arguments, "--space=space.yaml", "--out=out", *small)
    trials = pd.read_csv("out/trials.csv")
    assert list(trials["status"]) == ["failed", "finished"]
    assert trials["reason"][0] == "unexpected ValueError: it was planted" in said.out
    assert f"--config_files out/best.yaml --model={Path('own.py').resolve()}:Stumbling" in said.out
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    assert recall(Path("../out")).row == "Stumbling"


@pytest.mark.ray
def test_a_search_whose_data_or_state_changed_is_not_gone_on_with(ray, data):
    space, strategy = {"learning_rate": [0.1, 0.2]}, Strategy(search="grid")
    store(design("SASRec", "tiny", space, strategy, [1], Path("out"), given=SMALL))
    entry = {"drawn": {"learning_rate": 0.1}, "epochs": 3, "score": 0.1}
    Path("out/progress.json").write_text(json.dumps({"seconds": 1.0, "trials": {"000": entry}}))
    said = main("tune", "--resume=out")
    assert said.status == 2 and "Ray Tune's state of this search is gone" in said.err
    with open("dataset/tiny/tiny.inter", "a") as file:
        file.write("u1\ti1\t99999\n")
    said = main("tune", "--resume=out")
    assert said.status == 2 and "tiny has other interactions than the search in out began with" in said.err


@pytest.mark.slow
@pytest.mark.ray
def test_a_trial_goes_on_elsewhere_when_its_computer_is_lost(data):
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
    assert "trial 000 died and is tried again: its process was lost" in said and "twice" not in said
    trained = epochs_of("out/trials/000")
    assert 3 < done < EPOCHS and sorted(set(trained)) == list(range(EPOCHS)) and len(trained) <= EPOCHS + 1
    assert json.loads(Path("out/search.json").read_text())["found"]["statuses"] == {"finished": 1}
