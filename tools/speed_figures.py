"""Tables and figures about speed, from ``results/speed.csv``."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from benchmarks import cases
from benchmarks.report import format_ratio
from recbole_samrec.utils.exact_floats import exact_floats
from tools.markdown import make_table

SPEED = Path(__file__).resolve().parents[1] / "results" / "speed.csv"
MAIN = (cases.RECBOLE, cases.SASREC, cases.SAMREC)
"""The entries of the comparison."""
CALM = "speedup_without_anomaly_detection"
HEAD = ("data set", "length", "RecBole's SASRec, s", "SASRec packed, s", "SAMRec packed, s", "SAMRec is faster by")
OPTIONS = {
    "`--sam_variant=looksam`": "looksam",
    "`--sam_variant=msam`": "msam",
    f"`--sam_start=0.8`, over {cases.LATE_EPOCHS} epochs": cases.LATE,
}
"""Cheap options of SAM, and their entries."""


def read_speed(part: str = "epochs") -> pd.DataFrame:
    """Read a part of the measurements, by data set and entry."""
    table = pd.read_csv(SPEED, **exact_floats())
    return table[table["part"] == part].set_index(["dataset", "entry"])


def format_least_speedup(entry: str) -> str:
    """Return the smallest speedup over RecBole on any data set, rounded down.

    It is over RecBole without the anomaly detection that one of its models switches on, and so a lower bound for both.
    """
    return str(math.floor(read_speed().xs(entry, level="entry")[CALM].min()))


def list_calm_speedups() -> str:
    """Return SAMRec's speedups without the anomaly detection, in the order of the data sets."""
    *first, last = (f"{read_speed().loc[(name, cases.SAMREC), CALM]:.0f}" for name in cases.DATASETS)
    return f"{', '.join(first)} and {last}"


def render_speed() -> str:
    """Return the table of seconds and memory on all data sets."""
    rows = []
    for name, settings in cases.DATASETS.items():
        lines = [read_speed().loc[(name, entry)] for entry in MAIN]
        seconds = [format_seconds(line["seconds_per_epoch"]) for line in lines]
        memory = ", ".join(f"{line['peak_memory_mb'] / 1024:.1f} GB" for line in (lines[0], lines[-1]))
        rows.append([name, str(settings["MAX_ITEM_LIST_LENGTH"]), *seconds, format_ratio(lines[-1]["speedup"]), memory])
    return make_table((*HEAD, "memory, RecBole and SAMRec"), rows, numbers=len(HEAD))


def render_costs() -> str:
    """Return the table of the costs of SAM's cheap options."""
    costs = read_speed("variants")["cost"]
    rows = [[option, f"{costs['ml-100k', entry]:.2f}"] for option, entry in OPTIONS.items()]
    return make_table(("option", "cost relative to an epoch without SAM"), rows, numbers=1)


def format_seconds(seconds: float) -> str:
    """Format seconds with one digit after the point below 100, and none above."""
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.1f}"
