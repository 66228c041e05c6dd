"""Selection of settings by validation: each candidate of an entry is trained with several seeds, and never tested."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from recbole_samrec.compare.one_standard_error import Decision, choose_candidate
from recbole_samrec.compare.prepare import Preparation
from recbole_samrec.config.keys import list_known_keys
from recbole_samrec.config.validate import check_values, suggest
from recbole_samrec.experiments.candidates import list_candidates, name_candidate
from recbole_samrec.experiments.entries import Entry
from recbole_samrec.experiments.estimate import CostBook
from recbole_samrec.experiments.jobs import Job, model_class
from recbole_samrec.experiments.results import read_record
from recbole_samrec.experiments.worker import read_failure
from recbole_samrec.quick_start.record import RESULT, field_name
from recbole_samrec.utils.errors import ConfigError, DataError

FOLDER = "selection"
"""Folder of the runs that choose settings, in that of the comparison."""
Train = Callable[[Sequence[Job], Path], CostBook]
"""Trains those of some jobs that are not finished, whose folders are in a folder, and returns the costs."""
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """The runs of a candidate.

    Attributes:
        settings: Its settings.
        scores: Validation score by each seed; NaN of a run that failed.
        passes: Gradient passes of all its runs; NaN if a record has none.
        folders: Folders of its runs.
        failures: Why runs have no score.
    """

    settings: Settings
    scores: tuple[float, ...]
    passes: float
    folders: tuple[Path, ...] = ()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The choice among the candidates of an entry.

    Attributes:
        entry: Name of the entry.
        seeds: Seeds of each candidate's runs.
        metric: The metric on validation data.
        masked: Whether validation masked the history.
        candidates: The candidates.
        decision: What validation decided; it names a candidate by its place.
        tuned_as: Name of the entry whose settings the candidates share; empty if they have none of another.
    """

    entry: str
    seeds: tuple[int, ...]
    metric: str
    masked: bool
    candidates: tuple[Candidate, ...]
    decision: Decision
    tuned_as: str = ""

    @classmethod
    def make(cls, entry: Entry, seeds: Sequence[int], jobs: Sequence[Job], candidates: Sequence[Candidate]) -> Choice:
        """Choose among candidates; ``jobs`` are some of their runs."""
        settings = jobs[0].settings
        form = (field_name(str(settings["valid_metric"])), bool(settings.get("mask_history")))
        return cls(entry.name, tuple(seeds), *form, tuple(candidates), _decide(candidates), entry.tuned_as)

    def extend(self, entry: Entry, added: Sequence[Candidate]) -> Choice:
        """Choose among these candidates and further ones for another entry."""
        candidates = (*self.candidates, *added)
        return replace(self, entry=entry.name, tuned_as="", candidates=candidates, decision=_decide(candidates))

    @property
    def chosen(self) -> Candidate | None:
        """The chosen candidate; None if none has scores of all seeds."""
        return None if self.decision.chosen is None else self.candidates[self.decision.chosen]

    @property
    def passes(self) -> float:
        """Gradient passes of all its runs."""
        return sum(candidate.passes for candidate in self.candidates)


def _decide(candidates: Sequence[Candidate]) -> Decision:
    scores = np.array([candidate.scores for candidate in candidates])
    return choose_candidate([candidate.settings for candidate in candidates], scores)


@dataclass
class Choices:
    """The choices of a comparison under one protocol, which grow from step to step.

    Attributes:
        needed: Names of the entries whose settings are to be chosen.
        made: For each data set and entry, its choice.
        waiting: For each data set, the entries whose settings are not chosen yet, and why.
    """

    needed: frozenset[str] = frozenset()
    made: dict[str, dict[str, Choice]] = field(default_factory=dict)
    waiting: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, dataset: str, entry: str, choice: Choice | str) -> None:
        """Add a choice, or the reason why there is none yet."""
        self.made.get(dataset, {}).pop(entry, None)
        self.waiting.get(dataset, {}).pop(entry, None)
        if isinstance(choice, str):
            self.waiting.setdefault(dataset, {})[entry] = choice
        elif choice.chosen is None:
            failures = [one for each in choice.candidates for one in each.failures]
            reason = f"no candidate has a validation score of each seed; {failures[0]}"
            self.waiting.setdefault(dataset, {})[entry] = reason
        else:
            self.made.setdefault(dataset, {})[entry] = choice

    def lacks(self, dataset: str, entry: str) -> bool:
        """Return whether an entry has to be chosen on a data set and is not."""
        return entry in self.needed and entry not in self.made.get(dataset, {})

    def settings(self, dataset: str, entry: Entry) -> Settings:
        """Settings that were chosen for an entry, above those of the entry that it is tuned as."""
        own = [self.made.get(dataset, {}).get(name) for name in (entry.tuned_as, entry.name)]
        chosen = [one.chosen for one in own if one is not None]
        return {key: value for one in chosen if one for key, value in one.settings.items()}

    def collect(self, preparation: Preparation) -> dict[str, dict[str, Settings]]:
        """Collect the chosen settings of all entries on all data sets."""
        return {
            dataset: {entry.name: self.settings(dataset, entry) for entry in preparation.entries}
            for dataset in preparation.hashes
        }


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
        """Train the runs of candidates; runs that differ in test targets only are the same."""
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


def check_choices(entries: Sequence[Entry], given: Settings, select: bool) -> None:
    """Check that settings are chosen exactly if entries declare candidates, and that nothing else chooses them.

    Args:
        entries: The entries of the comparison.
        given: Settings of the user for all entries.
        select: Whether settings are to be chosen.

    Raises:
        ConfigError: Something does not go together.
    """
    declaring = {entry.name: "choose" if entry.choose else "tuned_as" for entry in entries if _has_choices(entry)}
    if declaring and not select:
        name, key = next(iter(declaring.items()))
        raise ConfigError(f"{key} of {name}: settings are chosen by --select only; add --select, or remove {key}")
    if select and not any(entry.choose for entry in entries):
        raise ConfigError(
            "--select: no entry declares candidates; add choose: {sam_rho: [0, 0.1, 0.3]} to an entry of --entries"
        )
    for entry in entries:
        known = list_known_keys(entry.model, None, model_class(entry))
        for key in (*entry.choose, *entry.choose_more):
            if key not in known:
                raise ConfigError(f"choose of {entry.name}: unknown setting {key}; {suggest(key, known)}")
            if key in given:
                raise ConfigError(f"choose of {entry.name}: {key} is given as {given[key]}, too; remove one of them")
            for value in (*entry.choose.get(key, ()), *entry.choose_more.get(key, ())):
                try:
                    check_values({key: value})
                except ConfigError as error:
                    raise ConfigError(f"choose of {entry.name}: {error}") from error


def _has_choices(entry: Entry) -> bool:
    return bool(entry.choose or entry.tuned_as)


def read_candidate(settings: Settings, jobs: Sequence[Job], costs: CostBook) -> Candidate | str:
    """Read the runs of a candidate; the reason if some have neither ended nor failed."""
    scores, passes, failures = [], [], []
    for job in jobs:
        score, spent = math.nan, 0.0
        if job.finished:
            try:
                record = read_record(job.folder / RESULT, tested=False)
                score = (record.valid or {})[field_name(str(job.settings["valid_metric"]))]
                spent = read_passes(record)
            except (DataError, KeyError) as error:
                failures.append(f"seed {job.seed}: {error}")
        elif reason := read_failure(job.folder):
            failures.append(f"seed {job.seed}: {reason}")
        else:
            return costs.skip_reason(job) or "start the command again without --tables"
        scores.append(score)
        passes.append(spent)
    return Candidate(settings, tuple(scores), sum(passes), tuple(job.folder for job in jobs), tuple(failures))


def read_passes(record: Mapping[str, Any]) -> float:
    """Read the gradient passes of a record; NaN if an earlier version wrote none."""
    passes = record.get("gradient_passes")
    return math.nan if passes is None else float(passes)


def select_settings(preparations: Sequence[Preparation], selector: Selector) -> list[Choices]:
    """Choose the settings of all entries with candidates under each protocol: first of those that others are tuned as.

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
    """Let entries wait whose settings are those of another entry that waits, or whose search has not continued."""
    for dataset in preparation.hashes:
        for entry in preparation.entries:
            if choices.lacks(dataset, entry.tuned_as):
                choices.add(dataset, entry.name, f"the settings of {entry.tuned_as} are not chosen yet")
            elif entry.continues:
                choices.add(dataset, entry.name, f"the search of {entry.continues} has not continued yet")
