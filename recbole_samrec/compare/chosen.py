"""The choices of validation and their reasons: the file of all candidates, and its summary on a page."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_samrec.compare import captions
from recbole_samrec.compare.choices import Choice
from recbole_samrec.compare.equal_passes import Budget
from recbole_samrec.compare.layout import NOTHING, Cell, Grid, show_number
from recbole_samrec.compare.one_standard_error import RADIUS
from recbole_samrec.compare.tables import DIGITS
from recbole_samrec.utils.files import write_atomically

END = "-chosen.json"
"""End of the name of the file, after the begin of the names of a data set's files."""


@dataclass(frozen=True)
class Selected:
    """The choices on a data set.

    Attributes:
        choices: The choice of each entry.
        budgets: The budgets of entries with equal passes.
        runs: For each of these entries, the gradient passes of its runs; none if some have not ended.
        out: Folder of the comparison, to which the folders in the file are relative.
    """

    choices: Mapping[str, Choice]
    budgets: Mapping[str, Budget]
    runs: Mapping[str, float]
    out: Path = Path()

    @property
    def masked(self) -> bool:
        """True if validation masked the history."""
        return any(choice.masked for choice in self.choices.values())

    def write(self, file: Path) -> None:
        """Write all candidates, scores, choices and reasons as JSON.

        Raises:
            ConfigError: The file cannot be written.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(self.describe(), indent=1, default=str) + "\n", folder="--pages")

    def describe(self) -> dict[str, Any]:
        """Describe the choices as plain data, with None for unknown numbers."""
        described: dict[str, Any] = {}
        for entry, choice in self.choices.items():
            described[entry] = {
                "settings": dict(choice.chosen.settings) if choice.chosen else None,
                "why": explain(choice),
                "edges": list(choice.decision.edges),
                "tuned_as": choice.tuned_as,
                "metric": choice.metric,
                "history": "masked" if choice.masked else "unmasked",
                "seeds": list(choice.seeds),
                "passes": _plain(choice.passes),
                "best": choice.decision.best,
                "chosen": choice.decision.chosen,
                "candidates": [self._describe_candidate(choice, number) for number in range(len(choice.candidates))],
            }
            if budget := self.budgets.get(entry):
                spent = {"passes_of_runs": self.runs.get(entry)}
                described[entry]["equal_passes"] = {key: _plain(one) for key, one in (asdict(budget) | spent).items()}
        return {"rule": " ".join(captions.RULE.split()), "entries": described}

    def _describe_candidate(self, choice: Choice, number: int) -> dict[str, Any]:
        candidate, decision = choice.candidates[number], choice.decision
        return {
            "settings": dict(candidate.settings),
            "scores": {str(seed): _plain(one) for seed, one in zip(choice.seeds, candidate.scores, strict=True)},
            "mean": _plain(decision.means[number]),
            "behind_best": _plain(decision.behind[number]),
            "standard_error": _plain(decision.errors[number]),
            "passes": _plain(candidate.passes),
            "runs": [os.path.relpath(folder, self.out) for folder in candidate.folders],
            "failures": list(candidate.failures),
        }

    def list_lines(self) -> Iterator[dict[str, Any]]:
        """List a line for each candidate: entry, settings, scores, and whether it was chosen."""
        for entry, choice in self.choices.items():
            for number in range(len(choice.candidates)):
                line = self._describe_candidate(choice, number)
                del line["runs"], line["failures"]
                yield {"entry": entry, **line, "chosen": number == choice.decision.chosen}

    def lay_out(self) -> list[Grid]:
        """Lay out the choices, and the budgets of entries with equal passes."""
        header = ["entry", "tuned as", "candidates", "seeds", "validation", "best", "chosen", "why", "edge", "passes"]
        body = [[Cell(entry), *map(Cell, _summarize(choice))] for entry, choice in self.choices.items()]
        grids = [Grid("Chosen settings", "chosen", [captions.RULE], header, body)]
        if self.budgets:
            header = ["entry", "entry with SAM", "its passes", "search", "runs", "all", "added candidates"]
            lines = [[Cell(entry), *map(Cell, self._summarize_budget(entry))] for entry in self.budgets]
            grids.append(Grid("Equal passes", "equal-passes", [captions.EQUAL_PASSES], header, lines))
        return grids

    def _summarize_budget(self, entry: str) -> list[str]:
        budget = self.budgets[entry]
        search = budget.searched + sum(one.passes for one in self.choices[entry].candidates[-budget.added :])
        runs = self.runs.get(entry, math.nan)
        numbers = [show_number(one, ",.1f") for one in (budget.passes, search, runs, search + runs)]
        return [budget.sam, *numbers, f"{budget.added}{', no more to try' if budget.ran_out else ''}"]

    def list_notes(self) -> list[str]:
        """List notes on the choices: best values at the edge of a grid, failures, budgets that are not used up."""
        notes = []
        for entry, choice in self.choices.items():
            best = choice.candidates[choice.decision.best or 0].settings
            notes += [
                f"{entry}: the best {key}, {best[key]}, is at the edge of the values that have a score; extend choose"
                for key in choice.decision.edges
            ]
            notes += [
                f"{entry}: the candidate {_format_settings(each.settings)} is excluded; {'; '.join(each.failures)}"
                for each in choice.candidates
                if each.failures
            ]
            if choice.chosen is not None and choice.chosen.settings.get(RADIUS) == 0:
                notes.append(f"{entry}: validation chose {RADIUS} 0, so it is trained without a perturbation")
            if (budget := self.budgets.get(entry)) and budget.ran_out:
                notes.append(
                    f"{entry}: its search ran out of candidates before it had taken the {budget.passes:,.1f} passes of "
                    f"{budget.sam}; add values or a range to choose_more"
                )
        return notes


def tabulate(selected: Mapping[tuple[str, str], Selected]) -> pd.DataFrame:
    """Tabulate the candidates of all data sets and protocols, one line each."""
    lines = []
    for (dataset, protocol), one in selected.items():
        place = {"dataset": dataset, **({"protocol": protocol} if protocol else {})}
        lines += [{**place, **line} for line in one.list_lines()]
    return pd.DataFrame(lines)


def explain(choice: Choice) -> str:
    """Explain a choice in a sentence."""
    decision = choice.decision
    if decision.best is None or decision.chosen is None:
        return "no candidate has a score of each seed"
    if decision.chosen == decision.best:
        return "the only candidate" if len(choice.candidates) == 1 else "best mean"
    behind, error = decision.behind[decision.chosen], decision.errors[decision.chosen]
    within = f"within one standard error, {error:.{DIGITS}f}," if error > 0 else "equal to the mean"
    best = choice.candidates[decision.best].settings[RADIUS]
    return f"smallest {RADIUS} {within} of the best, {best}: {behind:.{DIGITS}f} behind"


def _summarize(choice: Choice) -> list[str]:
    decision, number = choice.decision, choice.decision.best or 0
    mean = show_number(decision.means[number], f".{DIGITS}f")
    validation = f"{choice.metric.upper()}, history {'masked' if choice.masked else 'unmasked'}"
    best = f"{_format_settings(choice.candidates[number].settings)}: {mean}"
    chosen = _format_settings(choice.chosen.settings) if choice.chosen else NOTHING
    numbers = [choice.tuned_as or NOTHING, str(len(choice.candidates)), ", ".join(map(str, choice.seeds))]
    return [
        *numbers, validation, best, chosen, explain(choice), ", ".join(decision.edges) or NOTHING,
        show_number(choice.passes, ",.1f"),
    ]  # fmt: skip


def _format_settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items()) or "its settings"


def _plain(number: Any) -> Any:
    """Return a value for JSON; None for an unknown number."""
    if isinstance(number, (str, bool, dict)) or number is None:
        return number
    value = float(number)
    return None if math.isnan(value) else int(value) if isinstance(number, int) else value
