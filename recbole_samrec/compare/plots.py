"""A plot for each table; what tells rows apart is a marker first and a colour second, so that it prints in grey."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recbole_samrec.compare.groups import KINDS, heads
from recbole_samrec.compare.layout import SHOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf")
DPI = 150
INK, GREY = "black", "0.45"
MARKERS = "Dos^vP<X>hp*d"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""By Okabe and Ito, for those who see few colours too; the reference has ink."""
LINES = ("-", "--", "-.", ":")
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # letters stay text; many publishers refuse type 3
}


def accuracy(table: pd.DataFrame, title: str) -> Figure:
    """Dots with the spread over seeds, one line a row, a panel for each of NDCG@10 and HR@10.

    Args:
        table: Made by :func:`~recbole_samrec.compare.tables.main_table`; rows without runs are left out.
        title: Above the plot.
    """
    table = table[table["seeds"] > 0]
    height = 1.1 + 0.3 * len(table)
    with _style():
        figure = _figure(8.5, height)
        panels = figure.subplots(1, len(SHOWN), sharey=True)
        for axes, metric in zip(panels, SHOWN, strict=True):
            _dots(axes, table, metric)
        figure.suptitle(title)
    return figure


def _dots(axes: Axes, table: pd.DataFrame, metric: str) -> None:
    means, stds = table[f"{metric}_mean"], table[f"{metric}_std"].fillna(0)
    best = means.max()
    for place, (mean, std) in enumerate(zip(means, stds, strict=True)):
        shape = {"marker": "D", "color": INK} if place == 0 else {"marker": "o", "color": GREY}
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


def groups(table: pd.DataFrame, rows: Sequence[str], title: str) -> Figure:
    """Dots by group of users and of items, side by side for the rows, a panel for each metric and kind of group.

    Args:
        table: Made by :func:`~recbole_samrec.compare.groups.group_table`.
        rows: Labels in the order to show.
        title: Above the plot.
    """
    with _style():
        figure = _figure(8 + 0.3 * len(rows), 6)
        panels = figure.subplots(len(SHOWN), len(KINDS), sharex="col", sharey="row")
        for line, metric in zip(panels, SHOWN, strict=True):
            for axes, kind in zip(line, KINDS, strict=True):
                _dodged(axes, table[table["kind"] == kind], rows, metric)
            line[0].set_ylabel(metric.upper())
            line[0].set_ylim(bottom=-0.03 * line[0].get_ylim()[1])  # after both, which share it; a marker at 0 is whole
        for axes, counted in zip(panels[-1], KINDS.values(), strict=True):
            axes.set_xlabel(counted)
        _legend(figure, panels[0, 0])
        figure.suptitle(title)
    return figure


def _dodged(axes: Axes, table: pd.DataFrame, rows: Sequence[str], metric: str) -> None:
    labels = heads(table)
    places = np.arange(len(labels))
    for number, (row, offset) in enumerate(zip(rows, _offsets(len(rows), 0.72), strict=True)):
        part = table[table["row"] == row].set_index("group").reindex(list(labels))
        means, stds = part[f"{metric}_mean"], part[f"{metric}_std"].fillna(0)
        axes.errorbar(places + offset, means, stds, fmt=MARKERS[number % len(MARKERS)], **_look(row, number))
    for between in places[:-1] + 0.5:
        axes.axvline(between, color="0.8", linewidth=0.8)
    axes.grid(axis="x", visible=False)
    axes.set_xticks(places, ["\n".join(one) for one in labels.values()])


def fractions(table: pd.DataFrame, rows: Sequence[str], title: str) -> Figure:
    """Lines against the share of the users that models are trained on, a panel for each metric.

    Args:
        table: Made by :func:`~recbole_samrec.compare.tables.fraction_table`.
        rows: Labels in the order to show.
        title: Above the plot.
    """
    with _style():
        figure = _figure(9, 4.2)
        panels = figure.subplots(1, len(SHOWN))
        for axes, metric in zip(panels, SHOWN, strict=True):
            shares = 100 * np.sort(table["fraction"].unique())
            for number, (row, offset) in enumerate(zip(rows, _offsets(len(rows), np.ptp(shares) / 25), strict=True)):
                part = table[table["row"] == row]
                means, stds = part[f"{metric}_mean"], part[f"{metric}_std"].fillna(0)
                line = {"fmt": MARKERS[number % len(MARKERS)], "linestyle": LINES[number % len(LINES)]}
                axes.errorbar(100 * part["fraction"] + offset, means, stds, **line, **_look(row, number))
            axes.set_xticks(shares)
            axes.set_xlabel("users trained on, %")
            axes.set_ylabel(metric.upper())
        _legend(figure, panels[0])
        figure.suptitle(title)
    return figure


def rendered(figure: Figure, form: str) -> bytes:
    """The bytes of a figure as ``png`` or ``pdf``; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {"CreationDate": None} if form == "pdf" else {"Software": None}
    with _style():
        figure.savefig(buffer, format=form, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def _look(row: str, number: int) -> dict[str, Any]:
    """Marker and line of a row; the reference, which is the first, is filled."""
    colour = COLOURS[(number - 1) % len(COLOURS)] if number else INK
    face = "white" if number else INK
    return {
        "label": row, "color": colour, "markerfacecolor": face, "markersize": 5.5, "capsize": 2, "linewidth": 1.2,
        "zorder": 3 if number == 0 else 2,
    }  # fmt: skip


def _offsets(number: int, width: float) -> np.ndarray:
    """Places beside each other, around zero, so that error bars do not hide each other."""
    return np.linspace(-width / 2, width / 2, number) if number > 1 else np.zeros(1)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")


def _figure(width: float, height: float) -> Figure:
    """A figure of its own, in inches; pyplot, which keeps figures and asks for screens, is not needed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _style() -> AbstractContextManager:
    import matplotlib.style

    return matplotlib.style.context(["default", STYLE])  # whatever the user's own matplotlibrc says
