"""What a user sees of a run: one bar on a terminal, plain lines elsewhere, a small table at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from recbole_samrec.trainer import Listener


class Bar(Listener):
    """One progress bar for the whole run.

    Args:
        console: Where it is drawn.
        title: What is trained on what.
        epochs: Most epochs that the run may take.
        metric: Name of the validation metric.
    """

    def __init__(self, console: Console, title: str, epochs: int, metric: str) -> None:
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}  loss {task.fields[loss]}"),
            TextColumn(metric + " {task.fields[score]}  best {task.fields[best]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
        )
        self._progress = Progress(*columns, console=console, transient=False, speed_estimate_period=600)
        blank = dict.fromkeys(("loss", "score", "best"), "-")
        self._task = self._progress.add_task(title, total=epochs, epoch=0, epochs=epochs, **blank)
        self._steps = 1
        self._epoch = 0
        self._done = 0

    def __enter__(self) -> Bar:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop drawing and leave the last state on the screen."""
        self._progress.stop()

    def epoch_started(self, epoch: int, steps: int) -> None:
        """Count the steps of a new epoch."""
        self._epoch, self._steps, self._done = epoch, max(steps, 1), 0
        self._progress.update(self._task, epoch=epoch + 1, completed=epoch)

    def stepped(self) -> None:
        """Move the bar by a step."""
        self._done += 1
        self._progress.update(self._task, completed=self._epoch + min(self._done / self._steps, 1.0))

    def trained(self, epoch: int, loss: float, seconds: float) -> None:
        """Show the loss."""
        self._progress.update(self._task, loss=f"{loss:.4f}", completed=epoch + 1)

    def validated(self, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Show the validation metric."""
        self._progress.update(self._task, score=f"{score:.4f}", **({"best": f"{score:.4f}"} if best else {}))


class Lines(Listener):
    """One plain line an epoch, for output that is not a terminal.

    Args:
        console: Where they are printed.
        epochs: Most epochs that the run may take.
        metric: Name of the validation metric.
    """

    def __init__(self, console: Console, epochs: int, metric: str) -> None:
        self._console, self._epochs, self._metric = console, epochs, metric

    def __enter__(self) -> Lines:
        """Nothing to start."""
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to stop."""

    def trained(self, epoch: int, loss: float, seconds: float) -> None:
        """Print the loss of an epoch."""
        self._print(f"epoch {epoch + 1}/{self._epochs}  loss {loss:.4f}  {seconds:.1f} s")

    def validated(self, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Print the validation metric."""
        self._print(f"epoch {epoch + 1}/{self._epochs}  {self._metric} {score:.4f}{'  best so far' if best else ''}")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


def watch(console: Console, title: str, epochs: int, metric: str) -> Bar | Lines:
    """A bar on a terminal, lines elsewhere."""
    return Bar(console, title, epochs, metric) if console.is_terminal else Lines(console, epochs, metric)


def show_result(console: Console, result: Mapping[str, Any]) -> None:
    """Print a result's metrics for validation and test as a small table."""
    best = "" if result["best_epoch"] is None else f", best epoch {result['best_epoch'] + 1}"
    rows = [(part, result[part]) for part in ("valid", "test") if result[part]]
    _print_table(console, f"{result['model']} on {result['dataset']}{best}", rows)


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
