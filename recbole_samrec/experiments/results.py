"""Reads finished runs of a comparison."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_samrec.evaluator import test_ranks
from recbole_samrec.experiments.jobs import Job
from recbole_samrec.quick_start.record import RESULT, RunRecord
from recbole_samrec.utils.errors import DataError


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        entry: Name of its entry.
        dataset: Name of the data set.
        seed: Its seed.
        fraction: Share of the users it was trained on.
        result: Its ``result.json``.
        ranks: Ranks of the test items, see :class:`recbole_samrec.evaluator.test_ranks.Ranks`.
        test: Hash of the users and items that were ranked.
        folder: Its folder.
    """

    entry: str
    dataset: str
    seed: int
    fraction: float
    result: Mapping[str, Any]
    ranks: pd.DataFrame
    test: str
    folder: Path = Path()


def read_run(job: Job) -> Run:
    """Read the record of a finished run.

    Raises:
        DataError: A file of it cannot be read.
    """
    kept, result = test_ranks.load_ranks(job.folder / test_ranks.RANKS), read_record(job.folder / RESULT)
    return Run(job.entry, job.dataset, job.seed, job.fraction, result, kept.frame, kept.test, job.folder)


def read_record(file: Path) -> RunRecord:
    """Read the record of a finished run that was tested.

    Raises:
        DataError: It cannot be read, or something is missing.
    """
    try:
        record = RunRecord.read(file)
        if record.test is None:
            raise ValueError("it has no metrics of a test set")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file}: this is no record of a run ({error}); remove it, and compare trains the run again: "
            f"rm {shlex.quote(str(file))}"
        ) from error
    return record


def pretraining_within(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the pre-training part of a record, if the run's own seconds include it.

    They do not if the weights came from another run, or from an earlier attempt at the same one.
    """
    before = record.get("pretraining")
    total = record.get("seconds_total") or 0.0
    return before if before and not before["reused"] and total > before["seconds"] else None


def read_finished_runs(jobs: Sequence[Job]) -> tuple[list[Run], dict[Job, str]]:
    """Read the finished runs of some jobs.

    Returns:
        The runs, and for each job whose record is damaged, the error.

    Raises:
        DataError: Runs of one data set ranked different items.
    """
    runs: list[Run] = []
    damaged: dict[Job, str] = {}
    for job in jobs:
        if job.finished:
            try:
                runs.append(read_run(job))
            except DataError as error:
                damaged[job] = str(error)
    first: dict[str, Run] = {}
    for run in runs:
        other = first.setdefault(run.dataset, run)
        for part, one, two in (("test items", run.test, other.test), ("candidates", _items(run), _items(other))):
            if one != two:
                raise DataError(
                    f"{run.entry} and {other.entry} on {run.dataset} ranked different {part}; give all entries the "
                    "same filters, load_col and eval_args"
                )
    return runs, damaged


def _items(run: Run) -> Any:
    return run.result.get("data", {}).get("items")
