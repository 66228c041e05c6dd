"""What a user sees of a run: one bar on a terminal, plain lines elsewhere, a small table at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from recbole_samrec.trainer.callbacks import Listener


class Course(Listener):
    """Follows a run: how far it is, its last loss and score, and how long it may take yet.

    Args:
        epochs: Most epochs that the run may take.
        metric: Name of the validation metric.
        best: Best score so far of a run that goes on; infinite if there is none.
    """

    def __init__(self, epochs: int, metric: str, best: float = math.inf) -> None:
        self.epochs, self.metric = epochs, metric
        self.best = best if math.isfinite(best) else None
        self.loss: float | None = None
        self.score: float | None = None
        self.epoch = self.done = 0.0
        self._steps = 1
        self._start: tuple[float, float] | None = None

    def stage(self, name: str, epochs: int) -> None:
        """Begin to count anew."""
        self.epochs, self.loss, self.score, self._start = epochs, None, None, None
        self.epoch = self.done = 0.0

    def epoch_started(self, epoch: int, steps: int) -> None:
        """Count the steps of a new epoch."""
        self._start = self._start or (time.monotonic(), epoch)
        self.epoch, self.done, self._steps = epoch, epoch, max(steps, 1)

    def stepped(self) -> None:
        """Go on by a step; a model that trains in several rounds has more steps than were announced."""
        self.done = min(self.done + 1 / self._steps, self.epoch + 1)

    def trained(self, epoch: int, loss: float, seconds: float) -> None:
        """Take the loss of an epoch."""
        self.loss, self.done = loss, epoch + 1

    def validated(self, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Take the score of an epoch."""
        self.score = score
        if best:
            self.best = score

    @property
    def left(self) -> str:
        """Time that the remaining epochs take at the pace so far, validation included; training may stop early."""
        if self._start is None or self.done <= self._start[1]:
            return "-:--:--"
        pace = (time.monotonic() - self._start[0]) / (self.done - self._start[1])
        return str(timedelta(seconds=round(pace * (self.epochs - self.done))))

    def __str__(self) -> str:
        """Loss, score and best score."""
        return f"loss {shown(self.loss)}  {self.metric} {shown(self.score)}  best {shown(self.best)}"


def shown(value: float | None) -> str:
    """A number in at most 8 characters: ``0.1234``, ``12.3457``, ``651.6``, ``1.2e+06``."""
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}" if abs(value) < 1e5 else f"{value:.1e}"


class Bar(Course):
    """One progress bar for the whole run, in one line of a terminal of 80 columns.

    Args:
        console: Where it is drawn.
        title: What is trained on what.
        epochs: Most epochs that the run may take.
        metric: Name of the validation metric.
        best: Best score so far of a run that goes on.
    """

    def __init__(self, console: Console, title: str, epochs: int, metric: str, best: float = math.inf) -> None:
        super().__init__(epochs, metric if len(metric) <= 12 else "valid", best)
        columns = (
            TextColumn("{task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}  {task.fields[left]} left"),
        )
        self._title, self._console = title, console
        self._progress = Progress(*columns, console=console, expand=True)
        self._task = self._progress.add_task("", total=epochs, **self._fields())

    def _fields(self) -> dict[str, str]:
        number = min(int(self.epoch) + 1, self.epochs)
        return {"epoch": f"epoch {number}/{self.epochs}", "figures": str(self), "left": self.left}

    def __enter__(self) -> Bar:
        """Start drawing."""
        self._console.print(Text(self._title, style="bold", no_wrap=True, overflow="ellipsis"))
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop drawing and leave the last state on the screen."""
        self._draw()
        self._progress.stop()

    def _draw(self) -> None:
        self._progress.update(self._task, completed=self.done, **self._fields())

    def stage(self, name: str, epochs: int) -> None:
        """Name the stage above the bar, which begins anew."""
        super().stage(name, epochs)
        self._console.print(Text(name), soft_wrap=True)
        self._progress.reset(self._task, total=epochs, **self._fields())

    def epoch_started(self, epoch: int, steps: int) -> None:
        """Show which epoch begins."""
        super().epoch_started(epoch, steps)
        self._draw()

    def stepped(self) -> None:
        """Move the bar by a step."""
        super().stepped()
        self._draw()

    def trained(self, epoch: int, loss: float, seconds: float) -> None:
        """Show the loss."""
        super().trained(epoch, loss, seconds)
        self._draw()

    def validated(self, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Show the score."""
        super().validated(epoch, score, result, best)
        self._draw()


class Lines(Course):
    """One plain line an epoch, for output that is not a terminal.

    Args:
        console: Where they are printed.
        epochs: Most epochs that the run may take.
        metric: Name of the validation metric.
        best: Best score so far of a run that goes on.
    """

    def __init__(self, console: Console, epochs: int, metric: str, best: float = math.inf) -> None:
        super().__init__(epochs, metric, best)
        self._console = console
        self._waiting = False

    def __enter__(self) -> Lines:
        """Nothing to start."""
        return self

    def __exit__(self, *error: object) -> None:
        """Print what is known of an epoch that was not validated."""
        self._print()

    def stage(self, name: str, epochs: int) -> None:
        """Print the name of the stage."""
        self._print()
        super().stage(name, epochs)
        self._console.print(Text(name), soft_wrap=True)

    def epoch_started(self, epoch: int, steps: int) -> None:
        """Print what is known of an epoch before that was not validated."""
        self._print()
        super().epoch_started(epoch, steps)

    def trained(self, epoch: int, loss: float, seconds: float) -> None:
        """Wait with the line for the score, if there will be one."""
        super().trained(epoch, loss, seconds)
        self.score, self._waiting = None, True

    def validated(self, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Print the line of the epoch."""
        super().validated(epoch, score, result, best)
        self._print()

    def _print(self) -> None:
        if self._waiting:
            line = f"epoch {int(self.epoch) + 1}/{self.epochs}  {self}  {self.left} left"
            self._console.print(line, highlight=False, soft_wrap=True)
        self._waiting = False


def watch(console: Console, title: str, epochs: int, metric: str, best: float = math.inf) -> Bar | Lines:
    """A bar on a terminal, lines elsewhere."""
    if console.is_terminal:
        return Bar(console, title, epochs, metric, best)
    return Lines(console, epochs, metric, best)


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
