"""The page of searches says what the numbers say."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.evaluator import statistics
from recbole_samrec.experiments.entries import read_rows
from recbole_samrec.experiments.results import Run
from recbole_samrec.tune.search_spec import Search
from recbole_samrec.tune.spaces import space_of
from recbole_samrec.tune.strategies import Strategy
from tools import search_page as pages

SPACE = {"sam_rho": {"loguniform": [0.02, 1]}, "hidden_dropout_prob": [0.1, 0.5]}
USERS = 80


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(statistics.randomisation_test, "__defaults__", (500, 0))


def run(kind, rank, seed=2020, valid=0.05):
    ranks = np.broadcast_to(rank, USERS)
    frame = pd.DataFrame({"rank": ranks, "masked_rank": ranks, "history": 5, "popularity": range(USERS)})
    test = {metric: float(statistics.per_user(ranks, metric).mean()) for metric in pages.METRICS}
    result = {"valid": {"ndcg@10": valid, "hr@10": 2 * valid}, "test": test}
    return Run(kind, "ml-100k", seed, 1.0, result, frame, "hash")


def found(runs, promised=0.07):
    search = Search(
        row="SAMRec", dataset="ml-100k", settings={}, space=space_of(SPACE, "space"), strategy=Strategy("random"),
        trials=30, seeds=(2020,), metric="NDCG@10", bigger=True, epochs=300, sha256="hash", out=Path("found", "SAMRec"),
    )  # fmt: skip
    rho = np.linspace(0.02, 1, 30)
    trials = pd.DataFrame({"trial": range(30), "status": "finished", "score": -rho, "sam_rho": rho})
    trials["hidden_dropout_prob"] = [0.1, 0.5] * 15
    best = {"trial": 4, "settings": {"sam_rho": 0.123456, "hidden_dropout_prob": 0.1}}
    best |= {"valid": {"ndcg@10": promised}, "test": {"ndcg@10": 0.06}}
    record = {"found": {"best": best, "hours": 1.25, "statuses": {"finished": 20, "stopped early": 10}}}
    return pages.Found(search, "30 trials by NDCG@10", record, trials, runs)


def radii(rises, dropout=0.2):
    """Three seeds each of some radii, by what the radius adds on validation; test follows with the other sign."""
    lines = [
        {"rho": rho, "dropout": dropout, "seed": seed, "valid": 0.06 + rise + seed / 1e4, "test": 0.05 - rise}
        for rho, rise in rises.items()
        for seed in (1, 2, 3)
    ]
    return pd.DataFrame(lines)


def test_a_gain_a_loss_and_neither_are_told_apart():
    noisy = np.where(np.arange(USERS) % 2, 3, 9)
    said = {
        "gained": [run("tuned", 1), run("default", 5)],
        "lost": [run("tuned", 5), run("default", 1)],
        "within what other users or seeds": [run("tuned", noisy), run("default", noisy[::-1])],
    }
    for words, runs in said.items():
        (sentence,) = pages.gain_sentences(found(runs))
        assert words in sentence
        assert [words in other for other in said] == [word in sentence for word in said]


def test_a_gain_that_one_odd_seed_makes_is_none():
    runs = [run(kind, rank, seed=seed) for kind, ranks in {"tuned": (1, 3), "default": (3, 4)}.items()
            for seed, rank in enumerate(ranks, 2020)]  # fmt: skip
    one = found(runs)
    gain = pages.gain_of(one, "ndcg@10")
    assert gain["p"] < 0.05 and gain["low"] < 0 < gain["difference"] < gain["high"]
    assert "within what other users or seeds" in pages.gain_sentences(one)[0]


def test_a_gain_is_the_difference_over_users_on_test():
    runs = [run("tuned", 1), run("tuned", 3, seed=2021), run("default", 7)]
    table = pages.gain_table([found(runs)]).set_index("metric").loc["NDCG@10"]
    assert table["test, tuned"] == f"{(1 + 1 / 2) / 2:.4f} ± {0.5 / 2**0.5:.4f}"
    assert table["difference on test"].startswith(f"+{0.75 - 1 / 3:.4f} (")


def test_what_was_not_trained_is_said():
    one = found([run("tuned", 1)])
    assert "not trained" in pages.gain_table([one]).iloc[0].to_list()
    assert "have been trained" in pages.gain_sentences(one)[0]


def test_the_radius_that_validation_chooses_is_named_with_what_it_does_on_test():
    (sentence,) = pages.radius_sentences(radii({0: 0.0, 0.1: 0.01, 1: -0.01}))
    assert "rho 0.1 is best on validation, +0.0100 against rho 0, which is more than" in sentence
    assert "on test it is \N{MINUS SIGN}0.0100" in sentence
    (sentence,) = pages.radius_sentences(radii({0: 0.0, 0.1: 0.00005}))
    assert "which is less than" in sentence
    (sentence,) = pages.radius_sentences(radii({0: 0.0, 0.1: -0.01}))
    assert "no radius does better" in sentence


def test_the_setting_that_decides_is_the_most_important():
    table = pages.importance_table([found([])]).set_index("setting")["SAMRec"]
    assert float(table["sam_rho"].split()[0]) > 50 > float(table["hidden_dropout_prob"].split()[0])


def test_the_page_holds_commands_tables_and_the_figure(tmp_path):
    both = pd.concat([radii({0: 0.0, 0.3: 0.01}), radii({0: 0.0, 0.3: 0.02}, dropout=0.0)])
    options = argparse.Namespace(
        dataset="ml-100k", records=Path("results"), searches=Path("found"), rho=Path("rho"), out=tmp_path / "search.md"
    )
    text = pages.page([found([run("tuned", 1), run("default", 5)])], both, options)
    assert "tune --model=SAMRec --dataset=ml-100k --trials=30 --out=found/SAMRec\n" in text
    assert "| 0.3 | 0.0702 ± 0.0001 | 0.0400 ± 0.0000 | 0.0802 ± 0.0001 | 0.0300 ± 0.0000 |" in text
    assert "0.123" in text and "(search-rho.png)" in text and "20 finished, 10 stopped early; 1.2 hours" in text
    assert pages.rendered(pages.draw(both), "png").startswith(b"\x89PNG")


def test_rows_of_radii_differ_in_radius_and_dropout_alone():
    rows = read_rows(list(pages.read_yaml(pages.RHO_ROWS)["rows"]), [pages.RHO_ROWS])
    assert {row.model for row in rows} == {"SAMRec"}
    keys = [{key: row.fixed.get(key) for key in ("sam_rho", "hidden_dropout_prob")} for row in rows]
    assert len({tuple(key.items()) for key in keys}) == len(rows) == 10
    assert all(set(row.fixed) <= {"sam_rho", "hidden_dropout_prob", "attn_dropout_prob"} for row in rows)


def test_without_a_search_one_line_says_how_to_make_one(tmp_path, capsys):
    assert pages.main([f"--searches={tmp_path}", f"--out={tmp_path / 'search.md'}"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: there is no finished search on ml-100k; make one: ")
    assert not (tmp_path / "search.md").exists()
