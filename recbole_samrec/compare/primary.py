"""Declared comparisons: tests of differences and of equivalence, corrected over data sets and protocols."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from recbole_samrec.compare import captions
from recbole_samrec.compare.facts import list_validated, name_place
from recbole_samrec.compare.layout import MINUS, Cell, Grid, format_interval, show_number, show_p
from recbole_samrec.compare.tables import DIGITS, Scores, score_entries
from recbole_samrec.evaluator.marks import EQUIVALENT, LEVEL, SIGNIFICANT, explain_marks
from recbole_samrec.evaluator.statistics import holm
from recbole_samrec.evaluator.user_metrics import find_starts
from recbole_samrec.experiments.results import Run, keep_largest_share

if TYPE_CHECKING:
    from recbole_samrec.compare.declarations import Declarations
    from recbole_samrec.compare.prepare import ComparisonPlan
    from recbole_samrec.compare.provenance import SearchBudget

DIFFERENCE, EQUIVALENCE = TESTS = ("difference", "equivalence")
OWN_COLUMNS = {DIFFERENCE: ("95 % CI", "MDE"), EQUIVALENCE: ("90 % CI", "margin")}
MARKS = {DIFFERENCE: SIGNIFICANT, EQUIVALENCE: EQUIVALENT}
COLUMNS = (
    "dataset", "protocol", "test", "metric", "entry", "reference", "users", "missing", "difference", "low", "high",
    "mde", "margin", "low_90", "high_90", "p", "p_holm", "mark",
)  # fmt: skip


class Place(NamedTuple):
    """A data set under a protocol.

    Attributes:
        dataset: Name of the data set.
        protocol: Name of the protocol; empty if there is one only.
        incompatible: Entries that are incompatible with the data set, whose comparisons do not exist.
        share: Largest share of training users that is planned; None for the largest one of the finished runs.
        seeds: Number of the seeds with which each entry is trained on this share.
        radii: ``sam_rho`` of each entry's runs.
        searches: The budget of the search that each tuned entry takes its settings from.
    """

    dataset: str
    protocol: str = ""
    incompatible: Collection[str] = ()
    share: float | None = None
    seeds: Mapping[str, int] = MappingProxyType({})
    radii: Mapping[str, float | None] = MappingProxyType({})
    searches: Mapping[str, SearchBudget] = MappingProxyType({})

    @classmethod
    def describe(cls, plan: ComparisonPlan, dataset: str) -> Place:
        """Describe what is planned on a data set."""
        jobs = [job for job in plan.jobs if job.dataset == dataset]
        share = max((job.fraction for job in jobs), default=None)
        seeds = Counter(job.entry for job in jobs if job.fraction == share)
        radii = {job.entry: job.settings.get("sam_rho") for job in jobs}
        searches = {one.entry: one.budget for one in plan.tuning.get(dataset, ()) if one.budget is not None}
        return cls(dataset, plan.protocol, plan.incompatible.get(dataset, {}), share, seeds, radii, searches)

    def select_runs(self, runs: Sequence[Run]) -> list[Run]:
        """Select the runs of this place with the largest share of training users."""
        own = [run for run in runs if (run.dataset, run.protocol) == (self.dataset, self.protocol)]
        return keep_largest_share(own) if self.share is None else [run for run in own if run.fraction == self.share]


def build_primary_table(
    runs: Sequence[Run], declared: Declarations, places: Sequence[Place], masked: bool = False
) -> pd.DataFrame:
    """Build the table of the declared comparisons on all data sets and under all protocols.

    Args:
        runs: The finished runs, with ranks; those with the largest share of training users that is planned count.
        declared: The declared comparisons.
        places: The data sets and protocols, also those without runs.
        masked: Whether the history is masked in the rankings.

    Returns:
        One line for each test, data set, protocol and pair: ``dataset``, ``protocol``, ``test`` (one of
        :data:`TESTS`), ``metric``, ``entry``, ``reference``, ``users`` (their number), ``missing`` (number of
        planned runs of the pair that have not finished), ``difference`` (entry minus reference), ``low`` and ``high``
        (95 % interval over users and seeds), ``mde`` of a test of a difference, ``margin``, ``low_90`` and ``high_90``
        (90 % interval) of a test of equivalence, ``p``, ``p_holm`` (corrected over the lines of one test) and ``mark``.
        Lines of pairs without an interval have no p and count as p = 1.
    """
    lines = [line for place in places for line in _test_pairs(place, place.select_runs(runs), declared, masked)]
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    for test in TESTS:
        of_test = table["test"] == test
        corrected = pd.Series(holm(table.loc[of_test, "p"].fillna(1)), table.index[of_test], dtype=float)
        table.loc[of_test, "p_holm"] = corrected.where(table.loc[of_test, "p"].notna())
    small = table["p_holm"] < LEVEL
    return table.assign(mark=[MARKS[test] if one else "" for test, one in zip(table["test"], small, strict=True)])


def _test_pairs(place: Place, runs: Sequence[Run], declared: Declarations, masked: bool) -> Iterator[dict[str, Any]]:
    """Test the declared pairs with the runs of one place."""
    scores = score_entries(runs, masked, [declared.metric])
    users = len(find_starts(runs[0].users)) if runs else 0
    finished = Counter(run.entry for run in runs)
    for test, pairs in zip(TESTS, (declared.primary, declared.equivalence), strict=True):
        for entry, reference in pairs:
            if {entry, reference}.isdisjoint(place.incompatible):
                line: dict[str, Any] = {"dataset": place.dataset, "protocol": place.protocol, "test": test}
                line |= {
                    "metric": declared.metric,
                    "entry": entry,
                    "reference": reference,
                    "users": users,
                    "missing": sum(max(0, place.seeds.get(one, 0) - finished[one]) for one in (entry, reference)),
                    "p": np.nan,
                    "p_holm": np.nan,
                }
                there = entry in scores and reference in scores
                yield line | (_test(test, scores[entry], scores[reference], declared.margin) if there else {})


def _test(test: str, mine: Scores, other: Scores, percent: float) -> dict[str, float]:
    """Test a difference or equivalence; the margin is in percent of the other entry's mean."""
    estimate = mine.subtract(other)
    (low,), (high,) = estimate.interval()
    line = {"difference": estimate.difference[0], "low": low, "high": high}
    if test == DIFFERENCE:
        return line | {"mde": estimate.minimal_detectable()[0], "p": estimate.p()[0]}
    margin = percent / 100 * other.values.mean()
    (low,), (high,) = estimate.interval(0.9)
    return line | {"margin": margin, "low_90": low, "high_90": high, "p": estimate.equivalence_p(margin)[0]}


@dataclass(frozen=True)
class Family:
    """The declared comparisons of one comparison, over which p-values are corrected.

    Attributes:
        table: Made by :func:`build_primary_table`.
        masked: Whether the history is masked in their rankings; pages of the other form are exploratory.
    """

    table: pd.DataFrame
    masked: bool = False

    @classmethod
    def test(cls, runs: Sequence[Run], declared: Declarations, places: Sequence[Place]) -> Family:
        """Test the declared comparisons, with the history masked if their runs were validated so, else unmasked."""
        own = [run for run in runs if run.entry in declared.names]
        masked = list(list_validated(own or runs)) == [True]
        return cls(build_primary_table(runs, declared, places, masked), masked)

    def select(self, dataset: str, protocol: str, masked: bool) -> pd.DataFrame:
        """Select the lines of a page; none if its rankings do not have the masking of the tests."""
        own = (self.table["dataset"] == dataset) & (self.table["protocol"] == protocol)
        return self.table[own & (masked == self.masked)]

    def remark(self, masked: bool) -> list[str]:
        """Return the remark on a page whose rankings do not have the masking of the tests."""
        return [] if masked == self.masked else [captions.OTHER_FORM[self.masked]]

    def lay_out(self, lines: pd.DataFrame) -> list[Grid]:
        """Lay out some lines of the table, a table for each test."""
        grids = []
        for test, title in zip(TESTS, ("Primary comparisons", "Equivalence"), strict=True):
            shown = lines[lines["test"] == test]
            if len(shown):
                number = (self.table["test"] == test).sum()
                texts = [f"{captions.DECLARED[test]} Number of tests: {number}.", *explain_marks(MARKS[test])]
                place = ["data set", *["protocol"] * bool((shown["protocol"] != "").any())]
                columns = [*place, "metric", "difference", *OWN_COLUMNS[test], "p", "p (Holm)", "n", "mark"]
                body = [_lay_out_line(line) for line in shown.to_dict("records")]
                name = title.split()[0].lower()
                texts += [_note_missing(line) for line in shown.to_dict("records") if line["missing"]]
                grids.append(Grid(title, name, texts, [f"entry {MINUS} reference", *columns], body))
        return grids


def _note_missing(line: dict[str, Any]) -> str:
    place = name_place(line["dataset"], line["protocol"])
    return (
        f"{line['entry']} {MINUS} {line['reference']} on {place}: {line['missing']} of its planned runs have not "
        "finished, so its figures are not final."
    )


def _lay_out_line(line: dict[str, Any]) -> list[Cell]:
    place = [line["dataset"], *[line["protocol"]] * bool(line["protocol"])]
    interval, bound = (("low", "high"), "mde") if line["test"] == DIFFERENCE else (("low_90", "high_90"), "margin")
    own = [format_interval(*(line[end] for end in interval)), show_number(line[bound], f".{DIGITS}f")]
    texts = [f"{line['entry']} {MINUS} {line['reference']}", *place, line["metric"].upper()]
    texts += [show_number(line["difference"], f"+.{DIGITS}f"), *own, show_p(line["p"]), show_p(line["p_holm"])]
    return [Cell(text) for text in [*texts, f"{line['users']:,}", line["mark"]]]
