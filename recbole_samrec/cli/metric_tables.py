"""Small tables of a run's metrics on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from recbole_samrec.utils.console import print_line


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
    """Print the metrics of a run scored again, as RecBole ranks and with each user's history masked.

    Args:
        console: Where it is printed.
        title: What was scored.
        scores: For each mask, metrics of ``valid`` and ``test``.
    """
    parts = [(part, mask) for part in ("valid", "test") for mask in scores if scores[mask][part]]
    named = [(f"{part}, masked" if mask else part, scores[mask][part]) for part, mask in parts]
    _print_table(console, title, named)


def _print_table(console: Console, title: str, parts: Sequence[tuple[str, Mapping[str, float]]]) -> None:
    """Print a name and its metrics for each part, one line per cut-off (metrics such as AUC have none)."""
    if not parts:
        line = f"{title}: nothing was left to validate or test on"
        print_line(console, line)
        return
    names = list(dict.fromkeys(key.split("@")[0] for _, metrics in parts for key in metrics))
    names.sort(key=lambda name: {"hr": 0, "ndcg": 1, "mrr": 2}.get(name, 3))
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column(name.upper(), justify="right")
    for part, metrics in parts:
        cuts = list(dict.fromkeys(key.partition("@")[2] for key in metrics))
        for cut in cuts:
            values = [metrics.get(f"{name}@{cut}" if cut else name) for name in names]
            figures = ("" if value is None else f"{value:.4f}" for value in values)
            table.add_row(f"{part} K = {cut}" if cut else part, *figures, end_section=cut == cuts[-1])
    console.print(table)
