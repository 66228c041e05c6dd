"""The tables of a comparison cover all data sets, with the runs on the largest share of users."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from recbole_samrec.compare.comparison import Comparison
from tests.helpers.compared import make_run

NONE = pd.DataFrame(columns=["dataset", "entry", "seed", "fraction", "reason"])


def make(runs, **more):
    entries = list(dict.fromkeys(run.entry for run in runs)) or ["SAMRec"]
    return Comparison(Path("out"), entries, runs, more.pop("failures", NONE), **more)


def runs():
    """Two entries on two data sets; one was also trained on half of the users."""
    whole = [make_run(entry, seed, (1, 3, 11, 40 + seed)) for entry in ("SAMRec", "Pop") for seed in (1, 2)]
    other = [replace(run, dataset="other") for run in whole]
    return [make_run("SAMRec", 1, (40, 40, 40, 40), fraction=0.5), *whole, *other[:2]]


def test_comparison__has_a_line_for_each_data_set_and_entry():
    table = make(runs()).table
    assert list(zip(table["dataset"], table["entry"], strict=True)) == [
        ("tiny_set", "SAMRec"), ("tiny_set", "Pop"), ("other", "SAMRec"),
    ]  # fmt: skip
    assert table["hr@10_mean"].tolist() == [0.5, 0.5, 0.5] and table["seeds"].tolist() == [2, 2, 2]


def test_comparison__has_masked_tables_where_they_are_wanted():
    table = make(runs(), masks=(False, True)).table
    tiny = table[(table["dataset"] == "tiny_set") & (table["entry"] == "SAMRec")]
    assert tiny["masked"].tolist() == [False, True] and tiny["hr@10_mean"].tolist() == [0.5, 0.75]


def test_comparison__of_no_runs_is_empty_and_not_complete():
    failures = pd.DataFrame([{"dataset": "tiny", "entry": "Pop", "seed": 1, "fraction": 1.0, "reason": "lost"}])
    empty = make([], failures=failures)
    assert empty.table.empty and empty.differences.empty and not empty.complete
    assert repr(empty) == "Comparison: 1 entries, 0 runs in out, 1 jobs not finished (see .failures)"
    assert make(runs()[:1]).complete


def test_comparison__shows_the_means():
    lines = repr(make(runs())).splitlines()
    assert lines[0] == "Comparison: 2 entries, 7 runs in out" and len(lines) == 5
    assert "HR@10" in lines[1] and lines[2].split()[:3] == ["tiny_set", "SAMRec", "2"]
