"""Runs the jobs of a comparison that are not finished: probes their costs, trains them, and retries lost processes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_samrec.experiments.estimate import CostBook
from recbole_samrec.experiments.jobs import Job, group_by_entry
from recbole_samrec.experiments.progress import Display, print_plan
from recbole_samrec.experiments.ray_cluster import Capacity, RayConnection, Resources, measure_capacity
from recbole_samrec.experiments.trial_watcher import LOST, TrialWatcher
from recbole_samrec.experiments.worker import (
    FAILURE,
    JobProgress,
    move_to_cpu,
    prepare_process,
    read_failure,
    read_result_files,
    train_job,
    write_result_files,
)
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.durations import format_duration
from recbole_samrec.utils.errors import UserError
from recbole_samrec.utils.files import write_atomically

LOST_TWICE = LOST.replace("died", "died twice") + "; try a lower --parallel"
Ended = Callable[[Job, Mapping[str, Any]], None]


def train_all(
    jobs: Sequence[Job],
    costs: CostBook,
    connection: RayConnection,
    console: Console,
    *,
    limit_hours: float | None = None,
    command: str = "",
) -> None:
    """Train the jobs that are not finished.

    Args:
        jobs: All jobs.
        costs: Known costs; those of probes and of finished runs are added, and the reasons why entries are skipped.
        connection: Connection to Ray; it is opened here and stays open for the caller's next stage.
        console: Where progress is shown.
        limit_hours: Entries of which a run is expected to take longer are skipped.
        command: The command that would add them.

    Raises:
        KeyboardInterrupt: Ctrl-C ended it; runs that have started are resumed by the next call.
        UserError: A run gets resources that no computer has, or files cannot be written.
    """
    waiting = [job for job in jobs if not job.finished]
    for members in group_by_entry(waiting):
        costs.skip(members[0], None)
    resources = connection.resources
    capacity = measure_capacity(connection.open(), resources)
    _probe_unknown(costs, waiting, resources, capacity, console)
    if limit_hours is not None:
        _skip_long(costs, waiting, limit_hours, command)
    print_plan(console, jobs, costs)
    _train_waiting([job for job in waiting if not costs.skip_reason(job)], costs, resources, capacity, console)


def _train_waiting(
    todo: Sequence[Job], costs: CostBook, resources: Resources, capacity: Capacity, console: Console
) -> None:
    running: dict[Job, JobProgress] = {}
    left = dict.fromkeys(todo)
    parallel = _count_parallel(todo, costs, resources, capacity)

    def share(job: Job) -> float:
        return costs.share_done(job, running[job]) if job in running else 0.0

    def seconds_left() -> float:
        return costs.seconds_left(left, share, parallel)

    with Display(console, "all runs", len(todo), seconds_left) as display:

        def advance(job: Job, progress: JobProgress) -> None:
            running[job] = progress
            display.show(str(job.folder), job.title, share(job), _describe_progress(progress))
            display.show_all(len(todo) - len(left))

        def retry(job: Job, reason: str) -> None:
            display.print(f"{job.title}: {reason}; retrying from its last checkpoint")

        def end(job: Job, result: Mapping[str, Any]) -> None:
            del left[job]
            if "failed" not in result:
                costs.add_run(job, result)
            elif read_failure(job.folder) != result["failed"]:  # its process could not write it
                with suppress(OSError, UserError):  # a folder that cannot be written may be the reason
                    job.folder.mkdir(parents=True, exist_ok=True)
                    write_atomically(job.folder / FAILURE, f"{result['failed']}\n")
            display.end(str(job.folder), len(todo) - len(left), f"{job.title}: {_describe_end(result)}")

        display.show_all(0)
        run_jobs(todo, costs, resources, capacity, end, advance=advance, retry=retry)


def _count_parallel(jobs: Sequence[Job], costs: CostBook, resources: Resources, capacity: Capacity) -> int:
    """Count how many of these jobs run at once, if GPUs limit their number more than cores do."""
    gpus = sum(capacity.reserved_gpus(resources, job.settings, costs.gpu_share(job)) for job in jobs)
    return min(capacity.parallel, max(1, int(capacity.gpus * len(jobs) / gpus))) if gpus else capacity.parallel


def _probe_unknown(
    costs: CostBook, waiting: Sequence[Job], resources: Resources, capacity: Capacity, console: Console
) -> None:
    """Estimate the costs of entries whose costs are not known."""
    unknown = costs.select_unknown(waiting, lambda job: capacity.reserved_gpus(resources, job.settings, None) > 0)
    if not unknown:
        return
    entries = "one entry" if len(unknown) == 1 else f"{len(unknown)} entries"
    print_line(console, f"estimating the costs of {entries} from some training steps")

    def end(job: Job, result: Mapping[str, Any]) -> None:
        if "failed" in result:
            costs.skip(job, result["failed"])
        else:
            costs.add_probe(job, result)

    run_jobs(unknown, costs, resources, capacity, end, probe=True)


def _skip_long(costs: CostBook, waiting: Sequence[Job], limit_hours: float, command: str) -> None:
    """Skip entries that take too long; of entries that differ in the share of users, the last one names the command."""
    long = [first for first, *_ in group_by_entry(waiting) if costs.expected_seconds(first) > 3600 * limit_hours]
    last = {(job.entry, job.dataset): job for job in long}
    for job in long:
        words = f"a run is expected to take {format_duration(costs.expected_seconds(job))} on this machine, more than "
        words += f"--limit_hours={limit_hours:g}"
        named = f"; add it on a faster one: {command}" if command and last[job.entry, job.dataset] is job else ""
        costs.skip(job, words + named)


def run_jobs(
    jobs: Sequence[Job],
    costs: CostBook,
    resources: Resources,
    capacity: Capacity,
    end: Ended,
    *,
    probe: bool = False,
    advance: Callable[[Job, JobProgress], None] = lambda job, progress: None,
    retry: Callable[[Job, str], None] = lambda job, reason: None,
) -> None:
    """Run jobs in their order, as many at once as cores, GPUs and memory allow, each in its own process.

    Args:
        jobs: The jobs.
        costs: Costs by which memory and parts of a GPU are reserved.
        resources: Resources of each run.
        capacity: Capacity of the cluster.
        end: Called with each job that ended and its record, its cost, or ``{"failed": reason}``.
        probe: True to estimate the cost of each job only.
        advance: Called with the progress of a running job.
        retry: Called with a job whose process died and that is tried once more, and the reason.

    Raises:
        KeyboardInterrupt: Ctrl-C ended it.
    """
    from recbole_samrec.experiments.ray_tuner import allot, fit, make_tuner, tune

    requests = {}
    for number, job in enumerate(jobs):
        memory = capacity.reserved_mb(costs.memory_mb(job))
        if memory > capacity.largest_mb:
            reason = (
                f"needs about {memory / 1000:.1f} GB, and no computer has more than {capacity.largest_mb / 1000:.1f} GB"
            )
            end(job, {"failed": reason})
        else:
            gpus = capacity.reserved_gpus(resources, job.settings, costs.gpu_share(job))
            requests[f"{number:04d}"] = {"CPU": resources.threads, "GPU": gpus, "memory": memory}
    if not requests:
        return
    names = {name: jobs[int(name)] for name in requests}
    watcher = _JobWatcher(names, end, advance, retry)
    sent = {name: job if requests[name]["GPU"] else move_to_cpu(job) for name, job in names.items()}
    shared = {"jobs": sent, "folder": str(Path.cwd()), "node": capacity.node, "threads": resources.threads}
    trainable = allot(_run_job, lambda drawn: requests[drawn["job"]], probe=probe, **shared)
    with tempfile.TemporaryDirectory(prefix="recbole-samrec-") as place:  # jobs are resumed from their own folders
        space = {"job": tune.grid_search(list(names))}
        state = Path(place, "ray")
        tuner = make_tuner(
            trainable, space, state, lambda trial: trial.config.get("job"), max_concurrent_trials=capacity.parallel
        )
        fit(tuner, watcher)
    if watcher.waiting:
        raise KeyboardInterrupt


def _run_job(
    drawn: Mapping[str, Any], jobs: Mapping[str, Job], folder: str, node: str, threads: int, probe: bool
) -> None:
    """Run a job in a Ray process; another computer, which may have no shared disk, sends its files back."""
    import ray
    from ray import tune

    from recbole_samrec.experiments.probe import probe_cost

    job = jobs[drawn["job"]]
    prepare_process(folder, threads)
    if probe:
        tune.report({"result": probe_cost(job)})
        return
    result = train_job(job, lambda progress: tune.report({"progress": tuple(progress)}))
    elsewhere = ray.get_runtime_context().get_node_id() != node
    tune.report({"result": dict(result), "files": read_result_files(job.folder) if elsewhere else {}})


class _JobWatcher(TrialWatcher):
    """Matches the events of trials with their jobs."""

    def __init__(
        self,
        jobs: Mapping[str, Job],
        end: Ended,
        advance: Callable[[Job, JobProgress], None],
        retry: Callable[[Job, str], None],
    ) -> None:
        self.waiting = dict(jobs)
        self._end, self._advance, self._retry = end, advance, retry
        self._results: dict[str, dict[str, Any]] = {}

    def on_report(self, name: str, result: dict[str, Any]) -> None:
        if "result" in result:
            write_result_files(self.waiting[name].folder, result.get("files") or {})
            self._results[name] = result["result"]
        elif "progress" in result:
            self._advance(self.waiting[name], JobProgress(*result["progress"]))

    def on_retry(self, name: str, reason: str) -> None:
        self._retry(self.waiting[name], reason)

    def on_complete(self, name: str) -> None:
        self._end(self.waiting.pop(name), self._results.pop(name))

    def on_fail(self, name: str, reason: str) -> None:
        self._end(self.waiting.pop(name), {"failed": LOST_TWICE if reason == LOST else reason})


def _describe_progress(progress: JobProgress) -> str:
    pretrains, done, epochs, best = progress
    number = min(int(done) + 1, epochs)
    most = f"{epochs} of pre-training" if pretrains else f"at most {epochs}"
    score = f"best {best:.4f}" if -1e9 < best < 1e9 else ""
    return f"epoch {number} of {most}  {score}"


def _describe_end(result: Mapping[str, Any]) -> str:
    if "failed" in result:
        return f"failed: {result['failed']}"
    number = result.get("epochs_run") or 0
    epochs = f"{number} epochs, " if number > 1 else ""
    part = "test" if result["test"] else "valid"
    scores = result[part] or {}
    if not scores:
        return f"no metrics ({epochs}{format_duration(result['seconds_total'])})"
    metric = "ndcg@10" if "ndcg@10" in scores else next(iter(scores))
    named = metric.upper() if part == "test" else f"validation {metric.upper()}"
    return f"{named} {scores[metric]:.4f} ({epochs}{format_duration(result['seconds_total'])})"
