"""What the rows of a comparison will cost: known from finished runs, else measured with some steps."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_samrec import run
from recbole_samrec.compare.engine import MARGIN
from recbole_samrec.compare.plan import Job, alike
from recbole_samrec.compare.worker import Cost

COSTS = "costs.json"
USUAL_EPOCHS = 40
"""Epochs that a run is taken to last until one of its row has ended."""
UNKNOWN_MB = 2000.0
"""Memory that is reserved for a probe."""


class Costs:
    """What an epoch of each row takes, and how many there are.

    Args:
        jobs: All runs of the comparison, finished or not.
        out: Folder of the comparison, where probes are remembered.
    """

    def __init__(self, jobs: Sequence[Job], out: Path) -> None:
        self._out = out
        self._known: dict[tuple[str, str, float], Cost] = {}
        self._epochs: dict[tuple[str, str, float], list[float]] = {}
        self._stored = _read(out / COSTS)
        for job in jobs:
            entry = self._stored.get(_name(job)) or {}
            if "cost" in entry and alike(entry["settings"], {**job.settings, "seed": entry["settings"]["seed"]}):
                self._known[_key(job)] = Cost(**entry["cost"])
        for job in jobs:
            if job.finished and (result := _read(job.folder / run.RESULT)):
                self.ended(job, result)

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
        return self._stored.get(_name(job), {}).get("left_out", "")

    def _write(self) -> None:
        self._out.mkdir(parents=True, exist_ok=True)
        run.write_atomically(self._out / COSTS, json.dumps(self._stored, indent=1, default=str) + "\n")

    def ended(self, job: Job, result: Mapping[str, Any]) -> None:
        """Learn from a finished run."""
        epochs = result.get("epochs_run") or 1
        self._epochs.setdefault(_key(job), []).append(epochs)
        whole = result["seconds_total"] / epochs  # with validation, start-up and pre-training
        most = (result.get("config") or {}).get("epochs") or epochs
        probed = self._known.get(_key(job))
        if probed and probed.gpu_share:  # then the record's memory is that of the GPU
            memory = (probed.memory_mb, probed.gpu_share)
        else:
            memory = (result["peak_memory_mb"], 0.0)
        self._known[_key(job)] = Cost(whole, most, *memory)

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
        """Epochs that a run is expected to last."""
        ended, cost = self._epochs.get(_key(job)), self.of(job)
        most, before = (cost.epochs, cost.before) if cost else (USUAL_EPOCHS, 0)
        return statistics.mean(ended) if ended else before + min(USUAL_EPOCHS, most)

    def seconds(self, job: Job) -> float:
        """Seconds that a run is expected to take."""
        cost = self.of(job)
        return cost.seconds_per_epoch * self.epochs(job) if cost else 0.0


def seconds_left(jobs: Sequence[Job], costs: Costs, done: Callable[[Job], float], parallel: int) -> float:
    """Seconds until the last of these runs ends.

    Args:
        jobs: The runs that have not ended.
        costs: What they cost.
        done: Epochs that a run has behind it.
        parallel: Runs at once.
    """
    each = []
    for job in jobs:
        epochs = costs.epochs(job)
        left = max(epochs - done(job), 0.05 * epochs) / epochs
        each.append(costs.seconds(job) * left)
    return max(sum(each) / max(parallel, 1), max(each, default=0.0))


def _key(job: Job) -> tuple[str, str, float]:
    return job.row, job.dataset, job.fraction


def _name(job: Job) -> str:
    return f"{job.row} | {job.dataset} | {job.fraction:g}"


def _read(file: Path) -> dict[str, Any]:
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return stored if isinstance(stored, dict) else {}
    except (OSError, ValueError):
        return {}
