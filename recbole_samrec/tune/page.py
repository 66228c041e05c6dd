"""The page of a search: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from recbole_samrec.tune import figures
from recbole_samrec.tune.importance import FEWEST, importance, select_scored
from recbole_samrec.utils.templates import load_template

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from recbole_samrec.config.parameters import Parameter

TEMPLATE = Path(__file__).parent / "templates" / "search.html.jinja"


def render_page(
    trials: pd.DataFrame,
    parameters: Sequence[Parameter],
    *,
    title: str,
    metric: str,
    bigger: bool,
    facts: Mapping[str, str],
    best: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, float]],
) -> str:
    """Render the results of a search as one HTML page: the best configuration, three figures and all trials.

    Args:
        trials: One line per trial: ``trial``, ``status`` ("finished", "stopped early" or "failed"), ``score`` (its best
            value of the metric on validation; nan where there is none), ``epochs``, ``seconds`` of training, ``ended``
            (seconds from the start of the search), ``reason`` of a failure, and a column for each parameter.
        parameters: The parameters that were searched.
        title: Heading of the page.
        metric: Name of the score.
        bigger: Whether more of it is better.
        facts: Facts about the search, in the order to show.
        best: The best configuration; empty if there is none.
        scores: Metrics of the best configuration: ``valid`` and ``test``, if available.
    """
    from plotly.offline import get_plotlyjs

    good = select_scored(trials)
    shares = importance(trials, parameters)
    parallel = figures.draw_parallel(good, parameters, metric, bigger) if len(good) > 1 else None
    return load_template(TEMPLATE, short=figures.shorten, score=_format_score, duration=_format_duration).render(
        title=title,
        metric=metric,
        facts=facts,
        best=best,
        scores=scores,
        names=[one.name for one in parameters],
        trials=_order_trials(trials, good, bigger),
        good=good,
        fewest=FEWEST,
        parallel=None if parallel is None else _embed_figure(parallel, "parallel"),
        parallel_width=figures.find_width(parameters),
        history=_embed_figure(figures.draw_history(good, metric, bigger), "history") if len(good) else None,
        bars=_embed_figure(figures.draw_bars(shares), "importance") if len(shares) else None,
        plotly=Markup(get_plotlyjs()) if len(good) else None,
    )


def _order_trials(trials: pd.DataFrame, good: pd.DataFrame, bigger: bool) -> list[dict[str, Any]]:
    """Order trials with the best first; those that cannot be compared come last, in the order of their numbers."""
    ranked = good.sort_values("score", ascending=not bigger, kind="stable")
    rest = trials.drop(good.index).sort_values("trial")
    return pd.concat([ranked, rest]).astype(object).to_dict("records")


def _embed_figure(figure: Figure, name: str) -> Markup:
    """Render a figure as HTML without plotly's script, with everything escaped that could end a script."""
    buttons = [["zoom2d", "pan2d", "resetScale2d"]] if name == "history" else []
    config = {"displaylogo": False, "responsive": True, "modeBarButtons": buttons, "displayModeBar": bool(buttons)}
    return Markup(figure.to_html(config=config, full_html=False, include_plotlyjs=False, div_id=name))


def _format_score(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.4f}"


def _format_duration(seconds: float) -> str:
    """Format hours, minutes and seconds, without the smallest unit where it is negligible."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
