"""The figures of a benchmark as a table of numbers, ``results/speed.csv``, from which pages and pictures are made."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import pandas as pd

from benchmarks import cases
from benchmarks.report import Results

COLUMNS = (
    "part",
    "dataset",
    "entry",
    "seconds_per_epoch",
    "seconds_lowest",
    "seconds_highest",
    "speedup",
    "speedup_without_anomaly_detection",
    "cost",
    "peak_memory_mb",
)
"""Speedups are over RecBole, in the parts ``epochs`` and ``gpu``; the cost is relative to Adam, in ``variants``."""


def tabulate_figures(results: Results) -> pd.DataFrame:
    """Tabulate the medians of all epochs that were measured.

    Args:
        results: The results.

    Returns:
        One line per part, data set and entry; figures that an entry does not have are missing.
    """
    return pd.DataFrame([line for line in _list_lines(results)], columns=COLUMNS)


def _list_lines(results: Results) -> Iterator[dict[str, Any]]:
    for part, dataset in [*(("epochs", name) for name in results.datasets), ("gpu", "ml-1m")]:
        for entry in results.entries(part, dataset):
            calm = results.ratio(part, dataset, cases.RECBOLE, entry, "calm_epoch")
            yield _measure(results, part, dataset, entry) | {
                "speedup": results.ratio(part, dataset, cases.RECBOLE, entry),
                "speedup_without_anomaly_detection": calm,
            }
    for part in ("beside", "variants"):
        for entry in results.entries(part, "ml-100k"):
            cost = results.ratio(part, "ml-100k", entry, cases.PLAIN) if part == "variants" else None
            yield _measure(results, part, "ml-100k", entry) | {"cost": cost}


def _measure(results: Results, part: str, dataset: str, entry: str) -> dict[str, Any]:
    seconds = [result["epoch"] for result in results.find(part, dataset, entry)]
    return {
        "part": part,
        "dataset": dataset,
        "entry": entry,
        "seconds_per_epoch": statistics.median(seconds),
        "seconds_lowest": min(seconds),
        "seconds_highest": max(seconds),
        "peak_memory_mb": results.median(part, dataset, entry, "peak_mb"),
    }
