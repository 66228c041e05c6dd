"""What the rows of a comparison will cost: known from finished runs, else measured with some steps."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from numbers import Real
from pathlib import Path
from typing import Any

from recbole_samrec.experiments.jobs import Job, alike, by_row, with_other_seeds
from recbole_samrec.experiments.ray_cluster import MARGIN
from recbole_samrec.experiments.results import pretraining_within, read_record
from recbole_samrec.experiments.worker import Cost, Report
from recbole_samrec.quick_start.record import RESULT
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.files import write_atomically

COSTS = "costs.json"
BEST_EPOCH = 30
"""The epoch that is taken to be the best of a run until one of its row has ended."""
UNKNOWN_MB = 2000.0
"""Memory that is reserved for a probe."""


class Costs:
    """What an epoch of each row takes, and how many there are.

    Args:
        jobs: All runs of the comparison, finished or not. Finished ones of other seeds are looked for beside them.
        out: Folder of the comparison, where probes are remembered.
    """

    def __init__(self, jobs: Sequence[Job], out: Path) -> None:
        self._out = out
        self._known: dict[tuple[str, str, float], Cost] = {}
        self._epochs: dict[tuple[str, str, float], list[float]] = {}
        self._stored = _remembered(out / COSTS)
        for job in jobs:
            if cost := _probed(self._stored.get(_name(job), {}), job):
                self._known[_key(job)] = cost
        for job, *_ in by_row(jobs):
            for folder in with_other_seeds(job):
                with suppress(DataError):  # the tables say so
                    self.ended(job, read_record(folder / RESULT))

    def unknown(self, jobs: Sequence[Job]) -> list[Job]:
        """For each row of which nothing is known, its first run."""
        first = {_key(job): job for job in reversed(jobs) if _key(job) not in self._known}
        return [job for job in jobs if first.get(_key(job)) is job]

    def probed(self, job: Job, cost: Mapping[str, Any]) -> None:
        """Take the result of a probe, and remember it."""
        self._known[_key(job)] = Cost(**cost)
        self._stored[_name(job)] = {"settings": dict(job.settings), "cost": dict(cost)}
        self._write()

    def left_out(self, job: Job, reason: str | None) -> None:
        """Remember why a row is not trained, or that it is."""
        entry = self._stored.setdefault(_name(job), {})
        entry.pop("left_out", None)
        if reason:
            entry["left_out"] = reason
        self._write()

    def reason(self, job: Job) -> str:
        """Why the row of a run is not trained; empty if it is."""
        return str(self._stored.get(_name(job), {}).get("left_out", ""))

    def _write(self) -> None:
        self._out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self._stored, indent=1, default=str) + "\n"
        write_atomically(self._out / COSTS, text, folder="--out")

    def ended(self, job: Job, result: Mapping[str, Any]) -> None:
        """Learn from a finished run."""
        epochs = result.get("epochs_run") or 1
        self._epochs.setdefault(_key(job), []).append(epochs)
        whole, before = result["seconds_total"], result.get("pretraining") or {}  # with validation and start-up
        if within := pretraining_within(result):
            whole -= within["seconds"]
        most = (result.get("config") or {}).get("epochs") or epochs
        probed = self._known.get(_key(job))
        if probed and probed.gpu_share:  # then the record's memory is that of the GPU
            memory = (probed.memory_mb, probed.gpu_share)
        else:
            memory = (result["peak_memory_mb"], 0.0)
        of_before = before.get("epochs", 0), before.get("seconds_per_epoch", 0.0)
        self._known[_key(job)] = Cost(whole / epochs, most, *memory, *of_before)

    def of(self, job: Job) -> Cost | None:
        """What is known of a row, or None."""
        return self._known.get(_key(job))

    def memory_mb(self, job: Job) -> float:
        """Memory to reserve for a run."""
        cost = self.of(job)
        return UNKNOWN_MB if cost is None else cost.memory_mb * MARGIN

    def gpu_share(self, job: Job) -> float:
        """Part of a GPU's memory to reserve for a run, at most all of it."""
        cost = self.of(job)
        return 0.0 if cost is None else min(1.0, cost.gpu_share * MARGIN)

    def epochs(self, job: Job) -> float:
        """Epochs that a run is expected to last, without those of pre-training.

        As many as the runs of its row that have ended; until one has, ``BEST_EPOCH`` and those after it that early
        stopping waits for, as far as there may be so many.
        """
        if ended := self._epochs.get(_key(job)):
            return statistics.mean(ended)
        expected, cost = BEST_EPOCH + _patience(job.settings), self.of(job)
        return min(expected, cost.epochs) if cost else BEST_EPOCH

    def assumed(self, job: Job) -> bool:
        """Whether the epochs that a run is expected to last are a guess, which may be too few or too many."""
        cost = self.of(job)
        return bool(cost) and _key(job) not in self._epochs and self.epochs(job) < cost.epochs

    def seconds(self, job: Job) -> float:
        """Seconds that a run is expected to take."""
        cost = self.of(job)
        return cost.seconds_until(self.epochs(job)) if cost else 0.0

    def share(self, job: Job, report: Report) -> float:
        """Which part of the seconds that a run is expected to take lies behind it, at most all."""
        cost, expected = self.of(job), self.seconds(job)
        if cost is None or not expected:
            return min(1.0, report.done / max(self.epochs(job), 1))
        seconds = report.done * cost.pretrain_seconds if report.pretrains else cost.seconds_until(report.done)
        return min(1.0, seconds / expected)


def seconds_left(jobs: Sequence[Job], costs: Costs, share: Callable[[Job], float], parallel: int) -> float:
    """Seconds until the last of these runs ends.

    Args:
        jobs: The runs that have not ended.
        costs: What they cost.
        share: Which part of a run lies behind it; of one that lasts longer than expected, a little is still to come.
        parallel: Runs at once.
    """
    each = [costs.seconds(job) * max(1 - share(job), 0.05) for job in jobs]
    return max(sum(each) / max(parallel, 1), max(each, default=0.0))


def _key(job: Job) -> tuple[str, str, float]:
    return job.row, job.dataset, job.fraction


def _name(job: Job) -> str:
    return f"{job.row} | {job.dataset} | {job.fraction:g}"


def _patience(settings: Mapping[str, Any]) -> float:
    """Epochs without a gain after which early stopping ends a run; infinite where nothing is validated."""
    return settings["stopping_step"] * settings["eval_step"] or math.inf


def _remembered(file: Path) -> dict[str, dict[str, Any]]:
    """What an earlier call knew of each row; nothing where the file is damaged, and it is estimated again."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return {name: entry for name, entry in stored.items() if isinstance(entry, dict)}
    except (OSError, ValueError, AttributeError):
        return {}


def _probed(entry: Mapping[str, Any], job: Job) -> Cost | None:
    """The cost that was probed with the settings of a run, whatever its seed; None if there is none."""
    settings, cost = entry.get("settings"), entry.get("cost")
    if not (isinstance(settings, dict) and isinstance(cost, dict) and all(isinstance(v, Real) for v in cost.values())):
        return None
    try:
        return Cost(**cost) if alike(settings, {**job.settings, "seed": settings["seed"]}) else None
    except (KeyError, TypeError):
        return None
