"""Candidates of entries with their scores, and the choices among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from recbole.evaluator.register import smaller_metrics

from recbole_samrec.compare.one_standard_error import Decision, choose_candidate
from recbole_samrec.compare.prepare import Preparation
from recbole_samrec.config.keys import list_known_keys
from recbole_samrec.config.validate import check_values, suggest
from recbole_samrec.experiments.entries import Entry
from recbole_samrec.experiments.jobs import Job, model_class
from recbole_samrec.quick_start.record import field_name
from recbole_samrec.utils.errors import ConfigError

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
        retraining: Gradient passes that training its runs again, for their best numbers of epochs, is expected to take.
    """

    settings: Settings
    scores: tuple[float, ...]
    passes: float
    folders: tuple[Path, ...] = ()
    failures: tuple[str, ...] = ()
    retraining: float = 0.0


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
        decision = _decide(candidates, form[0])
        return cls(entry.name, tuple(seeds), *form, tuple(candidates), decision, entry.tuned_as)

    def extend(self, entry: Entry, added: Sequence[Candidate]) -> Choice:
        """Choose among these candidates and further ones for another entry."""
        candidates = (*self.candidates, *added)
        decision = _decide(candidates, self.metric)
        return replace(self, entry=entry.name, tuned_as="", candidates=candidates, decision=decision)

    @property
    def chosen(self) -> Candidate | None:
        """The chosen candidate; None if none has scores of all seeds."""
        return None if self.decision.chosen is None else self.candidates[self.decision.chosen]

    @property
    def passes(self) -> float:
        """Sum of the gradient passes of all candidates."""
        return sum(candidate.passes for candidate in self.candidates)


def _decide(candidates: Sequence[Candidate], metric: str) -> Decision:
    scores = np.array([candidate.scores for candidate in candidates])
    bigger = metric.partition("@")[0] not in smaller_metrics
    return choose_candidate([candidate.settings for candidate in candidates], scores, bigger)


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
        """Return True if the settings of an entry on a data set are still to be chosen."""
        return entry in self.needed and entry not in self.made.get(dataset, {})

    def settings(self, dataset: str, entry: Entry) -> Settings:
        """Return the settings chosen for an entry, which override those of the entry that it is tuned as."""
        own = [self.made.get(dataset, {}).get(name) for name in (entry.tuned_as, entry.name)]
        chosen = [one.chosen for one in own if one is not None]
        return {key: value for one in chosen if one for key, value in one.settings.items()}

    def collect(self, preparation: Preparation) -> dict[str, dict[str, Settings]]:
        """Collect the chosen settings of all entries on all data sets."""
        return {
            dataset: {entry.name: self.settings(dataset, entry) for entry in preparation.entries}
            for dataset in preparation.hashes
        }


def check_choices(entries: Sequence[Entry], given: Settings, select: bool) -> None:
    """Check that settings are selected if and only if entries declare candidates, and that declarations are valid.

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
        raise ConfigError(f"{key} of {name}: it requires --select; add --select, or remove {key}")
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
                raise ConfigError(f"choose of {entry.name}: {key} is also given as {given[key]}; remove one of them")
            more = entry.choose_more.get(key)
            for value in (*entry.choose.get(key, ()), *(() if more is None else more.extremes)):
                try:
                    check_values({key: value})
                except ConfigError as error:
                    raise ConfigError(f"choose of {entry.name}: {error}") from error


def _has_choices(entry: Entry) -> bool:
    return bool(entry.choose or entry.tuned_as)
