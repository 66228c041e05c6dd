"""The result of a search shows its best trial, and the file of the best settings can be read back."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from recbole_samrec.tune.results import SearchResult, format_best

TRIALS = pd.DataFrame({"trial": [0, 1, 12], "status": ["failed", "finished", "finished"], "score": [None, 0.125, 0.25]})


def make_result(trial=12, complete=True):
    best = {"sam_rho": 0.1} if trial else {}
    return SearchResult("SAMRec on <tiny>", "NDCG@10", Path("out"), TRIALS, trial, best, {}, complete)


def test_search_result__has_the_score_and_file_of_the_best_trial():
    assert make_result().score == 0.25 and make_result(None).score is None
    assert make_result().config_file == Path("out", "best.yaml")


@pytest.mark.parametrize(
    "trial, complete, words",
    [
        (12, True, "3 trials in out; best is trial 012 with NDCG@10 0.2500: {'sam_rho': 0.1}\n"),
        (None, True, "3 trials in out; no trial has a score\n"),
        (None, False, "3 trials in out; not complete\n"),
    ],
)
def test_search_result__is_summarized(trial, complete, words):
    shown = repr(make_result(trial, complete))
    assert shown.startswith(f"SearchResult: SAMRec on <tiny>, {words}") and len(shown.splitlines()) == 5
    assert "SAMRec on &lt;tiny&gt;" in make_result()._repr_html_()


def make_search(**more):
    strategy = SimpleNamespace(search="random", scheduler=more.pop("scheduler", "asha"))
    about = {"title": "SAMRec on tiny", "metric": "NDCG@10", "budget": "20 trials", "seeds": (7,), "source": None}
    return SimpleNamespace(strategy=strategy, settings={"n_layers": 1}, **about | more)


def test_format_best__says_where_the_settings_come_from():
    text = format_best(make_search(), "012", {"sam_rho": 0.1}, {"valid": {"ndcg@10": 0.25}})
    assert text.splitlines()[:2] == [
        "# The best configuration of SAMRec on tiny on validation: trial 012 of 20 trials, random search, scheduler "
        "asha, seed 7.",
        "# NDCG@10: 0.2500 on validation, not measured on test.",
    ]
    assert yaml.safe_load(text) == {"n_layers": 1, "sam_rho": 0.1, "seed": 7}


def test_format_best__names_own_models_several_seeds_and_pbt():
    search = make_search(seeds=(1, 2), source="mine.py:Mine", scheduler="pbt")
    text = format_best(search, "3", {"n_layers": 2}, {})
    assert "seeds 1, 2." in text and "give --model=mine.py:Mine as well" in text
    assert "Settings changed while the trial ran" in text and yaml.safe_load(text) == {"n_layers": 2}
