"""The tables of a run's metrics."""

import io
import re

import pytest
from rich.console import Console

from recbole_samrec.cli.metric_tables import describe_end, show_comparison, show_result

METRICS = {f"{name}@{k}": k / 100 for name in ("recall", "mrr", "ndcg", "hr", "precision") for k in (5, 10, 20)}


def printed(show, *arguments):
    console = Console(file=io.StringIO(), width=80)
    show(console, *arguments)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    return [re.split(r"\s*[│┃]\s*", line)[1:-1] for line in lines if line[0] in "│┃"]


RUN = {"label": "SAMRec", "dataset": "ml-1m", "epochs_run": 18, "config": {"epochs": 99, "valid_metric": "NDCG@10"}}


def test_show_result__prints_all_metrics():
    result = {**RUN, "best_epoch": 7, "valid": METRICS, "test": METRICS}
    cells = printed(show_result, result)
    assert cells[0] == ["", "HR", "NDCG", "MRR", "RECALL", "PRECISION"]
    assert [row[0] for row in cells[1:]] == [f"{part} K = {k}" for part in ("valid", "test") for k in (5, 10, 20)]
    assert cells[1][1:] == ["0.0500"] * 5 and cells[6][1:] == ["0.2000"] * 5


def test_show_result__without_cut_offs_or_a_part():
    result = {**RUN, "best_epoch": None, "valid": None, "test": {"auc": 0.5, "logloss": 1}}
    assert printed(show_result, result) == [["", "AUC", "LOGLOSS"], ["test", "0.5000", "1.0000"]]


def test_show_result__without_validation_and_test(capsys):
    console = Console(file=io.StringIO(), width=30)
    show_result(console, {**RUN, "best_epoch": None, "valid": None, "test": None})
    assert console.file.getvalue() == "SAMRec on ml-1m: nothing was left to validate or test on\n"


def test_how_it_ended__says_whether_training_converged():
    result = {**RUN, "best_epoch": 7, "valid": METRICS, "test": METRICS}
    assert describe_end(result) == "converged: no better NDCG@10 in the 10 epochs after epoch 8"
    assert describe_end({**result, "epochs_run": 99}).startswith("not converged within epochs=99: NDCG@10 may")
    assert describe_end({**result, "valid": None}) == describe_end({**result, "best_epoch": None}) == ""


def test_show_comparison__names_what_is_masked():
    scores = {False: {"valid": None, "test": METRICS}, True: {"valid": None, "test": METRICS}}
    cells = printed(show_comparison, "SAMRec on ml-1m, runs/x/best.pth", scores)
    assert [row[0] for row in cells[1:]] == [f"test{way} K = {k}" for way in ("", ", masked") for k in (5, 10, 20)]


BEYOND = ("itemcoverage", "giniindex", "averagepopularity", "tailpercentage", "shannonentropy", "ndcg", "map")


@pytest.mark.parametrize("width", [30, 60, 80, 100, 200])
@pytest.mark.parametrize("masks", [[False], [False, True]], ids=["", "masked"])
def test_show_comparison__cuts_no_number(width, masks):
    metrics = {f"{name}@{k}": 12345.6789 + n for n, name in enumerate(BEYOND) for k in (5, 10)} | {"gauc": 0.98765}
    console = Console(file=io.StringIO(), width=width)
    show_comparison(console, "SAMRec", {mask: {"valid": metrics, "test": metrics} for mask in masks})
    text = console.file.getvalue()
    assert "…" not in text
    for value in metrics.values():
        assert text.count(f"{value:.4f}") == 2 * len(masks) * (1 if value < 1 else 2)
    for name in [*BEYOND, "gauc"]:
        assert name.upper() in text
    if width >= 80:
        assert max(map(len, text.splitlines())) <= width
