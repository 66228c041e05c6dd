"""Frames laid out as people read them: lines of cells, with what is best and what is significant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_samrec.compare import captions, groups
from recbole_samrec.compare.tables import DIGITS, METRICS, gains, places

SHOWN = ("ndcg@10", "hr@10")
"""Metrics of the tables that have no room for all."""
WHOSE = {"history": "users by history", "popularity": "items by popularity"}
SPREAD = " ± "
NOTHING = "\N{EN DASH}"


class Cell(NamedTuple):
    """A cell: its text, its place (1 best, 2 second), and whether it is marked as significant."""

    text: str
    place: int = 0
    marked: bool = False


@dataclass(frozen=True)
class Grid:
    """One table as it is shown; the first column is the model's name, ``name`` is short and without spaces."""

    title: str
    name: str
    caption: str
    header: list[str]
    body: list[list[Cell]]


@dataclass(frozen=True)
class Page:
    """What one file shows.

    Attributes:
        title: What it is about.
        common: What holds for all of its tables.
        grids: The tables.
        notes: Sentences on rows.
        plot: File name of the plot.
        made: How it was made.
        links: Titles and file names of the pages beside it.
    """

    title: str
    common: str
    grids: list[Grid]
    notes: list[str] = field(default_factory=list)
    plot: str = ""
    made: captions.Made | None = None
    links: tuple[tuple[str, str], ...] = ()


def main_page(
    table: pd.DataFrame,
    setting: captions.Setting,
    notes: Sequence[str],
    plot: str,
    made: captions.Made | None = None,
) -> Page:
    """The page that compares the rows of one data set.

    Args:
        table: Made by :func:`~recbole_samrec.compare.tables.main_table`.
        setting: What the rows have in common.
        notes: Sentences to add to those of the table.
        plot: File name of the plot.
        made: How the table was made.
    """
    reference = table.index[0]
    others = table.index[(table["seeds"] > 0) & (table.index != reference)]
    compared = len(others) if table["seeds"].iloc[0] else 0
    with_seeds = int((table["seeds"].loc[others] > 1).sum()) if table["seeds"].iloc[0] > 1 else 0
    grids = [_accuracy(table, captions.accuracy(setting, reference, compared, with_seeds), compared)]
    if compared:
        caption = captions.significance(setting, reference, compared, with_seeds)
        grids.append(_differences(table.loc[others], caption))
    if "variant_of" in table:
        grids.append(_variants(table, setting))
    grids.append(_costs(table[table["seeds"] > 0], captions.cost(setting)))
    of_rows = [f"{row}: {note}" for row, note in table["note"].items() if note]
    return Page(captions.title(setting), captions.common(setting), grids, [*of_rows, *notes], plot, made)


def _accuracy(table: pd.DataFrame, caption: str, compared: int) -> Grid:
    columns = []
    for metric in METRICS:
        columns.append(_metric_cells(table, metric, _differs(table, metric)))
    body = [
        [Cell(row), Cell(str(table["seeds"][row])), *cells] for row, *cells in zip(table.index, *columns, strict=True)
    ]
    if compared:
        percent = gains(table, table.index[0])
        signed = [Cell(_shown(percent[metric], "+.1f", " %")) for metric in METRICS]
        body.append([Cell(f"gain of {table.index[0]}"), Cell(""), *signed])
    return Grid("Accuracy", "accuracy", caption, ["model", "seeds", *map(str.upper, METRICS)], body)


def _differs(table: pd.DataFrame, metric: str) -> pd.Series:
    """Whether rows differ from the reference for other users, and for other users and seeds."""
    columns = table.reindex(columns=[f"{metric}_{name}" for name in ("p_holm", "low_with_seeds", "high_with_seeds")])
    p, low, high = (columns[name] for name in columns)
    return (p < captions.LEVEL) & ((low > 0) | (high < 0))


def _metric_cells(table: pd.DataFrame, metric: str, marked: Sequence[bool] | None = None) -> list[Cell]:
    means, stds = table[f"{metric}_mean"], table[f"{metric}_std"]
    marked = [False] * len(table) if marked is None else marked
    texts = [_spread(mean, std) for mean, std in zip(means, stds, strict=True)]
    return [Cell(text, place, bool(mark)) for text, place, mark in zip(texts, places(means), marked, strict=True)]


def _differences(table: pd.DataFrame, caption: str, title: str = "Differences") -> Grid:
    header = ["model", "metric", "difference", "95 % over users", "95 % over users and seeds", "p", "p (Holm)"]
    body = []
    for metric in SHOWN:
        shown = [
            _column(table[f"{metric}_difference"], f"+.{DIGITS}f"),
            _intervals(table[f"{metric}_low"], table[f"{metric}_high"]),
            _intervals(table[f"{metric}_low_with_seeds"], table[f"{metric}_high_with_seeds"]),
            *([Cell(_p(value)) for value in table[f"{metric}_{one}"]] for one in ("p", "p_holm")),
        ]
        body += [[Cell(row), Cell(metric.upper()), *cells] for row, *cells in zip(table.index, *shown, strict=True)]
    return Grid(title, title.lower(), caption, header, body)


def _variants(table: pd.DataFrame, setting: captions.Setting) -> Grid:
    varied = table[table["variant_of"].notna()]
    several = sum((table["seeds"][[row, of]] > 1).all() for row, of in varied["variant_of"].items())
    pairs = [f"{row} \N{MINUS SIGN} {of}" for row, of in varied["variant_of"].items()]
    columns = varied.filter(like="variant_").rename(columns=lambda name: name.removeprefix("variant_"))
    return _differences(columns.set_axis(pairs), captions.variants(setting, len(varied), several), "Variants")


def _intervals(low: pd.Series, high: pd.Series) -> list[Cell]:
    ends = zip(*(_column(one, f"+.{DIGITS}f") for one in (low, high)), strict=True)
    return [Cell(NOTHING if one.text == NOTHING else f"{one.text} to {other.text}") for one, other in ends]


def _costs(table: pd.DataFrame, caption: str) -> Grid:
    header = ["model", "parameters", "seconds an epoch", "seconds to the best epoch", "peak memory, MB"]
    shown = {"parameters": ",.0f", "seconds_per_epoch": ",.2f", "seconds_to_best": ",.0f", "peak_memory_mb": ",.0f"}
    columns = [_column(table[name], form) for name, form in shown.items()]
    body = [[Cell(row), *cells] for row, *cells in zip(table.index, *columns, strict=True)]
    return Grid("Cost", "cost", caption, header, body)


def groups_page(table: pd.DataFrame, rows: Sequence[str], setting: captions.Setting, plot: str) -> Page:
    """The page that compares rows by groups of users and of items.

    Args:
        table: Made by :func:`~recbole_samrec.compare.groups.group_table`.
        rows: Labels in the order to show.
        setting: What the rows have in common.
        plot: File name of the plot.
    """
    grids = []
    for kind, counted in groups.KINDS.items():
        part = table[table["kind"] == kind]
        columns = {
            f"{bounds} ({size})": part[part["group"] == group] for group, (bounds, size) in groups.heads(part).items()
        }
        for metric in SHOWN:
            caption = captions.groups(metric.upper(), WHOSE[kind], counted)
            title = f"{metric.upper()}, {WHOSE[kind]}"
            grids.append(_pivot(title, f"{kind}-{metric}", caption, rows, columns, metric))
    return Page(captions.title(setting, "-groups"), captions.common(setting), grids, plot=plot)


def fractions_page(table: pd.DataFrame, rows: Sequence[str], setting: captions.Setting, plot: str) -> Page:
    """The page that compares rows by the share of training users; see :func:`groups_page` for the arguments."""
    columns = {f"{100 * share:g} %": table[table["fraction"] == share] for share in sorted(table["fraction"].unique())}
    grids = [
        _pivot(metric.upper(), metric, captions.fractions(metric.upper()), rows, columns, metric) for metric in SHOWN
    ]
    return Page(captions.title(setting, "-fractions"), captions.common(setting), grids, plot=plot)


def _pivot(
    title: str,
    name: str,
    caption: str,
    rows: Sequence[str],
    columns: Mapping[str, pd.DataFrame],
    metric: str,
) -> Grid:
    """Rows against groups or shares, one frame for each column."""
    cells = [_metric_cells(column.set_index("row").reindex(rows), metric) for column in columns.values()]
    body = [[Cell(row), *line] for row, *line in zip(rows, *cells, strict=True)]
    return Grid(title, name, caption, ["model", *columns], body)


def _column(values: pd.Series, form: str) -> list[Cell]:
    return [Cell(_shown(value, form)) for value in values]


def _spread(mean: float, std: float) -> str:
    text = _shown(mean, f".{DIGITS}f")
    return text if np.isnan(std) else f"{text}{SPREAD}{std:.{DIGITS}f}"


def _shown(value: float, form: str, unit: str = "") -> str:
    return f"{value:{form}}{unit}".replace("-", "\N{MINUS SIGN}") if np.isfinite(value) else NOTHING


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
