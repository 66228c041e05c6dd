"""The three figures of a search: parallel coordinates, the history of the best, the importance of the parameters."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recbole_samrec.tune.importance import as_categories, encoded

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from recbole_samrec.tune.spaces import Parameter

ACCENT, GREY, INK = "#0072B2", "#8a8a8a", "#222222"
SCALE = "Viridis_r"
"""Told apart by those who see few colours too; reversed, since the best has to be the dark one on white."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
AXIS_WIDTH = 145
"""Pixels from one parallel axis to the next, so that their labels do not touch."""
LABEL = 20
"""Letters of a label that fit into that width."""
FEW = 6
"""Different numbers up to which each has a place of its own on an axis, if some come more than once."""
POORER = 0.25
"""Share of the trials that have the palest colour: one that learnt nothing would else use up the whole scale."""
UNITS = ((7200, 3600, "hours"), (120, 60, "minutes"), (0, 1, "seconds"))
"""From so many seconds on, the seconds of a unit, and its name."""


def parallel(trials: pd.DataFrame, parameters: Sequence[Parameter], metric: str, bigger: bool) -> Figure:
    """A line a trial through its parameters and its score; the better, the darker and the further in front.

    Args:
        trials: At least two trials with a score.
        parameters: One axis each, in this order; the score comes last.
        metric: Name of the score.
        bigger: Whether more is better.
    """
    import plotly.graph_objects as go

    score = trials["score"].to_numpy(float)
    dimensions = [_axis(trials[one.name], one) for one in parameters]
    dimensions.append(_numbers(metric, score, logarithmic=False))
    figure = _figure(go.Parcoords(dimensions=dimensions, line=_shades(score, bigger), labelfont={"size": 12}))
    return figure.update_layout(height=440, margin={"l": 80, "r": 20, "t": 60, "b": 10})


def history(trials: pd.DataFrame, metric: str, bigger: bool) -> Figure:
    """Each trial's score at the time of its end, and the best of those that had ended by then.

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
    figure = _figure(
        go.Scatter(x=time, y=best, mode="lines", name="best so far", line={"shape": "hv", "color": INK, "width": 1.5})
    )
    early = trials["status"] == "stopped early"
    for chosen, label, marker in (
        (~early, "finished", {"symbol": "circle", "color": ACCENT, "size": 9}),
        (early, "stopped early", {"symbol": "x-thin", "size": 8, "line": {"color": GREY, "width": 1.5}}),
    ):
        hover = [f"trial {trial}, {epochs} epochs" for trial, epochs in trials.loc[chosen, ["trial", "epochs"]].values]
        points = {"x": time[chosen], "y": score[chosen], "name": label, "marker": marker, "hovertext": hover}
        figure.add_scatter(mode="markers", hovertemplate="%{y:.4f}<br>%{hovertext}<extra></extra>", **points)
    figure.update_xaxes(title=f"{name} since the start", rangemode="tozero")
    figure.update_yaxes(title={"text": _text(metric), "standoff": 12})
    return figure.update_layout(height=400, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})


def bars(shares: pd.DataFrame) -> Figure:
    """A bar a parameter with its spread, the most important on top.

    Args:
        shares: Made by :func:`~recbole_samrec.tune.importance.importance`; at least one line.
    """
    import plotly.graph_objects as go

    shares = shares.iloc[::-1]
    below = shares[["importance", "spread"]].min(axis=1)  # no share is below zero
    error = {"array": shares["spread"], "arrayminus": below, "color": INK, "thickness": 1.2, "width": 4}
    figure = _figure(
        go.Bar(
            x=shares["importance"], y=[_text(one) for one in shares["parameter"]], orientation="h", width=0.6,
            error_x=error, marker={"color": ACCENT}, hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(title="share explained", rangemode="tozero")
    figure.update_yaxes(type="category", showgrid=False, ticks="")
    return figure.update_layout(height=90 + 34 * len(shares), margin={"t": 10})


def width(parameters: Sequence[Parameter]) -> int:
    """Pixels that the parallel coordinates need at least."""
    return AXIS_WIDTH * (len(parameters) + 1) + 140


def short(value: Any) -> str:
    """A value in few letters: four digits of a number, and everything else as it is."""
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return str(value)


def _axis(values: pd.Series, parameter: Parameter) -> dict[str, Any]:
    """Few choices stand evenly, as 0, 0.01 and 0.1 could not be told apart on an even scale."""
    if parameter.numeric and not values.nunique() <= min(FEW, len(values) - 1):
        return _numbers(parameter.name, encoded(values, parameter), parameter.logarithmic)
    places, names = as_categories(values)
    return _dimension(parameter.name, places, range(len(names)), names, margin=0.5)


def _numbers(name: str, places: np.ndarray, logarithmic: bool) -> dict[str, Any]:
    numbers = (_logarithmic_ticks if logarithmic else _even_ticks)(places.min(), places.max())
    ticks = np.log10(numbers).tolist() if logarithmic else numbers
    return _dimension(name, places, ticks, numbers, margin=0 if len(ticks) > 1 else 0.5)


def _dimension(name: str, places: np.ndarray, ticks: Sequence[float], values: Sequence, margin: float) -> dict:
    return {
        "label": _label(name),
        "values": places,
        "range": [ticks[0] - margin, ticks[-1] + margin],
        "tickvals": list(ticks),
        "ticktext": [_label(short(one)) for one in values],
    }


def _even_ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose others, or the only one."""
    from matplotlib.ticker import MaxNLocator

    if low == high:
        return [low]
    return np.asarray(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)).tolist()


def _logarithmic_ticks(low: float, high: float) -> list[float]:
    """Numbers whose logarithms enclose others: powers of ten, with 2 and 5 between where these are few."""
    if high - low < math.log10(2):  # 1, 2 and 5 are too far apart
        return _even_ticks(10**low, 10**high)
    exponents = range(math.floor(low), math.ceil(high) + 1)
    digits = (1, 2, 5) if high - low < 3 else (1,)
    numbers = np.array([float(f"{digit}e{exponent}") for exponent in exponents for digit in digits])
    first = np.flatnonzero(np.log10(numbers) <= low)[-1]
    last = np.flatnonzero(np.log10(numbers) >= high)[0]
    return numbers[first : last + 1].tolist()


def _shades(score: np.ndarray, bigger: bool) -> dict[str, Any]:
    """Colours of lines; plotly draws greater numbers in front, so a score of which less is better is negated."""
    sign = 1 if bigger else -1
    worst, best = np.quantile(sign * score, [POORER, 1])
    ticks = _even_ticks(*sorted((sign * worst, sign * best)))
    return {
        "color": sign * score,
        "cmin": worst,
        "cmax": best,
        "colorscale": SCALE,
        "showscale": bool(best > worst),
        "colorbar": {
            "tickvals": [sign * one for one in ticks],
            "ticktext": [short(one) for one in ticks],
            "thickness": 12,
            "outlinewidth": 0,
        },
    }


def _figure(trace: Any) -> Figure:
    import plotly.graph_objects as go

    font = {"family": FONT, "size": 13, "color": INK}
    figure = go.Figure(trace, layout={"template": "none", "dragmode": False, "font": font})  # a finger scrolls the page
    look = {"gridcolor": "#e6e6e6", "zeroline": False, "automargin": True, "ticks": "outside", "tickcolor": "#cccccc"}
    figure.update_xaxes(**look)
    figure.update_yaxes(**look)
    return figure.update_layout(margin={"l": 20, "r": 20, "t": 40, "b": 20}, hoverlabel={"font": {"family": FONT}})


def _label(text: str) -> str:
    """Text cut to what fits between two parallel axes."""
    return _text(text if len(text) <= LABEL else text[: LABEL - 1] + "…")


def _text(text: str) -> str:
    """Text in which plotly, which has some HTML of its own, finds none."""
    return html.escape(text, quote=False)
