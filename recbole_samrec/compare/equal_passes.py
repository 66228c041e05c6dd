"""Equal budgets: the search of a plain entry continues until it has used the gradient passes of its entry with SAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recbole_samrec.compare.choices import Candidate, Choice
from recbole_samrec.compare.control_groups import find_groups
from recbole_samrec.experiments.candidates import FurtherCandidates
from recbole_samrec.experiments.entries import EQUAL_PASSES, Entry
from recbole_samrec.utils.errors import ConfigError

MOST_FAILED = 10
"""Number of added candidates in a row whose failure ends a search."""


@dataclass(frozen=True)
class Budget:
    """The gradient passes of an entry with equal passes.

    Attributes:
        sam: Name of the entry with SAM.
        passes: What that one has taken: searches, selection and runs.
        searched: What the plain entry has taken before its search continues.
        runs: What the runs of the chosen candidate are expected to take.
        added: Number of candidates that were added, the doubled one included.
        ran_out: Whether there were no further candidates before the budget was spent.
        space: What further candidates are made of: the values of each setting in words.
    """

    sam: str
    passes: float
    searched: float
    runs: float
    added: int
    ran_out: bool
    space: Mapping[str, str] = field(default_factory=dict)


def add_equal_entries(entries: Sequence[Entry], given: Mapping[str, Any]) -> list[Entry]:
    """Add an entry with equal passes after each plain entry that has an entry with SAM.

    Args:
        entries: All entries of the comparison.
        given: Settings of the user for all entries.

    Raises:
        ConfigError: There is no such pair, or a plain entry takes the settings of another one.
    """
    plain = {group.plain.name for group in find_groups(entries, given)}
    if not plain:
        raise ConfigError(
            "--equal=passes: no entry with SAM is compared with its plain entry; name both, such as SAMRec and SASRec"
        )
    extended = []
    for entry in entries:
        extended.append(entry)
        if entry.name in plain:
            if entry.tuned_as:
                raise ConfigError(f"--equal=passes: {entry.name} is tuned as {entry.tuned_as}; remove tuned_as")
            name = f"{entry.name}{EQUAL_PASSES}"
            own = replace(entry, name=name, variant_of=entry.name, tuned_as=entry.name, continues=entry.name)
            extended.append(replace(own, choose={}, choose_more={}))
        elif entry.choose_more:
            raise ConfigError(
                f"choose_more of {entry.name}: only the search of a plain entry that is compared with its entry with "
                "SAM continues; remove choose_more"
            )
    return extended


def count_needed(spent: float, trials: Sequence[float], runs: Sequence[float], budget: float) -> int | None:
    """Count the added candidates with which a search has used up a budget: the smallest number, at least one.

    Args:
        spent: Passes of the search before candidates are added.
        trials: Passes of each added candidate, in their order.
        runs: Passes that the final runs take if the search stops after each of them.
        budget: The budget.

    Returns:
        Their number; None if all of them together leave some of the budget.
    """
    for number, (tried, final) in enumerate(zip(np.cumsum(trials), runs, strict=True), 1):
        if spent + tried + final >= budget:
            return number
    return None


@dataclass
class Continuation:
    """The continued search of a plain entry on a data set.

    Attributes:
        entry: The entry with equal passes.
        dataset: Name of the data set.
        plain: The choice of the plain entry.
        order: The candidates to add, in this order: the doubled one first.
        sam: Name of the entry with SAM.
        budget: What that one has taken.
        searched: What the plain entry has taken so far.
        runs: Number of the runs that follow.
        retrains: Whether these are trained again for their best number of epochs, which those of the search are not.
        added: The candidates that have been added.
        waiting: Why it cannot continue; empty if it can.
    """

    entry: Entry
    dataset: str
    plain: Choice
    order: FurtherCandidates
    sam: str
    budget: float
    searched: float
    runs: int
    retrains: bool = False
    added: list[Candidate] = field(default_factory=list)
    waiting: str = ""

    @property
    def next_number(self) -> int:
        """Number of added candidates known to be needed: as many as the budget allows in any case, a few at once."""
        if self.waiting or self.needed is not None:
            return len(self.added)
        if not self.added:
            return 1
        spent = self.searched + sum(one.passes for one in self.added) + self._expect_runs(len(self.added))
        dearest = max(one.passes for one in (*self.plain.candidates, *self.added))
        at_once = max(1, int((self.budget - spent) // dearest)) if dearest else 1
        return len(self.order.take(len(self.added) + min(at_once, MOST_FAILED)))

    @property
    def needed(self) -> int | None:
        """Number of added candidates that use up the budget; None if it is not used up."""
        trials = [one.passes for one in self.added]
        runs = [self._expect_runs(number + 1) for number in range(len(trials))]
        return count_needed(self.searched, trials, runs, self.budget)

    @property
    def failure(self) -> str:
        """Why the search ends before its budget is used up, if too many candidates in a row fail; else empty."""
        in_a_row = 0
        for one in self.added[: self.needed]:
            in_a_row = in_a_row + 1 if one.failures else 0
            if in_a_row == MOST_FAILED:
                return (
                    f"{MOST_FAILED} added candidates in a row failed, the last one with {one.failures[0]}; give "
                    "choose_more values with which training succeeds"
                )
        return ""

    def _expect_runs(self, added: int) -> float:
        """Estimate the passes of the final runs: those of the best candidate so far, for each run."""
        best = self._choose(added).chosen
        if best is None:
            return 0.0
        passes = best.passes + (best.retraining if self.retrains else 0.0)
        return passes / len(best.scores) * self.runs

    def _choose(self, added: int) -> Choice:
        """Choose among the candidates of the plain entry and the first of the added ones."""
        return self.plain.extend(self.entry, self.added[:added])

    def close(self) -> tuple[Choice, Budget]:
        """Return the choice among the candidates within the budget, and the passes that they used."""
        needed = self.needed
        added = len(self.added) if needed is None else needed
        runs = self._expect_runs(added)
        budget = Budget(self.sam, self.budget, self.searched, runs, added, needed is None, self.order.space)
        return self._choose(added), budget
