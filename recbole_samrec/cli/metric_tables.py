"""Small tables of a run's metrics on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from recbole_samrec.utils.console import print_line

ANY_WIDTH = 10_000
"""Columns of a terminal that has room for every table."""


def show_result(console: Console, result: Mapping[str, Any]) -> None:
    """Print a result's metrics for validation and test as a small table."""
    best = "" if result["best_epoch"] is None else f", best epoch {result['best_epoch'] + 1}"
    parts = [(part, result[part]) for part in ("valid", "test") if result[part]]
    _print_table(console, f"{result['label']} on {result['dataset']}{best}", parts)
    if line := describe_end(result):
        console.print(line, highlight=False, soft_wrap=True)


def describe_end(result: Mapping[str, Any]) -> str:
    """Describe how training ended: converged by early stopping, or after all epochs; empty if it is not known."""
    config, run = result["config"], result["epochs_run"]
    if not result["valid"] or result["best_epoch"] is None or not run:
        return ""
    if run < config["epochs"]:
        best = result["best_epoch"] + 1
        return f"converged: no better {config['valid_metric']} in the {run - best} epochs after epoch {best}"
    return f"not converged within epochs={run}: {config['valid_metric']} may still improve; raise --epochs"


def show_comparison(console: Console, title: str, scores: Mapping[bool, Mapping[str, Any]]) -> None:
    """Print the metrics of a run that was scored again, with the history unmasked and masked.

    Args:
        console: Where it is printed.
        title: What was scored.
        scores: For each mask, metrics of ``valid`` and ``test``.
    """
    parts = [(part, mask) for part in ("valid", "test") for mask in scores if scores[mask][part]]
    named = [(f"{part}, masked" if mask else part, scores[mask][part]) for part, mask in parts]
    _print_table(console, title, named)


def _print_table(console: Console, title: str, parts: Sequence[tuple[str, Mapping[str, float]]]) -> None:
    """Print the metrics of each part: one line per cut-off, or one line per metric where that is too wide."""
    if not parts:
        print_line(console, f"{title}: nothing was left to validate or test on")
        return
    table = _lay_out_cut_offs(title, parts)
    if _measure_width(console, table) > console.width:
        table = _lay_out_metrics(title, parts)
    if (width := _measure_width(console, table)) > console.width:
        table.width = width  # the terminal then wraps the lines, and no number is cut
    console.print(table, crop=False)


def _measure_width(console: Console, table: Table) -> int:
    """Measure the width that a table needs if no cell is wrapped or cut."""
    return console.measure(table, options=console.options.update(max_width=ANY_WIDTH)).maximum


def _lay_out_cut_offs(title: str, parts: Sequence[tuple[str, Mapping[str, float]]]) -> Table:
    """Make a table with a column per metric and a line per part and cut-off (metrics such as AUC have none)."""
    names = list(dict.fromkeys(key.split("@")[0] for key in _list_keys(parts)))
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for name in names:
        table.add_column(name.upper(), justify="right", no_wrap=True)
    for part, metrics in parts:
        cuts = list(dict.fromkeys(key.partition("@")[2] for key in metrics))
        for cut in cuts:
            figures = (_format(metrics, f"{name}@{cut}" if cut else name) for name in names)
            table.add_row(f"{part} K = {cut}" if cut else part, *figures, end_section=cut == cuts[-1])
    return table


def _lay_out_metrics(title: str, parts: Sequence[tuple[str, Mapping[str, float]]]) -> Table:
    """Make a table with a column per part and a line per metric and cut-off."""
    keys = _list_keys(parts)
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for part, _ in parts:
        table.add_column(part.replace(", ", ",\n"), justify="right", no_wrap=True)
    for key, following in zip(keys, [*keys[1:], ""], strict=True):
        ends = key.split("@")[0] != following.split("@")[0]
        table.add_row(key.upper(), *(_format(metrics, key) for _, metrics in parts), end_section=ends)
    return table


def _list_keys(parts: Sequence[tuple[str, Mapping[str, float]]]) -> list[str]:
    """List the keys of all metrics, such as ``ndcg@10``, grouped by metric in their order."""
    keys = list(dict.fromkeys(key for _, metrics in parts for key in metrics))
    names = list(dict.fromkeys(key.split("@")[0] for key in keys))
    names.sort(key=lambda name: {"hr": 0, "ndcg": 1, "mrr": 2}.get(name, 3))
    return sorted(keys, key=lambda key: names.index(key.split("@")[0]))


def _format(metrics: Mapping[str, float], key: str) -> str:
    return f"{metrics[key]:.4f}" if metrics.get(key) is not None else ""
