"""Small tables of a run's metrics on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def show_result(console: Console, result: Mapping[str, Any]) -> None:
    """Print a result's metrics for validation and test as a small table."""
    best = "" if result["best_epoch"] is None else f", best epoch {result['best_epoch'] + 1}"
    rows = [(part, result[part]) for part in ("valid", "test") if result[part]]
    _print_table(console, f"{result['label']} on {result['dataset']}{best}", rows)
    if line := how_it_ended(result):
        console.print(line, highlight=False, soft_wrap=True)


def how_it_ended(result: Mapping[str, Any]) -> str:
    """Whether training converged, by early stopping, or used up its epochs; empty where neither can be said."""
    config, run = result["config"], result["epochs_run"]
    if not result["valid"] or result["best_epoch"] is None or not run:
        return ""
    if run < config["epochs"]:
        best = result["best_epoch"] + 1
        return f"converged: no better {config['valid_metric']} in the {run - best} epochs after epoch {best}"
    return f"not converged within epochs={run}: {config['valid_metric']} may still improve; raise --epochs"


def show_comparison(console: Console, title: str, scores: Mapping[bool, Mapping[str, Any]]) -> None:
    """Print the metrics of a run scored again, as RecBole ranks and with each user's history left out (masked).

    Args:
        console: Where it is printed.
        title: What was scored.
        scores: For each mask, metrics of ``valid`` and ``test``.
    """
    parts = [(part, mask) for part in ("valid", "test") for mask in scores if scores[mask][part]]
    rows = [(f"{part}, masked" if mask else part, scores[mask][part]) for part, mask in parts]
    _print_table(console, title, rows)


def _print_table(console: Console, title: str, rows: Sequence[tuple[str, Mapping[str, float]]]) -> None:
    """Print for each row, a name and its metrics, one line for each cut-off (none for AUC and its like)."""
    names = list(dict.fromkeys(key.split("@")[0] for _, metrics in rows for key in metrics))
    names.sort(key=lambda name: {"hr": 0, "ndcg": 1, "mrr": 2}.get(name, 3))
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column(name.upper(), justify="right")
    for row, metrics in rows:
        cuts = list(dict.fromkeys(key.partition("@")[2] for key in metrics))
        for cut in cuts:
            values = [metrics.get(f"{name}@{cut}" if cut else name) for name in names]
            figures = ("" if value is None else f"{value:.4f}" for value in values)
            table.add_row(f"{row} K = {cut}" if cut else row, *figures, end_section=cut == cuts[-1])
    console.print(table)
