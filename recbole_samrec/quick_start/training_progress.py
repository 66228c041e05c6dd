"""The progress of a run: one bar on a terminal, plain lines elsewhere, notebooks included."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from recbole_samrec.trainer.callbacks import Callback, best_score, planned_epochs


class TrainingProgress(Callback):
    """Follows a run: epochs done, last loss and score, and the time that remains."""

    def __init__(self) -> None:
        self.epochs, self.metric = 1, "valid"
        self.best: float | None = None
        self.loss: float | None = None
        self.score: float | None = None
        self.epoch = self.done = 0.0
        self._steps = 1
        self._earliest: int | None = None
        self._start: tuple[float, float] | None = None

    def on_train_start(self, trainer: Any) -> None:
        """Store the number of epochs, the name of the metric, and the best score of a resumed run."""
        self.epochs, self.metric = planned_epochs(trainer), str(trainer.config["valid_metric"])
        best = best_score(trainer)
        self.best = best if math.isfinite(best) else None

    def on_stage_start(self, trainer: Any, stage: str, epochs: int) -> None:
        """Start counting from 0."""
        self.epochs, self.loss, self.score, self._start, self._earliest = epochs, None, None, None, None
        self.epoch = self.done = 0.0

    def on_train_epoch_start(self, trainer: Any, epoch: int, steps: int) -> None:
        """Start counting the steps of an epoch."""
        self._start = self._start or (time.monotonic(), epoch)
        self.epoch, self.done, self._steps = epoch, epoch, max(steps, 1)

    def on_train_batch_end(self, trainer: Any, epoch: int, step: int) -> None:
        """Count a step; models with several optimizers take more steps than were announced."""
        self.done = min(epoch + step / self._steps, epoch + 1)

    def on_train_epoch_end(self, trainer: Any, epoch: int, loss: float, seconds: float) -> None:
        """Store the loss of an epoch."""
        self.loss, self.done = loss, epoch + 1

    def on_validation_end(self, trainer: Any, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Store the score of an epoch."""
        self.score = score
        if best:
            self.best = score
        self._earliest = find_earliest_end(trainer, epoch, best)

    @property
    def left(self) -> str:
        """Time left at the pace so far, with validation: ``0:01:00``, or ``0:01:00 to 0:05:00`` with early stopping."""
        least, most = self._find_time_left()
        return least if least == most else f"{least} to {most}"

    @property
    def least_left(self) -> str:
        """Minimum time left: ``0:01:00+`` if training may stop early but need not."""
        least, most = self._find_time_left()
        return least if least == most else f"{least}+"

    def _find_time_left(self) -> tuple[str, str]:
        """Find the time until early stopping can end training, and until all epochs are done."""
        if self._start is None or self.done <= self._start[1]:
            return "-:--:--", "-:--:--"
        pace = (time.monotonic() - self._start[0]) / (self.done - self._start[1])
        earliest = self.epochs if self._earliest is None else max(min(self._earliest, self.epochs), self.done)
        least, most = (timedelta(seconds=round(pace * (end - self.done))) for end in (earliest, self.epochs))
        return str(least), str(most)

    def __str__(self) -> str:
        """Return loss, score and best score."""
        return f"loss {shown(self.loss)}  {self.metric} {shown(self.score)}  best {shown(self.best)}"


def find_earliest_end(trainer: Any, epoch: int, best: bool) -> int | None:
    """Return the number of epochs after which early stopping can end training, if no later score is better.

    Args:
        trainer: The trainer, which counts the validations without improvement before this one.
        epoch: Number of the epoch that was validated, from 0.
        best: Whether its score is the best so far.

    Returns:
        The number of epochs; None for a trainer without early stopping.
    """
    patience = getattr(trainer, "stopping_step", None)
    if patience is None:
        return None
    waited = 0 if best else trainer.cur_step + 1
    exact = trainer.config["exact_early_stopping"] is not False
    left = patience - waited + (not exact)
    return epoch + 1 + max(left, 0) * max(int(trainer.config["eval_step"] or 1), 1)


def shown(value: float | None) -> str:
    """Format a number in at most 8 characters: ``0.1234``, ``12.3457``, ``651.6``, ``1.2e+06``."""
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}" if abs(value) < 1e5 else f"{value:.1e}"


class ProgressBar(TrainingProgress):
    """One progress bar for the whole run, in one line of a terminal of 80 columns.

    Args:
        console: Console on which the bar is drawn.
        title: Line above the bar: model and data set.
    """

    def __init__(self, console: Console, title: str) -> None:
        super().__init__()
        columns = (
            TextColumn("{task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}  {task.fields[left]} left"),
        )
        self._title, self._console = title, console
        self._progress = Progress(*columns, console=console, expand=True)
        self._task = self._progress.add_task("", total=self.epochs, **self._fields())

    def _fields(self) -> dict[str, Any]:
        number = min(int(self.epoch) + 1, self.epochs)
        return {"epoch": f"epoch {number}/{self.epochs}", "figures": str(self), "left": self.least_left}

    def on_train_start(self, trainer: Any) -> None:
        """Start drawing."""
        super().on_train_start(trainer)
        if len(self.metric) > 12:
            self.metric = "valid"
        self._console.print(Text(self._title, style="bold", no_wrap=True, overflow="ellipsis"))
        self._progress.reset(self._task, total=self.epochs, **self._fields())
        self._progress.start()

    def on_train_end(self, trainer: Any) -> None:
        """Stop drawing and leave the last state on the screen."""
        self._draw()
        self._progress.stop()

    def on_exception(self, trainer: Any, exception: BaseException) -> None:
        """Stop drawing and leave the last state on the screen."""
        self.on_train_end(trainer)

    def _draw(self) -> None:
        self._progress.update(self._task, completed=self.done, **self._fields())

    def on_stage_start(self, trainer: Any, stage: str, epochs: int) -> None:
        """Print the name of the stage above the bar, and start the bar again."""
        super().on_stage_start(trainer, stage, epochs)
        self._console.print(Text(stage), soft_wrap=True)
        self._progress.reset(self._task, total=epochs, **self._fields())

    def on_train_epoch_start(self, trainer: Any, epoch: int, steps: int) -> None:
        """Show the number of the epoch."""
        super().on_train_epoch_start(trainer, epoch, steps)
        self._draw()

    def on_train_batch_end(self, trainer: Any, epoch: int, step: int) -> None:
        """Move the bar by a step."""
        super().on_train_batch_end(trainer, epoch, step)
        self._draw()

    def on_train_epoch_end(self, trainer: Any, epoch: int, loss: float, seconds: float) -> None:
        """Show the loss."""
        super().on_train_epoch_end(trainer, epoch, loss, seconds)
        self._draw()

    def on_validation_end(self, trainer: Any, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Show the score."""
        super().on_validation_end(trainer, epoch, score, result, best)
        self._draw()


class ProgressLines(TrainingProgress):
    """One plain line per epoch, for output that is not a terminal.

    Args:
        console: Console on which the lines are printed.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._waiting = False

    def on_train_end(self, trainer: Any) -> None:
        """Print the line of a last epoch without validation."""
        self._print()

    def on_exception(self, trainer: Any, exception: BaseException) -> None:
        """Print the line of a last epoch without validation."""
        self._print()

    def on_stage_start(self, trainer: Any, stage: str, epochs: int) -> None:
        """Print the name of the stage."""
        self._print()
        super().on_stage_start(trainer, stage, epochs)
        self._console.print(Text(stage), soft_wrap=True)

    def on_train_epoch_start(self, trainer: Any, epoch: int, steps: int) -> None:
        """Print the line of an earlier epoch without validation."""
        self._print()
        super().on_train_epoch_start(trainer, epoch, steps)

    def on_train_epoch_end(self, trainer: Any, epoch: int, loss: float, seconds: float) -> None:
        """Keep the line until the score is known, if there will be one."""
        super().on_train_epoch_end(trainer, epoch, loss, seconds)
        self.score, self._waiting = None, True

    def on_validation_end(self, trainer: Any, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Print the line of the epoch."""
        super().on_validation_end(trainer, epoch, score, result, best)
        self._print()

    def _print(self) -> None:
        if self._waiting:
            line = f"epoch {int(self.epoch) + 1}/{self.epochs}  {self}  {self.left} left"
            self._console.print(line, highlight=False, soft_wrap=True)
        self._waiting = False


def make_progress(console: Console, title: str) -> ProgressBar | ProgressLines:
    """Return a callback that shows a run: as a bar on a terminal, as lines elsewhere."""
    return ProgressBar(console, title) if console.is_terminal else ProgressLines(console)
