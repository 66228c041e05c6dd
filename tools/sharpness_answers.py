"""What sharpness reports together say on three questions, in sentences that follow from their verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.report import number
from recbole_samrec.sharpness.aggregate import SLOPE_LOSS, TOP, TRACE
from recbole_samrec.sharpness.verdict import (
    ACCURACY,
    ADAPTIVE,
    BETTER,
    COMPARATIVES,
    DISAGREE,
    IN_ACCURACY,
    IN_FLATNESS,
    IN_ROBUSTNESS,
    OPEN,
    PARTLY_BETTER,
    PARTLY_WORSE,
    PLAIN,
    ROBUSTNESS,
    UNKNOWN,
    WORSE,
    together,
)
from tools.sharpness_reports import WITH_SAM, Report

ANSWERS = {
    BETTER: "Yes",
    WORSE: "No, the contrary",
    PARTLY_BETTER: "In part",
    PARTLY_WORSE: "In part the contrary",
    OPEN: "Not shown",
    DISAGREE: "Not the same everywhere",
    UNKNOWN: "Not known",
}
"""To a question, by what all comparisons over several seeds say of it with one voice, if they do."""
ANSWERS_BESIDE = {**ANSWERS, BETTER: "Yes, beside all others", WORSE: "No, all others are sharper"}
ANSWERS_BESIDE |= {PARTLY_BETTER: "In part, beside others", PARTLY_WORSE: "In part others are sharper"}
UNDECIDED = {OPEN: "not told apart", DISAGREE: "undecided, as measures do not agree", UNKNOWN: "not comparable"}
PLAIN_MODEL = "SASRec"
"""How labels begin of runs of SASRec."""


@dataclass(frozen=True)
class Pair:
    """A label of a report, compared with the report's reference."""

    report: Report
    label: str

    @property
    def flatness(self) -> str:
        """What the plain and the adaptive measures of sharpness say together, as in the verdict's conclusion."""
        outcomes = (self.report.outcome(self.label, kind) for kind in (PLAIN, ADAPTIVE))
        return together([outcome for outcome in outcomes if outcome != UNKNOWN])

    def goes_with(self, kind: str) -> str:
        """Whether flatness goes with accuracy or robustness: better if it does, worse if the flatter one is worse."""
        flatness, other = self.flatness, self.report.outcome(self.label, kind)
        if {flatness, other} <= {BETTER, WORSE}:
            return BETTER if flatness == other else WORSE
        return OPEN

    @property
    def several(self) -> bool:
        """Whether every figure is of several runs, so that the spread over seeds is known."""
        found = self.report.compared(self.label, PLAIN, ADAPTIVE, ACCURACY, ROBUSTNESS)
        return bool(found) and all(min(one.ours.runs, one.theirs.runs) > 1 for one in found)

    def __str__(self) -> str:
        """Which two, and where; one run each is said."""
        alone = "" if self.several else ", one run"
        return f"{self.label} against {self.report.reference} ({self.report.name}{alone})"


def pairs_of(reports: Iterable[Report]) -> list[Pair]:
    """All labels of some reports that are compared with another one."""
    return [Pair(report, label) for report in reports for label in report.others]


def sharp(reports: Sequence[Report]) -> list[str]:
    """Is SASRec's minimum sharp? An answer, then SASRec's figures beside its own loss and weights."""
    about = [report for report in reports if report.reference.startswith(PLAIN_MODEL)]
    voices = {BETTER: "sharper than the other", WORSE: "flatter than the other", **UNDECIDED}
    voices |= {PARTLY_BETTER: "sharper by some measures", PARTLY_WORSE: "flatter by some measures"}
    answer = _answer(pairs_of(about), lambda pair: pair.flatness, voices, ANSWERS_BESIDE)
    places: dict[tuple[str, str], list[str]] = {}
    for report in about:
        places.setdefault((report.reference, _alone(report)), []).append(report.name)
    alone = [f"{label} ({', '.join(names)}): {words}." for (label, words), names in places.items()]
    return [f"{answer} A figure of sharpness is large or small beside another one only.", *alone]


def flattened(reports: Sequence[Report]) -> list[str]:
    """Does SAM flatten it? An answer, then what either kind of measure says, pair by pair."""
    about = [report for report in reports if report.reference.startswith(PLAIN_MODEL)]
    pairs = [pair for pair in pairs_of(about) if WITH_SAM in pair.label]
    voices = {BETTER: "flatter", WORSE: "sharper", **UNDECIDED}
    voices |= {PARTLY_BETTER: "flatter by some measures", PARTLY_WORSE: "sharper by some measures"}
    lines = [_answer(pairs, lambda pair: pair.flatness, voices, ANSWERS)]
    for kind in (PLAIN, ADAPTIVE):
        groups = _grouped(pairs, lambda pair, kind=kind: voices[pair.report.outcome(pair.label, kind)])
        lines += [f"{kind.capitalize()}, {words}: {named}." for words, named in groups.items()]
    return lines


def accompanied(reports: Sequence[Report]) -> list[str]:
    """Does flatness go with accuracy and robustness? Two answers in one, then all pairs by what is seen of them."""
    pairs, answers = pairs_of(reports), []
    for kind in (ACCURACY, ROBUSTNESS):
        better, worse = (f"the flatter one {words}" for words in COMPARATIVES[kind])
        voices = {BETTER: better, WORSE: worse, OPEN: f"flatness, {kind} or both not told apart"}
        answer = _answer(pairs, lambda pair, kind=kind: pair.goes_with(kind), voices, ANSWERS)
        answers.append(f"{kind.capitalize()}: {answer}")
    groups = _grouped(pairs, _seen)
    return [" ".join(answers), *(f"{words[0].upper()}{words[1:]}: {named}." for words, named in groups.items())]


def _answer(
    pairs: Sequence[Pair], outcome_of: Callable[[Pair], str], voices: Mapping[str, str], answers: Mapping[str, str]
) -> str:
    """One word for all comparisons over several seeds, and how many of them say what."""
    outcomes = [outcome_of(pair) for pair in pairs if pair.several]
    if not outcomes:
        return f"**{answers[UNKNOWN]}.** There is no such comparison over several seeds."
    counts = ", ".join(f"{words} in {outcomes.count(of)}" for of, words in voices.items() if of in outcomes)
    made = f"{len(outcomes)} comparison{'s' * (len(outcomes) > 1)}"
    return f"**{answers[together(outcomes)]}.** Of {made} over several seeds: {counts}."


def _grouped(pairs: Sequence[Pair], words_of: Callable[[Pair], str]) -> dict[str, str]:
    """The names of pairs by what is said of them."""
    groups: dict[str, list[str]] = {}
    for pair in pairs:
        groups.setdefault(words_of(pair), []).append(str(pair))
    return {words: ", ".join(named) for words, named in groups.items()}


def _seen(pair: Pair) -> str:
    """What is seen of a pair, in the words of the verdict."""
    accuracy, robustness = (pair.report.outcome(pair.label, kind) for kind in (ACCURACY, ROBUSTNESS))
    return f"{IN_FLATNESS[pair.flatness]} and {IN_ACCURACY[accuracy]}{IN_ROBUSTNESS[robustness]}"


def _alone(report: Report) -> str:
    """The sharpness of the reference in units of its own: beside the mean curvature, and beside its loss."""
    label, ascent = report.reference, report.levels.ascent
    top, trace, rise = (report.figure(label, measure) for measure in (TOP, TRACE, ascent))
    means = report.runs[report.runs["label"] == label].mean(numeric_only=True)
    said = []
    if top is None:
        said.append("there is no top eigenvalue that converged in all runs")
    else:
        mean = trace.value / means["weights"] if trace else math.nan
        times = f", {number(top.value / mean)} times the mean of all eigenvalues" if mean > 0 else ""
        said.append(f"the top eigenvalue is {top}{times}")
    if rise is not None:
        said.append(f"the {ascent} is {rise}, from a loss of {number(means[SLOPE_LOSS])}")
    return "; ".join(said)
