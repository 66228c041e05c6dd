"""A plot for each table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recbole_samrec.compare.groups import KINDS, label_groups
from recbole_samrec.compare.layout import SHOWN
from recbole_samrec.utils.plot_style import COLORS, GRAY, INK, MARKERS, new_figure, spread_offsets, use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
LINES = ("-", "--", "-.", ":")


def draw_accuracy(table: pd.DataFrame, title: str) -> Figure:
    """Draw dots with the spread over seeds, one line per entry, in panels for NDCG@10 and HR@10.

    Args:
        table: Made by :func:`~recbole_samrec.compare.tables.build_main_table`; entries without runs are skipped.
        title: Above the plot.
    """
    table = table[table["seeds"] > 0]
    height = 1.1 + 0.3 * len(table)
    with use_style():
        figure = new_figure(8.5, height)
        panels = figure.subplots(1, len(SHOWN), sharey=True)
        for axes, metric in zip(panels, SHOWN, strict=True):
            _draw_dots(axes, table, metric)
        figure.suptitle(title)
    return figure


def _draw_dots(axes: Axes, table: pd.DataFrame, metric: str) -> None:
    means, stds = table[f"{metric}_mean"], table[f"{metric}_std"].fillna(0)
    best = means.max()
    for place, (mean, std) in enumerate(zip(means, stds, strict=True)):
        shape: dict[str, Any] = {"marker": "D", "color": INK} if place == 0 else {"marker": "o", "color": GRAY}
        face = shape["color"] if place == 0 or mean == best else "white"
        axes.errorbar(mean, place, xerr=std, capsize=3, markersize=6, markerfacecolor=face, **shape)
        weight = "bold" if mean == best else "normal"
        axes.annotate(
            f"{mean:.4f}", (1, place), xycoords=("axes fraction", "data"), xytext=(6, 0), va="center",
            textcoords="offset points", weight=weight,
        )  # fmt: skip
    axes.set_yticks(range(len(table)), table.index)
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlabel(metric.upper())
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=5)


def draw_groups(table: pd.DataFrame, entries: Sequence[str], title: str) -> Figure:
    """Draw dots by group of users and of items, entries side by side, a panel for each metric and kind of group.

    Args:
        table: Made by :func:`~recbole_samrec.compare.groups.build_group_table`.
        entries: Their names in the order to show.
        title: Above the plot.
    """
    with use_style():
        figure = new_figure(8 + 0.3 * len(entries), 6)
        panels = figure.subplots(len(SHOWN), len(KINDS), sharex="col", sharey="row")
        for line, metric in zip(panels, SHOWN, strict=True):
            for axes, kind in zip(line, KINDS, strict=True):
                _draw_side_by_side(axes, table[table["kind"] == kind], entries, metric)
            line[0].set_ylabel(metric.upper())
            line[0].set_ylim(bottom=-0.03 * line[0].get_ylim()[1])  # after both; a marker at 0 is not clipped
        for axes, counted in zip(panels[-1], KINDS.values(), strict=True):
            axes.set_xlabel(counted)
        _draw_legend(figure, panels[0, 0])
        figure.suptitle(title)
    return figure


def _draw_side_by_side(axes: Axes, table: pd.DataFrame, entries: Sequence[str], metric: str) -> None:
    labels = label_groups(table)
    places = np.arange(len(labels))
    for number, (entry, offset) in enumerate(zip(entries, spread_offsets(len(entries), 0.72), strict=True)):
        part = table[table["entry"] == entry].set_index("group").reindex(list(labels))
        means, stds = part[f"{metric}_mean"], part[f"{metric}_std"].fillna(0)
        axes.errorbar(places + offset, means, stds, fmt=MARKERS[number % len(MARKERS)], **_choose_look(entry, number))
    for between in places[:-1] + 0.5:
        axes.axvline(between, color="0.8", linewidth=0.8)
    axes.grid(axis="x", visible=False)
    axes.set_xticks(places, ["\n".join(one) for one in labels.values()])


def draw_fractions(table: pd.DataFrame, entries: Sequence[str], title: str) -> Figure:
    """Draw lines against the share of the users that models are trained on, a panel for each metric.

    Args:
        table: Made by :func:`~recbole_samrec.compare.tables.build_fraction_table`.
        entries: Their names in the order to show.
        title: Above the plot.
    """
    with use_style():
        figure = new_figure(9, 4.2)
        panels = figure.subplots(1, len(SHOWN))
        for axes, metric in zip(panels, SHOWN, strict=True):
            shares = 100 * np.sort(table["fraction"].unique())
            offsets = spread_offsets(len(entries), np.ptp(shares) / 25)
            for number, (entry, offset) in enumerate(zip(entries, offsets, strict=True)):
                part = table[table["entry"] == entry]
                means, stds = part[f"{metric}_mean"], part[f"{metric}_std"].fillna(0)
                line: dict[str, Any] = {"fmt": MARKERS[number % len(MARKERS)], "linestyle": LINES[number % len(LINES)]}
                axes.errorbar(100 * part["fraction"] + offset, means, stds, **line, **_choose_look(entry, number))
            axes.set_xticks(shares)
            axes.set_xlabel("users trained on, %")
            axes.set_ylabel(metric.upper())
        _draw_legend(figure, panels[0])
        figure.suptitle(title)
    return figure


def _choose_look(entry: str, number: int) -> dict[str, Any]:
    """Choose marker and line style of an entry; the reference, which comes first, has a filled marker."""
    color = COLORS[(number - 1) % len(COLORS)] if number else INK
    face = "white" if number else INK
    return {
        "label": entry, "color": color, "markerfacecolor": face, "markersize": 5.5, "capsize": 2, "linewidth": 1.2,
        "zorder": 3 if number == 0 else 2,
    }  # fmt: skip


def _draw_legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
