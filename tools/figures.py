"""The figures, tables and blocks that ``tools/write_readme.py`` puts into pages, by name."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks import cases
from recbole_samrec import compat
from recbole_samrec.cli.metric_tables import show_result
from recbole_samrec.compare.layout import DIGITS
from recbole_samrec.data.catalog import PUBLISHED
from recbole_samrec.version import REPOSITORY
from tools import speed_figures
from tools.bibtex import render_bibtex
from tools.draw_speed import render_picture
from tools.evidence import METRIC, read_table
from tools.sam_effects import render_effects

QUICK_START = Path(__file__).resolve().parents[1] / "results" / "records" / "quick_start" / "result.json"
"""The result of ``make run``."""
WRONG_TEST_ITEMS = 149
"""Users of ml-100k whose test item is not their latest without a patch; ``test_time_order.py`` counts them."""


def render_quick_start() -> str:
    """Return what ``make run`` prints at its end."""
    output = io.StringIO()
    show_result(Console(file=output, width=120), json.loads(QUICK_START.read_text(encoding="utf-8")))
    lines = (line.rstrip() for line in output.getvalue().splitlines())
    return "\n".join(["```text", *lines, "```"])


def make_badges(repository: str = REPOSITORY) -> str:
    """Return the badges: that of the tests, if there is a public repository where they run.

    Args:
        repository: Its address; empty while there is none.
    """
    workflow = f"{repository}/actions/workflows/ci.yml"
    return f"[![tests]({workflow}/badge.svg)]({workflow})" if repository else ""


def _format_tuned_gru4rec() -> str:
    return f"{read_table('ml-100k-tuned').loc['GRU4Rec', f'{METRIC}_mean']:.{DIGITS}f}"


FIGURES: dict[str, Callable[[], str]] = {
    "badges": make_badges,
    "bibtex": render_bibtex,
    "picture": render_picture,
    "patches": lambda: str(len(compat.PATCHES)),
    "silent-patches": lambda: str(sum(patch.silent for patch in compat.PATCHES.values())),
    "wrong-test-items": lambda: f"{WRONG_TEST_ITEMS} of {PUBLISHED['ml-100k'].users}",
    "speedup": lambda: speed_figures.format_least_speedup(cases.SASREC),
    "speedup-with-sam": lambda: speed_figures.format_least_speedup(cases.SAMREC),
    "calm-speedups": speed_figures.list_calm_speedups,
    "speed": speed_figures.render_speed,
    "costs": speed_figures.render_costs,
    "quick-start": render_quick_start,
    "sam-effects": render_effects,
    "tuned-gru4rec": _format_tuned_gru4rec,
}
"""Name of a figure, and the function that returns its text in Markdown."""
