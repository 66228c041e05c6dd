"""Searches with a real Ray on tiny data: their results, choices and stops."""

import json
import math
import os
import signal
from pathlib import Path

import pytest

from recbole_samrec.tune import objective, resume_search, search, strategies
from recbole_samrec.utils.errors import UserError
from tests.helpers.searches import PLANTED, SMALL
from tests.helpers.tables import ROLES, make_frame
from tests.helpers.tiny import write_events

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_search_chooses_by_validation(ray, own_folder):
    """All users end with v and then t; a model that always predicts t is right only in the test."""
    Path("planted.py").write_text(PLANTED)
    events = [(f"u{u}", item, 10 * u + n) for u in range(8) for n, item in enumerate(["a", "b", f"c{u % 3}", "v", "t"])]
    write_events("dataset", "tiny", events)
    space = {"favourite": ["t", "v"]}
    given = {"topk": [1], "valid_metric": "Hit@1", "epochs": 1, "train_neg_sample_args": None, "weight_decay": 0}
    result = search("planted.py:Planted", "tiny", space, algorithm="grid", scheduler="none", out="out", **given)
    trials = result.trials
    assert list(trials["score"]) == [0.0, 1.0]
    assert result.best == {"favourite": "v"} and (result.trial, result.score) == (1, 1.0)
    assert "best is trial 001 with Hit@1 1.0000" in repr(result) and "<table" in result._repr_html_()
    assert resume_search("out").trials.equals(trials)  # which has ended
    with pytest.raises(UserError, match="it holds a search already"):
        search("planted.py:Planted", "tiny", space, algorithm="grid", out="out", **given)
    assert result.metrics["valid"]["hr@1"] == 1.0 and result.metrics["test"]["hr@1"] == 0.0


def test_search_with_asha_stops_bad_trials(ray, data):
    space = {"learning_rate": [0.03, 0.000001, 0.000002, 0.000003]}
    given = SMALL | {"epochs": 12, "stopping_step": 12}
    result = search("SASRec", "tiny", space, algorithm="grid", grace=2, out="out", **given)
    trials = result.trials
    assert result.best == {"learning_rate": 0.03}
    stopped = trials[trials["status"] == "stopped early"]
    assert len(stopped) >= 2 and (stopped["epochs"] < 12).all() and trials["status"][0] == "finished"
    assert (trials["epochs"][trials["status"] == "finished"] == 12).all()


def test_search_survives_a_failing_trial(ray, data):
    space = {"n_heads": [3, 2]}  # eight features cannot be shared by three heads
    result = search("SAMRec", "tiny", space, algorithm="grid", out="out", retries=0, **SMALL)
    trials = result.trials
    assert list(trials["status"]) == ["failed", "finished"] and result.best == {"n_heads": 2}
    assert "n_heads" in trials["reason"][0] and not trials["reason"][1] and math.isnan(trials["score"][0])
    assert "n_heads" in Path("out/search.html").read_text()


def test_search_averages_seeds(ray, data):
    result = search(
        "SASRec", "tiny", {"learning_rate": [0.01]}, algorithm="grid", grace=2, out="out", seeds=(1, 2), **SMALL
    )
    trials = result.trials
    scores = []
    for seed in (1, 2):
        record = json.loads(Path(f"out/trials/000/{seed}/result.json").read_text())
        assert record["seed"] == seed and record["epochs_run"] == 4
        scores.append(record["valid"]["ndcg@5"])
    assert scores[0] != scores[1] and trials["score"][0] == sum(scores) / 2
    assert result.metrics["valid"]["ndcg@5"] == sum(scores) / 2


def test_search_with_pbt_copies_the_stronger_trial(ray, data, monkeypatch):
    """The weak trial copies the state of the strong one; they alternate, since only one runs at a time."""
    monkeypatch.setattr(strategies, "PERTURBED_EVERY", 4)
    space = {"learning_rate": [0.03, 1e-7]}
    given = SMALL | {"epochs": 8}
    result = search("SASRec", "tiny", space, algorithm="grid", scheduler="pbt", threads=2, out="out", **given)
    trials = result.trials
    assert set(trials["status"]) == {"finished"} and (trials["epochs"] == 8).all()
    assert trials["score"].min() > 0.5  # alone, the weak one stays where it began
    rates = [json.loads(file.read_text())["config"]["learning_rate"] for file in Path("out").rglob("result.json")]
    assert set(rates) <= {0.03, 1e-7} and 0.03 in rates


def test_objective_works_in_another_tuner(ray, data):
    from ray import tune

    tuner = tune.Tuner(
        objective("SAMRec", "tiny", **SMALL),
        param_space={"sam_rho": tune.grid_search([0.0, 0.2])},
        run_config=tune.RunConfig(storage_path=str(Path("own").resolve()), verbose=0),
        tune_config=tune.TuneConfig(metric="score", mode="max"),
    )
    before = signal.getsignal(signal.SIGINT)
    results = tuner.fit()
    signal.signal(signal.SIGINT, before)  # Ray Tune leaves its own
    assert not results.errors and [result.metrics["epoch"] for result in results] == [4, 4]
    with results.get_best_result().checkpoint.as_directory() as folder:
        assert {"last.pth", "best.pth"} <= set(os.listdir(folder))


def test_search_takes_a_frame(ray, own_folder):
    space, given = {"learning_rate": [0.03, 0.001]}, {**SMALL, "epochs": 2}
    result = search("SASRec", make_frame(users=30, items=25), space, **ROLES, algorithm="grid", out="out", **given)
    assert len(result.trials) == 2 and result.complete and set(result.metrics) == {"valid", "test"}
    assert resume_search("out").trials.equals(result.trials)
