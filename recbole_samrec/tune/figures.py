"""The three figures of a search: parallel coordinates, the history of the best, the importance of the parameters."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recbole_samrec.tune.importance import encode_values, find_categories

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from recbole_samrec.config.parameters import Parameter

ACCENT, GRAY, INK = "#0072B2", "#8a8a8a", "#222222"
SCALE = "Viridis_r"
"""Distinguishable by color-blind readers; reversed, since the best has to be dark on white."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
AXIS_WIDTH = 145
"""Pixels from one parallel axis to the next, so that their labels do not touch."""
LABEL = 20
"""Letters of a label that fit into that width."""
FEW = 6
"""Largest number of distinct numbers that are evenly spaced on an axis, if some occur more than once."""
POORER = 0.25
"""Share of the trials with the palest color: a trial that learned nothing would otherwise take up the scale."""
UNITS = ((7200, 3600, "hours"), (120, 60, "minutes"), (0, 1, "seconds"))
"""Seconds from which a unit is used, its seconds, and its name."""


def draw_parallel(trials: pd.DataFrame, parameters: Sequence[Parameter], metric: str, bigger: bool) -> Figure:
    """Draw a line per trial through its parameters and its score; better lines are darker and further in front.

    Args:
        trials: At least two trials with a score.
        parameters: One axis each, in this order; the score comes last.
        metric: Name of the score.
        bigger: Whether more is better.
    """
    import plotly.graph_objects as go

    score = trials["score"].to_numpy(float)
    dimensions = [_make_axis(trials[one.name], one) for one in parameters]
    dimensions.append(_make_number_axis(metric, score, logarithmic=False))
    figure = _make_figure(
        go.Parcoords(dimensions=dimensions, line=_choose_colors(score, bigger), labelfont={"size": 12})
    )
    return figure.update_layout(height=440, margin={"l": 80, "r": 20, "t": 60, "b": 10})


def draw_history(trials: pd.DataFrame, metric: str, bigger: bool) -> Figure:
    """Draw each trial's score at the time of its end, and the best score so far.

    Args:
        trials: At least one trial with a score.
        metric: Name of the score.
        bigger: Whether more is better.
    """
    import plotly.graph_objects as go

    trials = trials.sort_values("ended", kind="stable")
    _, unit, name = next(one for one in UNITS if trials["ended"].max() >= one[0])
    time, score = trials["ended"] / unit, trials["score"]
    best = score.cummax() if bigger else score.cummin()
    figure = _make_figure(
        go.Scatter(x=time, y=best, mode="lines", name="best so far", line={"shape": "hv", "color": INK, "width": 1.5})
    )
    early = trials["status"] == "stopped early"
    for chosen, label, marker in (
        (~early, "finished", {"symbol": "circle", "color": ACCENT, "size": 9}),
        (early, "stopped early", {"symbol": "x-thin", "size": 8, "line": {"color": GRAY, "width": 1.5}}),
    ):
        hover = [f"trial {trial}, {epochs} epochs" for trial, epochs in trials.loc[chosen, ["trial", "epochs"]].values]
        points = {"x": time[chosen], "y": score[chosen], "name": label, "marker": marker, "hovertext": hover}
        figure.add_scatter(mode="markers", hovertemplate="%{y:.4f}<br>%{hovertext}<extra></extra>", **points)
    figure.update_xaxes(title=f"{name} since the start", rangemode="tozero")
    figure.update_yaxes(title={"text": _escape_text(metric), "standoff": 12})
    return figure.update_layout(height=400, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})


def draw_bars(shares: pd.DataFrame) -> Figure:
    """Draw a bar per parameter with its spread, the most important on top.

    Args:
        shares: Made by :func:`~recbole_samrec.tune.importance.importance`; at least one line.
    """
    import plotly.graph_objects as go

    shares = shares.iloc[::-1]
    below = shares[["importance", "spread"]].min(axis=1)  # no share is below zero
    error = {"array": shares["spread"], "arrayminus": below, "color": INK, "thickness": 1.2, "width": 4}
    figure = _make_figure(
        go.Bar(
            x=shares["importance"], y=[_escape_text(one) for one in shares["parameter"]], orientation="h", width=0.6,
            error_x=error, marker={"color": ACCENT}, hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(title="share explained", rangemode="tozero")
    figure.update_yaxes(type="category", showgrid=False, ticks="")
    return figure.update_layout(height=90 + 34 * len(shares), margin={"t": 10})


def find_width(parameters: Sequence[Parameter]) -> int:
    """Return the smallest width of the parallel coordinates in pixels."""
    return AXIS_WIDTH * (len(parameters) + 1) + 140


def shorten(value: Any) -> str:
    """Shorten a number to four digits; everything else stays as it is."""
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return str(value)


def _make_axis(values: pd.Series, parameter: Parameter) -> dict[str, Any]:
    """Make an axis; few values are evenly spaced, since 0, 0.01 and 0.1 would overlap on a linear scale."""
    if parameter.numeric and not values.nunique() <= min(FEW, len(values) - 1):
        return _make_number_axis(parameter.name, encode_values(values, parameter), parameter.logarithmic)
    places, names = find_categories(values)
    return _make_dimension(parameter.name, places, range(len(names)), names, margin=0.5)


def _make_number_axis(name: str, places: np.ndarray, logarithmic: bool) -> dict[str, Any]:
    numbers = (_place_logarithmic_ticks if logarithmic else _place_even_ticks)(places.min(), places.max())
    ticks = np.log10(numbers).tolist() if logarithmic else numbers
    return _make_dimension(name, places, ticks, numbers, margin=0 if len(ticks) > 1 else 0.5)


def _make_dimension(name: str, places: np.ndarray, ticks: Sequence[float], values: Sequence, margin: float) -> dict:
    return {
        "label": _cut_label(name),
        "values": places,
        "range": [ticks[0] - margin, ticks[-1] + margin],
        "tickvals": list(ticks),
        "ticktext": [_cut_label(shorten(one)) for one in values],
    }


def _place_even_ticks(low: float, high: float) -> list[float]:
    """Return round numbers that enclose others, or the only one."""
    from matplotlib.ticker import MaxNLocator

    if low == high:
        return [low]
    return np.asarray(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)).tolist()


def _place_logarithmic_ticks(low: float, high: float) -> list[float]:
    """Return numbers whose logarithms enclose others: powers of ten, and multiples by 2 and 5 if these are few."""
    if high - low < math.log10(2):  # 1, 2 and 5 are too far apart
        return _place_even_ticks(10**low, 10**high)
    exponents = range(math.floor(low), math.ceil(high) + 1)
    digits = (1, 2, 5) if high - low < 3 else (1,)
    numbers = np.array([float(f"{digit}e{exponent}") for exponent in exponents for digit in digits])
    first = np.flatnonzero(np.log10(numbers) <= low)[-1]
    last = np.flatnonzero(np.log10(numbers) >= high)[0]
    return numbers[first : last + 1].tolist()


def _choose_colors(score: np.ndarray, bigger: bool) -> dict[str, Any]:
    """Choose the colors of lines; plotly draws larger numbers in front, so a score to minimize is negated."""
    sign = 1 if bigger else -1
    worst, best = np.quantile(sign * score, [POORER, 1])
    ticks = _place_even_ticks(*sorted((sign * worst, sign * best)))
    return {
        "color": sign * score,
        "cmin": worst,
        "cmax": best,
        "colorscale": SCALE,
        "showscale": bool(best > worst),
        "colorbar": {
            "tickvals": [sign * one for one in ticks],
            "ticktext": [shorten(one) for one in ticks],
            "thickness": 12,
            "outlinewidth": 0,
        },
    }


def _make_figure(trace: Any) -> Figure:
    import plotly.graph_objects as go

    font = {"family": FONT, "size": 13, "color": INK}
    figure = go.Figure(trace, layout={"template": "none", "dragmode": False, "font": font})  # a finger scrolls the page
    look = {"gridcolor": "#e6e6e6", "zeroline": False, "automargin": True, "ticks": "outside", "tickcolor": "#cccccc"}
    figure.update_xaxes(**look)
    figure.update_yaxes(**look)
    return figure.update_layout(margin={"l": 20, "r": 20, "t": 40, "b": 20}, hoverlabel={"font": {"family": FONT}})


def _cut_label(text: str) -> str:
    """Cut text to the space between two parallel axes."""
    return _escape_text(text if len(text) <= LABEL else text[: LABEL - 1] + "…")


def _escape_text(text: str) -> str:
    """Escape text, since plotly interprets some HTML."""
    return html.escape(text, quote=False)
