"""What a user sees of a comparison: what it will cost, how far it is, how each run ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from recbole_samrec.experiments.estimate import BEST_EPOCH, Costs, seconds_left
from recbole_samrec.experiments.jobs import Job, by_row
from recbole_samrec.experiments.worker import Report

ASSUMED = "~"
"""Marks epochs that are a guess."""


def show_plan(console: Console, jobs: Sequence[Job], costs: Costs) -> None:
    """Print what is finished and what the rest is expected to cost.

    Args:
        console: Where it is printed.
        jobs: All runs.
        costs: What an epoch of each row takes, and why rows are not trained.
    """
    table = Table(title="Runs, and what they are expected to cost", title_justify="left")
    for column in ("row", "data"):
        table.add_column(column)
    for column in ("done", "to do", "s/epoch", "epochs", "memory", "each run"):
        table.add_column(column, justify="right")
    lines = []
    for members in by_row(jobs):
        first = members[0]
        finished = sum(job.finished for job in members)
        waiting = [job for job in members if not job.finished]
        share = "" if first.fraction == 1 else f", {first.fraction:.0%}"
        place = f"{first.row} on {first.dataset}{share}"
        table.add_row(first.row, first.dataset + share, str(finished), str(len(waiting)), *_figures(first, costs))
        if waiting and (cost := costs.of(first)) and cost.pretrain_epochs:
            words = f"{cost.pretrain_epochs} epochs of pre-training, {cost.pretrain_seconds:.1f} s each"
            lines.append(f"{place}: each run begins with {words}")
        if waiting and (reason := costs.reason(first)):
            lines.append(f"left out: {place}: {reason}")
    console.print(table)
    if any(costs.assumed(job) for job in jobs if not job.finished):
        words = f"no run of the row has ended; {BEST_EPOCH} is taken to be its best epoch, and stopping_step is added"
        console.print(f"{ASSUMED}: {words}", highlight=False, soft_wrap=True)
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _figures(job: Job, costs: Costs) -> list[str]:
    """What is known of a row's cost: seconds an epoch, epochs, memory, and the time of a run with its pre-training."""
    cost = costs.of(job)
    if cost is None:
        return [""] * 4
    epochs = f"{ASSUMED * costs.assumed(job)}{costs.epochs(job):.0f}/{cost.epochs}"
    memory = f"{cost.memory_mb / 1000:.1f} GB"
    return [f"{cost.seconds_per_epoch:.1f}", epochs, memory, spoken(costs.seconds(job))]


class Display:
    """Follows runs: a bar for all and one for each running one on a terminal, a line for each that ended elsewhere.

    Args:
        console: Where it is drawn.
        jobs: The runs that are to be carried out.
        costs: What they are expected to cost.
        parallel: Runs at once.
    """

    def __init__(self, console: Console, jobs: Sequence[Job], costs: Costs, parallel: int) -> None:
        self._console, self._costs, self._parallel = console, costs, parallel
        self._waiting = {str(job.folder): job for job in jobs}
        self._total = len(jobs)
        self._reports: Mapping[str, Report] = {}
        self._tasks: dict[str, TaskID] = {}
        columns = (TextColumn("{task.description}"), BarColumn(16), TextColumn("{task.fields[words]}"))
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._all = self._progress.add_task("all runs", words="", total=1.0)

    def __enter__(self) -> Display:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the terminal as it is."""
        self._progress.stop()

    def tick(self, reports: Mapping[str, Report]) -> None:
        """Draw how far the running runs are."""
        self._reports = reports
        for folder, job in self._waiting.items():
            if folder not in reports:
                continue
            pretrains, done, epochs, best = reports[folder]
            score = f"best {best:.4f}" if -1e9 < best < 1e9 else ""
            if folder not in self._tasks:
                self._tasks[folder] = self._progress.add_task(job.title, words="", total=1.0)
            number = min(int(done) + 1, epochs)
            most = f"{epochs} of pre-training" if pretrains else f"at most {epochs}"
            words = f"epoch {number} of {most}  {score}"
            self._progress.update(self._tasks[folder], completed=self._share(job), words=words)
        self._draw_all()

    def ended(self, job: Job, result: Mapping[str, Any]) -> None:
        """Print how a run ended."""
        self._waiting.pop(str(job.folder), None)
        task = self._tasks.pop(str(job.folder), None)
        if task is not None:
            self._progress.remove_task(task)
        place = f"{self._total - len(self._waiting)} of {self._total}"
        left = f"; {spoken(self._left())} left" if self._waiting else ""
        line = f"{place}: {job.title}: {_words(result)}{left}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._draw_all()

    def _left(self) -> float:
        jobs = list(self._waiting.values())
        return seconds_left(jobs, self._costs, self._share, self._parallel)

    def _share(self, job: Job) -> float:
        report = self._reports.get(str(job.folder))
        return self._costs.share(job, report) if report else 0.0

    def _draw_all(self) -> None:
        gone = self._total - len(self._waiting)
        words = f"{gone} of {self._total}  {spoken(self._left())} left"
        self._progress.update(self._all, completed=gone, total=max(self._total, 1), words=words)


def _words(result: Mapping[str, Any]) -> str:
    if "failed" in result:
        return f"failed: {result['failed']}"
    number = result.get("epochs_run") or 0
    epochs = f"{number} epochs, " if number > 1 else ""
    metric = "ndcg@10" if "ndcg@10" in result["test"] else next(iter(result["test"]))
    return f"{metric.upper()} {result['test'][metric]:.4f} ({epochs}{spoken(result['seconds_total'])})"


def spoken(seconds: float) -> str:
    """A time as hours, minutes and seconds: ``0:02:10``."""
    return str(timedelta(seconds=round(seconds)))
