"""The page of a search: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from recbole_samrec.tune import figures
from recbole_samrec.tune.importance import FEWEST, importance, scored
from recbole_samrec.utils.files import write_atomically
from recbole_samrec.utils.templates import load_template

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from recbole_samrec.tune.spaces import Parameter

TEMPLATE = Path(__file__).parent / "templates" / "search.html.jinja"


def write_page(
    file: Path,
    trials: pd.DataFrame,
    parameters: Sequence[Parameter],
    *,
    title: str,
    metric: str,
    bigger: bool,
    facts: Mapping[str, str],
    best: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, float]],
) -> None:
    """Write what a search found as one HTML file: the best configuration, three figures and all trials.

    Args:
        file: Where to write; replaced as a whole or not at all.
        trials: One line a trial: ``trial``, ``status`` ("finished", "stopped early" or "failed"), ``score`` (its best
            value of the metric on validation; nan where there is none), ``epochs``, ``seconds`` of training, ``ended``
            (seconds from the start of the search), ``reason`` of a failure, and a column for each parameter.
        parameters: The parameters that were searched.
        title: Heading of the page.
        metric: Name of the score.
        bigger: Whether more of it is better.
        facts: What was searched and how, in the order to show.
        best: The best configuration; empty if there is none.
        scores: Metrics of the best configuration: ``valid`` and ``test``, as far as there are any.

    Raises:
        ConfigError: The file cannot be written.
    """
    write_atomically(file, page(trials, parameters, title, metric, bigger, facts, best, scores))


def page(
    trials: pd.DataFrame,
    parameters: Sequence[Parameter],
    title: str,
    metric: str,
    bigger: bool,
    facts: Mapping[str, str],
    best: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, float]],
) -> str:
    """The text of the page; see :func:`write_page`."""
    from plotly.offline import get_plotlyjs

    good = scored(trials)
    shares = importance(trials, parameters)
    return load_template(TEMPLATE, short=figures.short, score=_score, duration=_duration).render(
        title=title,
        metric=metric,
        facts=facts,
        best=best,
        scores=scores,
        names=[one.name for one in parameters],
        trials=_ordered(trials, good, bigger),
        good=good,
        fewest=FEWEST,
        parallel=_drawn(figures.parallel(good, parameters, metric, bigger), "parallel") if len(good) > 1 else None,
        parallel_width=figures.width(parameters),
        history=_drawn(figures.history(good, metric, bigger), "history") if len(good) else None,
        bars=_drawn(figures.bars(shares), "importance") if len(shares) else None,
        plotly=Markup(get_plotlyjs()) if len(good) else None,
    )


def _ordered(trials: pd.DataFrame, good: pd.DataFrame, bigger: bool) -> list[dict[str, Any]]:
    """Trials with the best first; those that cannot be compared come last, in the order of their numbers."""
    ranked = good.sort_values("score", ascending=not bigger, kind="stable")
    rest = trials.drop(good.index).sort_values("trial")
    return pd.concat([ranked, rest]).astype(object).to_dict("records")


def _drawn(figure: Figure, name: str) -> Markup:
    """A figure as HTML that takes plotly's script for granted; it escapes what could end a script."""
    buttons = [["zoom2d", "pan2d", "resetScale2d"]] if name == "history" else []
    config = {"displaylogo": False, "responsive": True, "modeBarButtons": buttons, "displayModeBar": bool(buttons)}
    return Markup(figure.to_html(config=config, full_html=False, include_plotlyjs=False, div_id=name))


def _score(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.4f}"


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds, the smallest left out where it says little."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
