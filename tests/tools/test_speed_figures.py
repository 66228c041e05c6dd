"""Figures about speed are those of the measured page."""

import re

import pandas as pd
import pytest

from benchmarks import cases
from benchmarks.figures import COLUMNS
from benchmarks.report import format_number, format_ratio
from tests.helpers.paths import ROOT
from tools.speed_figures import CALM, SPEED, format_least_speedup, read_speed, render_costs, render_speed

PAGE = (ROOT / "results" / "speed.md").read_text(encoding="utf-8")


def read_table(title):
    """The lines of a table of the page, without its head, by their first cell."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", section, re.M)]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]}


@pytest.mark.parametrize("dataset", cases.DATASETS)
def test_speed__has_the_epochs_of_the_page(dataset):
    shown, found = read_table(f"Training on {dataset}"), read_speed().loc[dataset]
    assert list(found.index) == list(shown)
    for entry, line in found.iterrows():
        cells = shown[entry]
        assert format_number(line["seconds_per_epoch"]) == cells["s an epoch"]
        ends = (format_number(line[f"seconds_{end}"]) for end in ("lowest", "highest"))
        assert " to ".join(ends) == cells["lowest to highest"]
        assert format_ratio(line["speedup"]) == cells["faster than RecBole"]
        assert format_ratio(line[CALM]) == cells["without its anomaly detection"]
        assert f"{line['peak_memory_mb']:.0f}" == cells["peak MB"]


def test_speed__has_the_variants_of_the_page():
    shown, found = read_table("SAM's relatives, ml-100k"), read_speed("variants").loc["ml-100k"]
    assert {entry: format_ratio(cost) for entry, cost in found["cost"].items()} == {
        entry: cells["times Adam"] for entry, cells in shown.items()
    }


def test_speed__has_the_columns_of_the_benchmark():
    assert tuple(pd.read_csv(SPEED).columns) == COLUMNS


def test_format_least_speedup__is_a_lower_bound():
    for entry in (cases.SASREC, cases.SAMREC):
        speedups = read_speed().xs(entry, level="entry")[["speedup", CALM]]
        assert int(format_least_speedup(entry)) <= speedups.min(axis=None) < int(format_least_speedup(entry)) + 1


def test_tables__have_a_line_for_each_case():
    assert len(render_speed().splitlines()) == 2 + len(cases.DATASETS)
    assert re.findall(r"\d\.\d\d", render_costs()) == [
        f"{read_speed('variants').loc[('ml-100k', entry), 'cost']:.2f}" for entry in cases.NEAR
    ]
