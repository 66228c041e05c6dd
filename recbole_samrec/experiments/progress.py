"""Progress of jobs and trials: one bar for all, one for each that is running, and a line for each that has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from recbole_samrec.experiments.estimate import BEST_EPOCH, CostBook
from recbole_samrec.experiments.jobs import Job, group_by_entry
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.durations import format_duration

ASSUMED = "~"
"""Mark of a number of epochs that is a guess."""


class Display:
    """Bars on a terminal or in a notebook, plain lines elsewhere.

    Args:
        console: Where it is shown.
        title: Text next to the bar of all.
        total: Number of jobs or trials, those that ended before included.
        seconds_left: Function that estimates the time until the last of them ends; 0 if nothing is known.
        unit: What is counted, if not jobs or trials.
    """

    def __init__(
        self, console: Console, title: str, total: int, seconds_left: Callable[[], float], unit: str = ""
    ) -> None:
        self._console, self._total, self._seconds_left = console, total, seconds_left
        self._all_of_them = f"{total} {unit}".strip()
        self._tasks: dict[str, TaskID] = {}
        columns = (TextColumn("{task.description}"), BarColumn(16), TextColumn("{task.fields[words]}"))
        self._interactive = console.is_terminal or console.is_jupyter
        self._progress = Progress(*columns, console=console, disable=not self._interactive, transient=True)
        self._all = self._progress.add_task(escape(title), words="", total=max(total, 1))

    def __enter__(self) -> Display:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Remove the bars."""
        self._progress.stop()

    def show(self, name: str, title: str, share: float, words: str) -> None:
        """Show the progress of a running job or trial.

        Args:
            name: Its name, which no other one has.
            title: Text next to its bar.
            share: Part that is done, from 0 to 1.
            words: Text behind its bar.
        """
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task("", words="", total=1.0)
        self._progress.update(self._tasks[name], description=escape(title), completed=share, words=escape(words))

    def show_all(self, ended: int, words: str = "") -> None:
        """Show the number of jobs or trials that have ended."""
        parts = [f"{ended} of {self._all_of_them}", words, self._format_left()]
        self._progress.update(self._all, completed=ended, words=escape("  ".join(filter(None, parts))))

    def end(self, name: str, ended: int, line: str) -> None:
        """Remove the bar of a job or trial and print how it ended.

        Args:
            name: Its name.
            ended: Number of those that have ended, this one included.
            line: Text of the line.
        """
        if (task := self._tasks.pop(name, None)) is not None:
            self._progress.remove_task(task)
        left = self._format_left() if ended < self._total else ""
        self.print(f"{ended} of {self._all_of_them}: {line}" + (f"; {left}" if left else ""))
        self.show_all(ended)

    def print(self, line: str) -> None:
        """Print a line above the bars."""
        print_line(self._console, line)

    def _format_left(self) -> str:
        seconds = self._seconds_left()
        return f"{format_duration(seconds)} left" if seconds else ""


def print_plan(console: Console, jobs: Sequence[Job], costs: CostBook) -> None:
    """Print the number of finished jobs and the expected costs of the others.

    Args:
        console: Where it is printed.
        jobs: All jobs.
        costs: Costs of each entry, and the reasons why entries are skipped.
    """
    table = Table(title="Runs and expected costs", title_justify="left")
    for column in ("entry", "data"):
        table.add_column(column, overflow="fold")
    for column in ("done", "to do", "s/epoch", "epochs", "memory", "each run"):
        table.add_column(column, justify="right", overflow="fold")
    lines = []
    for members in group_by_entry(jobs):
        first = members[0]
        finished = sum(job.finished for job in members)
        waiting = [job for job in members if not job.finished]
        share = "" if first.fraction == 1 else f", {first.fraction:.0%}"
        data = f"{first.dataset}{f', {first.protocol}' if first.protocol else ''}{share}"
        place = f"{first.entry} on {data}"
        figures = _format_cost(first, costs)
        table.add_row(escape(first.entry), escape(data), str(finished), str(len(waiting)), *figures)
        if waiting and (cost := costs.find(first)) and cost.pretrain_epochs:
            words = f"{cost.pretrain_epochs} epochs of pre-training, {cost.pretrain_seconds:.1f} s each"
            lines.append(f"{place}: each run begins with {words}")
        if waiting and (reason := costs.skip_reason(first)):
            lines.append(f"skipped: {place}: {reason}")
    console.print(table)
    if any(costs.is_assumed(job) for job in jobs if not job.finished):
        words = f"no finished run yet; assuming best epoch {BEST_EPOCH} plus early-stopping patience"
        lines.insert(0, f"{ASSUMED}: {words}")
    for line in lines:
        print_line(console, line)


def _format_cost(job: Job, costs: CostBook) -> list[str]:
    """Format seconds an epoch, epochs, memory, and the time of a run with its pre-training; empty if not known."""
    cost = costs.find(job)
    if cost is None:
        return [""] * 4
    epochs = f"{ASSUMED * costs.is_assumed(job)}{costs.expected_epochs(job):.0f}/{cost.epochs}"
    memory = f"{cost.memory_mb / 1000:.1f} GB" + (f", GPU {cost.gpu_mb / 1000:.1f} GB" if cost.gpu_mb else "")
    return [f"{cost.seconds_per_epoch:.1f}", epochs, memory, format_duration(costs.expected_seconds(job))]
