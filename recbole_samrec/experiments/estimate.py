"""Costs of a comparison's entries, from finished runs or else from probes, and the remaining time."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from numbers import Real
from pathlib import Path
from typing import Any

from recbole_samrec.experiments.job_folders import find_other_seeds, have_equal_results
from recbole_samrec.experiments.jobs import Job, group_by_entry
from recbole_samrec.experiments.probe import Cost
from recbole_samrec.experiments.results import pretraining_within, read_record
from recbole_samrec.experiments.worker import JobProgress
from recbole_samrec.quick_start.record import RESULT
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.files import read_mapping, write_atomically

COSTS = "costs.json"
SKIPPED = "left_out"
"""Key of the reason why an entry is skipped."""
BEST_EPOCH = 30
"""Best epoch that is assumed for a run until one of its entry has ended."""
MARGIN = 1.3
"""Memory that is reserved for a run, as a multiple of its probe's: evaluation comes later than the probe."""
CONTEXT_MB = 512.0
"""Memory that the CUDA context of each process takes on a GPU; PyTorch does not count it."""


class CostBook:
    """Seconds, epochs and memory of each entry's runs.

    Args:
        jobs: All jobs of the comparison. Finished runs of other seeds are searched next to them.
        out: Folder of the comparison, in which probes are stored.
    """

    def __init__(self, jobs: Sequence[Job], out: Path) -> None:
        self._out = out
        self._known: dict[tuple[str, str, float, str], Cost] = {}
        self._epochs: dict[tuple[str, str, float, str], list[float]] = {}
        self._stored = _read_costs(out / COSTS)
        for job in jobs:
            if cost := _read_probe(self._stored.get(_name(job), {}), job):
                self._known[_key(job)] = cost
        for job, *_ in group_by_entry(jobs):
            for folder in find_other_seeds(job):
                with suppress(DataError):  # the tables report it
                    self.add_run(job, read_record(folder / RESULT, job.tested))

    def select_unknown(self, jobs: Sequence[Job], on_gpu: Callable[[Job], bool] = lambda job: False) -> list[Job]:
        """Select the first job of each entry whose cost is not known on the kind of device on which it will run.

        Args:
            jobs: Jobs that have not ended.
            on_gpu: True for a job that will run on a GPU.
        """
        known = {key: bool(cost.gpu_total_mb) for key, cost in self._known.items()}
        first = {_key(job): job for job in reversed(jobs) if known.get(_key(job)) is not on_gpu(job)}
        return [job for job in jobs if first.get(_key(job)) is job]

    def add_probe(self, job: Job, cost: Mapping[str, Any]) -> None:
        """Add the result of a probe, and store it."""
        self._known[_key(job)] = Cost(**cost)
        self._stored[_name(job)] = {"settings": dict(job.settings), "cost": dict(cost)}
        self._write()

    def skip(self, job: Job, reason: str | None) -> None:
        """Store the reason why an entry is skipped; an empty one if it is not."""
        stored = self._stored.setdefault(_name(job), {})
        stored.pop(SKIPPED, None)
        if reason:
            stored[SKIPPED] = reason
        self._write()

    def skip_reason(self, job: Job) -> str:
        """Reason why the entry of a job is skipped; empty if it is not."""
        return str(self._stored.get(_name(job), {}).get(SKIPPED, ""))

    def _write(self) -> None:
        self._out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self._stored, indent=1, default=str) + "\n"
        write_atomically(self._out / COSTS, text, folder="--out")

    def add_run(self, job: Job, result: Mapping[str, Any]) -> None:
        """Add the record of a finished run."""
        epochs = result.get("epochs_run") or 1
        self._epochs.setdefault(_key(job), []).append(epochs)
        whole, before = result["seconds_total"], result.get("pretraining") or {}  # with validation and start-up
        if within := pretraining_within(result):
            whole -= within["seconds"]
        most = (result.get("config") or {}).get("epochs") or epochs
        self._known[_key(job)] = Cost(
            whole / epochs,
            most,
            memory_mb=result["peak_memory_mb"],
            gpu_mb=result.get("peak_device_memory_mb") or 0.0,
            gpu_total_mb=result.get("device_memory_mb") or 0.0,
            pretrain_epochs=before.get("epochs", 0),
            pretrain_seconds=before.get("seconds_per_epoch", 0.0),
        )

    def find(self, job: Job) -> Cost | None:
        """Find the cost of a job's entry, or None if it is not known."""
        return self._known.get(_key(job))

    def memory_mb(self, job: Job) -> float | None:
        """Memory to reserve for a job on the host; None if it is not known."""
        cost = self.find(job)
        return None if cost is None else cost.memory_mb * MARGIN

    def gpu_share(self, job: Job) -> float | None:
        """Part of a GPU to reserve for a job, at most all of it, in hundredths; None if it is not known."""
        cost = self.find(job)
        return None if cost is None else compute_gpu_share(cost.gpu_mb, cost.gpu_total_mb)

    def expected_epochs(self, job: Job) -> float:
        """Expected number of epochs, without those of pre-training.

        The mean of the entry's runs that have ended; until one has, ``BEST_EPOCH`` and those after it for which early
        stopping waits, up to the largest number.
        """
        if ended := self._epochs.get(_key(job)):
            return statistics.mean(ended)
        expected, cost = BEST_EPOCH + _patience(job.settings), self.find(job)
        return min(expected, cost.epochs) if cost else BEST_EPOCH

    def is_assumed(self, job: Job) -> bool:
        """Check whether the expected number of epochs is a guess."""
        cost = self.find(job)
        return cost is not None and _key(job) not in self._epochs and self.expected_epochs(job) < cost.epochs

    def expected_seconds(self, job: Job) -> float:
        """Expected seconds of a job."""
        cost = self.find(job)
        return cost.seconds_until(self.expected_epochs(job)) if cost else 0.0

    def share_done(self, job: Job, progress: JobProgress) -> float:
        """Part of a job's expected seconds that is done, at most 1."""
        cost, expected = self.find(job), self.expected_seconds(job)
        if cost is None or not expected:
            return min(1.0, progress.done / max(self.expected_epochs(job), 1))
        done = progress.done
        seconds = done * cost.pretrain_seconds if progress.pretrains else cost.seconds_until(done)
        return min(1.0, seconds / expected)

    def seconds_left(self, jobs: Iterable[Job], share: Callable[[Job], float], parallel: int) -> float:
        """Seconds until the last of these jobs ends.

        Args:
            jobs: Jobs that have not ended.
            share: Part of a job that is done; one that lasts longer than expected has a little left.
            parallel: Number of jobs at once.
        """
        return seconds_left([self.expected_seconds(job) * max(1 - share(job), 0.05) for job in jobs], parallel)


def compute_gpu_share(gpu_mb: float, total_mb: float) -> float | None:
    """Compute the part of a GPU to reserve for a run, at most all of it, in hundredths.

    Args:
        gpu_mb: Peak memory of a probe or of a run on the GPU, without the CUDA context.
        total_mb: Memory of the GPU; 0 if it was measured on a CPU.

    Returns:
        The part; None if it was measured on a CPU.
    """
    return min(1.0, math.ceil(100 * (gpu_mb * MARGIN + CONTEXT_MB) / total_mb) / 100) if total_mb else None


def seconds_left(each: Sequence[float], parallel: int) -> float:
    """Seconds until the last of some jobs or trials ends.

    Args:
        each: Seconds that each of them has left.
        parallel: Number of them at once.
    """
    return max(sum(each) / max(parallel, 1), max(each, default=0.0))


def _key(job: Job) -> tuple[str, str, float, str]:
    return job.entry, job.dataset, job.fraction, job.protocol


def _name(job: Job) -> str:
    return f"{job.entry} | {job.dataset} | {job.fraction:g}" + (f" | {job.protocol}" if job.protocol else "")


def _patience(settings: Mapping[str, Any]) -> float:
    """Epochs without a gain after which early stopping ends a run; infinite if nothing is validated."""
    return settings["stopping_step"] * settings["eval_step"] or math.inf


def _read_costs(file: Path) -> dict[str, dict[str, Any]]:
    """Read the costs that an earlier call stored; a damaged file has none, and they are estimated again."""
    return {name: entry for name, entry in read_mapping(file).items() if isinstance(entry, dict)}


def _read_probe(stored: Mapping[str, Any], job: Job) -> Cost | None:
    """Read the cost that was probed with the settings of a job, whatever its seed; None if there is none."""
    settings, cost = stored.get("settings"), stored.get("cost")
    if not (isinstance(settings, dict) and isinstance(cost, dict) and all(isinstance(v, Real) for v in cost.values())):
        return None
    try:
        return Cost(**cost) if have_equal_results(settings, {**job.settings, "seed": settings["seed"]}) else None
    except (KeyError, TypeError):
        return None
