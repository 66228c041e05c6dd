"""Reads finished runs of a comparison."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.evaluator import test_ranks
from recbole_samrec.evaluator.user_metrics import ONE_BY_ONE, find_starts
from recbole_samrec.experiments.determinism import is_deterministic
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
        prediction: Whether the test events of a user were predicted one by one or at once.
        protocol: Name of its protocol, if the comparison has several.
    """

    entry: str
    dataset: str
    seed: int
    fraction: float
    result: Mapping[str, Any]
    ranks: pd.DataFrame
    test: str
    folder: Path = Path()
    prediction: str = ONE_BY_ONE
    protocol: str = ""

    @property
    def users(self) -> np.ndarray:
        """Index of the user of each test event, ascending; without a column ``user`` every event has another user."""
        return self.ranks["user"].to_numpy() if "user" in self.ranks else np.arange(len(self.ranks))

    @property
    def is_deterministic(self) -> bool:
        """True if the run would be the same with another seed; a share of the users depends on the seed."""
        return self.fraction == 1 and is_deterministic(self.result.get("model") or "")

    @property
    def has_several_events(self) -> bool:
        """True if a user has more than one test event."""
        return len(find_starts(self.users)) < len(self.ranks)


def read_run(job: Job) -> Run:
    """Read the record of a finished run.

    Raises:
        DataError: A file of it cannot be read.
    """
    kept, result = test_ranks.load_ranks(job.folder / test_ranks.RANKS), read_record(job.folder / RESULT)
    if "user" not in kept.frame:
        _require_one_event_per_user(result, job.folder / test_ranks.RANKS)
    where = (job.entry, job.dataset, job.seed, job.fraction)
    return Run(*where, result, kept.frame, kept.test, job.folder, kept.prediction, job.protocol)


def _require_one_event_per_user(result: Mapping[str, Any], file: Path) -> None:
    """Check that the ranks of an earlier version, which did not store users, are of one test event each.

    Raises:
        DataError: Users may have several test events.
    """
    config = result.get("config") or {}
    split, benchmark = (config.get("eval_args") or {}).get("split"), config.get("benchmark_filename")
    if benchmark or "LS" not in (split or {}):
        kind = "benchmark files" if benchmark else f"the split {split}"
        raise DataError(
            f"{file}: an earlier version did not store the users of the test events, and {kind} may have several per "
            f"user; remove it to train the run again: rm {shlex.quote(str(file))}"
        )


def read_record(file: Path, tested: bool = True) -> RunRecord:
    """Read the record of a finished run.

    Args:
        file: The record.
        tested: Whether it needs metrics of the test set; else it needs those of validation.

    Raises:
        DataError: It cannot be read, or something is missing.
    """
    try:
        record = RunRecord.read(file)
        if (record.test if tested else record.valid) is None:
            raise ValueError(f"it has no metrics of a {'test' if tested else 'validation'} set")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file}: not a valid record of a run ({error}); remove it to train the run again: "
            f"rm {shlex.quote(str(file))}"
        ) from error
    return record


def set_aside_damaged(jobs: Sequence[Job], note: Callable[[str], None]) -> None:
    """Rename damaged files of finished runs, so that the runs are continued from their best checkpoints.

    A whole record that this version cannot read stays as it is.

    Args:
        jobs: The jobs.
        note: Called with a line about each file.
    """
    for job in (job for job in jobs if job.finished):
        for file in (job.folder / RESULT, *[job.folder / test_ranks.RANKS] * job.tested):
            if _is_damaged(file):
                kept = file.with_name(f"{file.name}.damaged")
                file.replace(kept)
                note(f"{file}: it is damaged and was renamed to {kept.name}; the run resumes from its best checkpoint")


def _is_damaged(file: Path) -> bool:
    try:
        if file.name == RESULT:
            json.loads(file.read_text(encoding="utf-8"))
        else:
            test_ranks.load_ranks(file)
    except ValueError:  # also a DataError
        return True
    return False


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
        DataError: Runs of one data set ranked different items, or predicted a user's test events in different ways.
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
        _require_same_prediction(run, other)
        for part, one, two in (("test items", run.test, other.test), ("candidates", _items(run), _items(other))):
            if one != two:
                raise DataError(
                    f"{run.entry} and {other.entry} on {run.dataset} ranked different {part}; give all entries the "
                    "same filters, load_col and eval_args"
                )
    return runs, damaged


def group_runs(runs: Sequence[Run]) -> dict[tuple[str, str], list[Run]]:
    """Group the runs with the largest share of training users by data set and protocol, as they come."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.dataset, run.protocol), []).append(run)
    return {place: keep_largest_share(of_place) for place, of_place in groups.items()}


def keep_largest_share(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with the largest share of training users."""
    largest = max((run.fraction for run in runs), default=1.0)
    return [run for run in runs if run.fraction == largest]


def _require_same_prediction(run: Run, other: Run) -> None:
    """Check that two runs predicted the test events of a user in the same way, where a user has several.

    Raises:
        DataError: They did not.
    """
    if run.prediction != other.prediction and (run.has_several_events or other.has_several_events):
        first, second = (run, other) if run.prediction == ONE_BY_ONE else (other, run)
        raise make_mixture_error(first.entry, second.entry, run.dataset)


def make_mixture_error(one_by_one: str, at_once: str, dataset: str) -> DataError:
    """Return the error about two entries that predict a user's test events in different ways."""
    return DataError(
        f"{one_by_one} predicts a user's test events on {dataset} one by one and {at_once} predicts them at once, so "
        "their metrics are not comparable; compare them separately, or use a leave-one-out split (LS)"
    )


def _items(run: Run) -> Any:
    return run.result.get("data", {}).get("items")
