"""Selection of settings by validation: each candidate of an entry is trained with several seeds, and never tested."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from recbole_samrec.compare.choices import Candidate, Choice, Choices, Settings
from recbole_samrec.compare.prepare import Preparation
from recbole_samrec.experiments.candidates import list_candidates, name_candidate
from recbole_samrec.experiments.entries import Entry
from recbole_samrec.experiments.estimate import CostBook
from recbole_samrec.experiments.jobs import Job
from recbole_samrec.experiments.results import read_record
from recbole_samrec.experiments.worker import read_failure
from recbole_samrec.quick_start.record import RESULT, field_name
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError, DataError

FOLDER = "selection"
"""Folder of the runs that choose settings, in that of the comparison."""
FAILED_PASSES = 1.0
"""Passes that a failed run counts at least, so that candidates that fail use up a budget, too."""
Train = Callable[[Sequence[Job], Path], CostBook]
"""Trains those of some jobs that are not finished, whose folders are in a folder, and returns the costs."""


@dataclass(frozen=True)
class Selector:
    """Trains candidates, and reads their scores.

    Attributes:
        seeds: Seeds of each candidate.
        out: Folder of the comparison.
        train: Trains jobs.
    """

    seeds: tuple[int, ...]
    out: Path
    train: Train

    def choose(self, preparation: Preparation, choices: Choices, entries: Sequence[Entry]) -> None:
        """Choose the settings of some entries on all data sets, and add them to the choices."""
        named = {entry.name: entry for entry in entries}
        grids = {name: list_candidates(entry.choose) for name, entry in named.items()}
        wanted = {
            dataset: {name: grid for name, grid in grids.items() if not choices.lacks(dataset, named[name].tuned_as)}
            for dataset in preparation.hashes
        }
        planned = self.plan(preparation, choices, wanted)
        costs = self.run(jobs for of in planned.values() for grid in of.values() for jobs in grid)
        for dataset, of in planned.items():
            for name, jobs in of.items():
                if jobs:
                    choices.add(dataset, name, self._choose_one(named[name], grids[name], jobs, costs))

    def _choose_one(
        self, entry: Entry, grid: Sequence[Settings], jobs: Sequence[Sequence[Job]], costs: CostBook
    ) -> Choice | str:
        read = [read_candidate(*each, costs) for each in zip(grid, jobs, strict=True)]
        candidates = [one for one in read if isinstance(one, Candidate)]
        if len(candidates) < len(read):
            reasons = "; ".join(dict.fromkeys(one for one in read if isinstance(one, str)))
            return f"{len(read) - len(candidates)} of {len(read)} candidates are not trained: {reasons}"
        return Choice.make(entry, self.seeds, jobs[0], candidates)

    def run(self, groups: Iterable[Sequence[Job]]) -> CostBook:
        """Train the runs of candidates; runs that differ only in test targets are trained once."""
        jobs = {job.folder: job for group in groups for job in group}
        return self.train(list(jobs.values()), self.out / FOLDER)

    def plan(
        self, preparation: Preparation, choices: Choices, wanted: Mapping[str, Mapping[str, Sequence[Settings]]]
    ) -> dict[str, dict[str, list[list[Job]]]]:
        """Plan the runs of candidates.

        Args:
            preparation: What they are planned from.
            choices: Choices so far.
            wanted: For each data set and entry, its candidates.

        Returns:
            For each data set and entry, the runs of each candidate; none of entries that are incompatible.
        """
        return {
            dataset: self._plan_dataset(replace(preparation, hashes={dataset: sha256}), choices, wanted[dataset])
            for dataset, sha256 in preparation.hashes.items()
        }

    def _plan_dataset(
        self, preparation: Preparation, choices: Choices, wanted: Mapping[str, Sequence[Settings]]
    ) -> dict[str, list[list[Job]]]:
        """Plan the runs of candidates on the data set of a preparation; all entries decide how its data is read."""
        (dataset,) = preparation.hashes
        entries, found, chosen = [], {}, {}
        names: dict[str, list[str]] = {}
        for entry in preparation.entries:
            candidates = wanted.get(entry.name, [{}])
            names[entry.name] = [name_candidate(entry.name, settings) for settings in candidates]
            for name, settings in zip(names[entry.name], candidates, strict=True):
                entries.append(replace(entry, name=name, fixed={**entry.fixed, **settings}))
                found[name] = preparation.found.get(dataset, {}).get(entry.name, {})
                chosen[name] = choices.settings(dataset, entry)
        jobs = preparation.plan_jobs(
            entries,
            self.seeds,
            [max(preparation.fractions)],
            self.out / FOLDER,
            tuned={dataset: found},
            chosen={dataset: chosen},
            skip=lambda entry, name, error: None,
            tested=False,
        )
        of_name: dict[str, list[Job]] = {}
        for job in jobs:
            of_name.setdefault(job.entry, []).append(job)
        return {entry: [of_name[name] for name in names[entry] if name in of_name] for entry in wanted}


def read_candidate(settings: Settings, jobs: Sequence[Job], costs: CostBook) -> Candidate | str:
    """Read the runs of a candidate; return the reason if some have neither finished nor failed."""
    read = []
    for job in jobs:
        if job.finished:
            read.append(_read_finished(job))
        elif reason := read_failure(job.folder):
            read.append(_RunRead(spent=read_failed_passes(job.folder), failure=reason))
        else:
            return costs.skip_reason(job) or "run the command again without --tables"
    return Candidate(
        settings,
        tuple(one.score for one in read),
        sum(one.spent for one in read),
        tuple(job.folder for job in jobs),
        tuple(f"seed {job.seed}: {one.failure}" for job, one in zip(jobs, read, strict=True) if one.failure),
        sum(one.retraining for one in read),
    )


class _RunRead(NamedTuple):
    """A finished or failed run: its score, its passes, the passes expected of retraining, and why it has no score."""

    score: float = math.nan
    spent: float = FAILED_PASSES
    retraining: float = 0.0
    failure: str = ""


def _read_finished(job: Job) -> _RunRead:
    found = _RunRead()
    try:
        record = read_record(job.folder / RESULT, tested=False)
        found = found._replace(spent=read_passes(record), retraining=expect_retraining(record))
        return found._replace(score=(record.valid or {})[field_name(str(job.settings["valid_metric"]))])
    except (DataError, KeyError) as error:
        return found._replace(failure=str(error))


def expect_retraining(record: Mapping[str, Any]) -> float:
    """Estimate the passes of training a run again, with any pre-training, for its best number of epochs."""
    passes, epochs, best = read_passes(record), record.get("epochs_run"), record.get("best_epoch")
    if not epochs or best is None:
        return passes
    before = (record.get("pretraining") or {}).get("gradient_passes") or 0.0
    return before + (passes - before) * (best + 1) / epochs


def read_failed_passes(folder: Path) -> float:
    """Read the gradient passes of a run that failed from its newest checkpoint; at least one counts in any case."""
    try:
        state = checkpoint_io.load(folder / "last.pth")
    except CheckpointError:
        return FAILED_PASSES
    before = (state.get("pretraining") or {}).get("gradient_passes") or 0.0
    return max(FAILED_PASSES, before + ((state.get("sam") or {}).get("passes") or 0.0))


def read_passes(record: Mapping[str, Any]) -> float:
    """Read the gradient passes of a record; NaN if an earlier version wrote none."""
    passes = record.get("gradient_passes")
    return math.nan if passes is None else float(passes)


def select_settings(preparations: Sequence[Preparation], selector: Selector) -> list[Choices]:
    """Choose the settings of all entries with candidates under each protocol; entries that others refer to come first.

    Entries whose search another entry continues are chosen, too, even if they have one candidate only.
    """
    made = []
    for preparation in preparations:
        continued = {entry.continues for entry in preparation.entries}
        chosen = [one for one in preparation.entries if (one.choose or one.name in continued) and not one.continues]
        choices = Choices(frozenset(entry.name for entry in chosen))
        for entries in ([one for one in chosen if not one.tuned_as], [one for one in chosen if one.tuned_as]):
            if entries:
                selector.choose(preparation, choices, entries)
        _wait_for_others(preparation, choices)
        made.append(choices)
    return made


def _wait_for_others(preparation: Preparation, choices: Choices) -> None:
    """Postpone entries that take settings of a postponed entry, or whose search has not continued."""
    for dataset in preparation.hashes:
        for entry in preparation.entries:
            if choices.lacks(dataset, entry.tuned_as):
                choices.add(dataset, entry.name, f"the settings of {entry.tuned_as} are not chosen yet")
            elif entry.continues:
                choices.add(dataset, entry.name, f"the search of {entry.continues} has not continued yet")
