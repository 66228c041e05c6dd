"""The page of searches."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare.provenance import SearchBudget
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.evaluator.statistics import compute_user_metric
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.experiments.results import Run
from recbole_samrec.tune.search_spec import SearchSpec
from recbole_samrec.tune.spaces import make_space
from recbole_samrec.tune.strategies import Strategy
from recbole_samrec.utils.plot_style import render_figure
from tools import search_page as pages

SPACE = {"sam_rho": {"loguniform": [0.02, 1]}, "hidden_dropout_prob": [0.1, 0.5]}
USERS = 80


def run(kind, rank, seed=2020, valid=0.05):
    ranks = np.broadcast_to(rank, USERS)
    frame = pd.DataFrame({"rank": ranks, "masked_rank": ranks, "history": 5, "popularity": range(USERS)})
    test = {metric: float(compute_user_metric(ranks, metric).mean()) for metric in pages.METRICS}
    result = {"valid": {"ndcg@10": valid, "hr@10": 2 * valid}, "test": test}
    return Run(kind, "ml-100k", seed, 1.0, result, frame, "hash")


def found(runs, promised=0.07):
    search = SearchSpec(
        entry="SAMRec", dataset="ml-100k", settings={}, space=make_space(SPACE, "space"), strategy=Strategy("random"),
        trials=30, seeds=(2020,), metric="NDCG@10", bigger=True, epochs=300, sha256="hash", out=Path("found", "SAMRec"),
    )  # fmt: skip
    rho = np.linspace(0.02, 1, 30)
    trials = pd.DataFrame({"trial": range(30), "status": "finished", "score": -rho, "sam_rho": rho})
    trials["hidden_dropout_prob"] = [0.1, 0.5] * 15
    best = {"trial": 4, "settings": {"sam_rho": 0.123456, "hidden_dropout_prob": 0.1}}
    best |= {"valid": {"ndcg@10": promised}, "test": {"ndcg@10": 0.06}}
    record = {"found": {"best": best, "hours": 1.25, "statuses": {"finished": 20, "stopped early": 10}}}
    budget = SearchBudget(30, "random", "asha", 10, 300, (2020,), "NDCG@10")
    return pages.Found(search, budget, record, trials, runs)


def make_radii():
    """Three seeds for each of some radii, with and without dropout; test ranks depend on the radius."""
    made = []
    for entry, rho, dropout, rank in (
        ("rho 0", 0, 0.2, 7),
        ("rho 0.3", 0.3, 0.2, 3),
        ("no dropout with rho 0", 0, 0.0, 7),
        ("no dropout with rho 0.3", 0.3, 0.0, 7),
    ):
        for seed in (1, 2, 3):
            one = run(entry, rank, seed, valid=0.06 + rho / 10 + seed / 1e4)
            config = {"config": {"sam_rho": rho, "hidden_dropout_prob": dropout}}
            made.append(replace(one, result={**one.result, **config}))
    return made


def of_seeds(kind, *ranks):
    return [run(kind, rank, seed) for seed, rank in enumerate(ranks, 2020)]


def gain_of(runs):
    return pages.compute_tuning_gains([found(runs)]).set_index("metric").loc["ndcg@10"]


def test_compute_gains_is_tuned_minus_default():
    gain = gain_of([*of_seeds("tuned", 1, 1), *of_seeds("default", 7, 7)])
    assert gain["difference"] == pytest.approx(1 - 1 / 3) and gain["reference"] == "default"
    assert gain["p"] < 0.05 and gain["n"] == USERS and gain["mde"] >= 0
    assert gain_of([*of_seeds("tuned", 7, 7), *of_seeds("default", 1, 1)])["difference"] == pytest.approx(1 / 3 - 1)


def test_compute_gains_doubts_what_one_odd_seed_makes():
    gain = gain_of([*of_seeds("tuned", 1, 3), *of_seeds("default", 3, 4)])
    assert gain["p"] > 0.05 and gain["low"] < 0 < gain["difference"] < gain["high"]


def test_compute_gains_of_one_seed_has_no_interval():
    noisy = np.where(np.arange(USERS) % 2, 3, 9)
    gain = gain_of([*of_seeds("tuned", noisy), *of_seeds("default", noisy[::-1])])
    assert gain[["low", "high", "mde", "p"]].isna().all() and abs(gain["difference"]) < 1


def test_list_gains_has_scores_and_differences():
    runs = [run("tuned", 1), run("tuned", 3, seed=2021), run("default", 7)]
    table = pages.list_gains([found(runs)]).set_index("metric").loc["NDCG@10"]
    assert table["test, tuned"] == f"{(1 + 1 / 2) / 2:.4f} ± {0.5 / 2**0.5:.4f}"
    assert table["difference"] == f"+{0.75 - 1 / 3:.4f}"


def test_list_gains_names_what_was_not_trained():
    line = pages.list_gains([found([run("tuned", 1)])]).iloc[0]
    assert line["test, default"] == "not trained" and line["difference"] == pages.NOTHING


def test_list_radius_differences_is_radius_minus_rho_0():
    table = pages.list_radius_differences(make_radii())
    assert (
        table.iloc[:, 0].str.partition(f" {pages.MINUS} ")[2].tolist() == ["rho 0"] * 2 + ["no dropout with rho 0"] * 2
    )
    ndcg = table[table["metric"] == "NDCG@10"]
    assert ndcg["difference"].tolist() == [f"+{1 / 2 - 1 / 3:.4f}", "+0.0000"]
    assert ndcg["p"].tolist() == ["<0.0001", "1.0000"]


def test_list_importance_finds_the_setting_that_decides():
    table = pages.list_importance([found([])]).set_index("setting")["SAMRec"]
    assert float(table["sam_rho"].split()[0]) > 50 > float(table["hidden_dropout_prob"].split()[0])


def test_write_page_has_commands_tables_and_the_figure(tmp_path):
    radii = make_radii()
    options = argparse.Namespace(
        dataset="ml-100k", records=Path("records"), searches=Path("found"), rho=Path("rho"), out=tmp_path / "search.md"
    )
    text = pages.render_page([found([run("tuned", 1), run("default", 5)])], radii, options)
    assert "tune --model=SAMRec --dataset=ml-100k --trials=30 --out=found/SAMRec\n" in text
    assert "| 0.3 | 0.0902 ± 0.0001 | 0.5000 ± 0.0000 | 0.0902 ± 0.0001 | 0.3333 ± 0.0000 |" in text
    assert "| SAMRec | 30 | random | asha | 10 | 300 | 2020 | NDCG@10 | 20 | 10 | 1.2 |" in text
    assert "0.123" in text and "(search-rho.png)" in text
    assert render_figure(pages.draw_radii(pages.list_scores(radii)), "png", 50).startswith(b"\x89PNG")


def test_entries_of_radii_differ_in_radius_and_dropout_only():
    rows = read_entries(list(read_yaml(pages.RHO_ENTRIES)["entries"]), [pages.RHO_ENTRIES])
    assert {row.model for row in rows} == {"SAMRec"}
    keys = [{key: row.fixed.get(key) for key in ("sam_rho", "hidden_dropout_prob")} for row in rows]
    assert len({tuple(key.items()) for key in keys}) == len(rows) == 10
    assert all(set(row.fixed) <= {"sam_rho", "hidden_dropout_prob", "attn_dropout_prob"} for row in rows)


def test_main_without_a_search_names_the_command(tmp_path, capsys):
    assert pages.main([f"--searches={tmp_path}", f"--out={tmp_path / 'search.md'}"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: there is no finished search on ml-100k; make one: ")
    assert not (tmp_path / "search.md").exists()
