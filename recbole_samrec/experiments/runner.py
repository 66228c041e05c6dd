"""Carries out the runs of a comparison that are not finished, after an estimate of what they will cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console

from recbole_samrec.experiments.estimate import Costs
from recbole_samrec.experiments.jobs import Job, by_row
from recbole_samrec.experiments.progress import Display, show_plan, spoken
from recbole_samrec.experiments.ray_cluster import Resources, cluster, run_all
from recbole_samrec.experiments.worker import FAILURE
from recbole_samrec.utils.errors import UserError
from recbole_samrec.utils.files import write_atomically


def train_all(
    jobs: Sequence[Job],
    costs: Costs,
    resources: Resources,
    console: Console,
    *,
    limit_hours: float | None = None,
    command: str = "",
) -> None:
    """Carry out the runs that are not finished.

    Args:
        jobs: All runs.
        costs: What they cost, as far as it is known; learns more, and why rows are left out.
        resources: What each run gets.
        console: Where progress is shown.
        limit_hours: Rows of which a run is expected to take longer are left out.
        command: The command that would add them.
    """
    waiting = [job for job in jobs if not job.finished]
    for members in by_row(waiting):
        costs.left_out(members[0], None)
    with cluster(resources) as ray:
        _estimate(ray, costs, waiting, resources, console)
        if limit_hours is not None:
            _leave_out(costs, waiting, limit_hours, command)
        show_plan(console, jobs, costs)
        todo = [job for job in waiting if not costs.reason(job)]
        with Display(console, todo, costs, _parallel(ray, resources)) as display:

            def ended(job: Job, result: Mapping[str, Any]) -> None:
                if "failed" not in result:
                    costs.ended(job, result)
                elif failure_of(job) != result["failed"]:  # its process could not say so itself
                    with suppress(OSError, UserError):  # a folder that cannot be written may be the very reason
                        job.folder.mkdir(parents=True, exist_ok=True)
                        write_atomically(job.folder / FAILURE, f"{result['failed']}\n")
                display.ended(job, result)

            run_all(ray, todo, resources, costs.memory_mb, gpu_share=costs.gpu_share, done=ended, tick=display.tick)


def _parallel(ray: Any, resources: Resources) -> int:
    """How many runs go on at once, as far as cores and GPUs decide it."""
    there = ray.cluster_resources()
    most = there.get("CPU", 1) / resources.threads
    if resources.gpus:
        most = min(most, there.get("GPU", 0) / resources.gpus)
    return max(1, int(most))


def _leave_out(costs: Costs, waiting: Sequence[Job], limit_hours: float, command: str) -> None:
    """Leave out rows that take too long; of those that differ in the share of users, the last names the command."""
    long = [first for first, *_ in by_row(waiting) if costs.seconds(first) > 3600 * limit_hours]
    last = {(job.row, job.dataset): job for job in long}
    for job in long:
        words = f"a run is expected to take {spoken(costs.seconds(job))} on this machine, more than "
        words += f"--limit_hours={limit_hours:g}"
        named = f"; add it on a faster one: {command}" if last[job.row, job.dataset] is job else ""
        costs.left_out(job, words + named)


def _estimate(ray: Any, costs: Costs, waiting: Sequence[Job], resources: Resources, console: Console) -> None:
    """Measure some steps of each row of which nothing is known yet."""
    unknown = costs.unknown(waiting)
    if not unknown:
        return
    rows = "one row" if len(unknown) == 1 else f"{len(unknown)} rows"
    console.print(f"estimating what {rows} cost, with some steps of each", highlight=False)

    def done(job: Job, result: Mapping[str, Any]) -> None:
        if "failed" in result:
            costs.left_out(job, result["failed"])
        else:
            costs.probed(job, result)

    run_all(ray, unknown, resources, costs.memory_mb, probe=True, done=done)


def failure_of(job: Job) -> str:
    """Why the last attempt at a run failed; empty if it did not."""
    try:
        return (job.folder / FAILURE).read_text(encoding="utf-8").splitlines()[0]
    except (OSError, ValueError, IndexError):
        return ""
