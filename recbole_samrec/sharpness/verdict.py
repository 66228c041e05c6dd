"""What the figures of several runs show, and what they do not, in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

PLAIN, ADAPTIVE, ACCURACY, ROBUSTNESS = "sharpness", "adaptive sharpness", "accuracy", "robustness"
COMPARATIVES = {
    PLAIN: ("flatter", "sharper"),
    ADAPTIVE: ("flatter", "sharper"),
    ACCURACY: ("more accurate", "less accurate"),
    ROBUSTNESS: ("more robust", "less robust"),
}
"""Of each kind of measure, what the better and the worse of two is called."""

BETTER, WORSE, OPEN, DISAGREE, UNKNOWN = "better", "worse", "open", "disagree", "unknown"
PARTLY_BETTER, PARTLY_WORSE = "partly better", "partly worse"
"""Some measures say so, and the others do not tell the two apart."""

IN_FLATNESS = {
    BETTER: "flatter",
    WORSE: "sharper",
    PARTLY_BETTER: "flatter by some measures",
    PARTLY_WORSE: "sharper by some measures",
    OPEN: "not shown to be flatter or sharper,",
    DISAGREE: "undecided in sharpness",
    UNKNOWN: "of unknown sharpness",
}
IN_ACCURACY = {
    BETTER: "better",
    WORSE: "worse",
    PARTLY_BETTER: "better by some measures",
    PARTLY_WORSE: "worse by some measures",
    OPEN: "not shown to be better or worse",
    DISAGREE: "undecided in accuracy",
    UNKNOWN: "of unknown accuracy",
}
IN_ROBUSTNESS = {
    BETTER: "; more robust",
    WORSE: "; less robust",
    PARTLY_BETTER: "; more robust by some measures",
    PARTLY_WORSE: "; less robust by some measures",
    OPEN: "; not shown to be more or less robust",
    DISAGREE: "; undecided in robustness",
    UNKNOWN: "",
}
SAY = {
    BETTER: "say flatter",
    WORSE: "say sharper",
    PARTLY_BETTER: "say flatter in part",
    PARTLY_WORSE: "say sharper in part",
    OPEN: "show no difference",
    DISAGREE: "do not agree among themselves",
}
WHOLE = {PARTLY_BETTER: BETTER, PARTLY_WORSE: WORSE}
DIGITS = 4
"""Significant digits of a figure."""
CLAIM = "the claim that flatter minima are more accurate"
SCALE = (
    "plain sharpness depends on the scale of the weights, which can change while the model computes the same "
    "(Dinh et al., arXiv 1703.04933)"
)


@dataclass(frozen=True)
class Meaning:
    """What a measure tells.

    Args:
        kind: ``sharpness``, ``adaptive sharpness``, ``accuracy`` or ``robustness``.
        smaller_is_better: Whether the smaller of two is the flatter, more accurate or more robust one.

    Raises:
        ValueError: There is no such kind.
    """

    kind: str
    smaller_is_better: bool = True

    def __post_init__(self) -> None:
        """Refuse a kind that there is not."""
        if self.kind not in COMPARATIVES:
            raise ValueError(f"{self.kind!r} is no kind of measure; there are: {', '.join(COMPARATIVES)}")


@dataclass(frozen=True)
class Figure:
    """One measure of one label: its value, its interval, and the number of runs behind it."""

    value: float
    low: float
    high: float
    runs: int

    def __str__(self) -> str:
        """The value, and the interval where it is known."""
        return self.rounded(DIGITS)

    def rounded(self, digits: int) -> str:
        """The value, and the interval where it is known, with so many significant digits."""
        interval = f" [{rounded_to(self.low, digits)}, {rounded_to(self.high, digits)}]" if self.low < self.high else ""
        return rounded_to(self.value, digits) + interval


@dataclass(frozen=True)
class Comparison:
    """One measure of two labels, and which of the two it calls the better one, if their intervals are apart."""

    measure: str
    meaning: Meaning
    ours: Figure
    theirs: Figure

    @property
    def outcome(self) -> str:
        """Whether ours is better or worse, or open where the intervals overlap."""
        if self.ours.high < self.theirs.low:
            return BETTER if self.meaning.smaller_is_better else WORSE
        if self.ours.low > self.theirs.high:
            return WORSE if self.meaning.smaller_is_better else BETTER
        return OPEN

    def __str__(self) -> str:
        """The two figures."""
        ours, theirs = self.ours, self.theirs
        digits = digits_for([(ours.value, theirs.value), (ours.high, theirs.low), (ours.low, theirs.high)])
        return f"{self.measure} = {ours.rounded(digits)} against {theirs.rounded(digits)}"


def verdict(measures: pd.DataFrame, meanings: Mapping[str, Meaning], reference: str | None = None) -> list[str]:
    """Say in words what some measures show of each label against a reference, and what they do not.

    Of two labels, one is called flatter, more accurate or more robust only if all measures of that kind say so and
    their intervals are apart in each; if some say so and none the contrary, it is so by these. Figures that did not
    converge or are not finite are named and not used. Labels that lowered different losses are not compared in
    sharpness, which is measured in units of the loss.

    Args:
        measures: One line for each label and measure, with the columns ``label``, ``measure``, ``value``, ``low`` and
            ``high`` (the interval, both equal to the value where none is known), ``runs`` (how many are behind it)
            and, if some did not converge, ``converged``; and, if it is not one for all, ``loss``, which each lowered.
        meanings: What each measure tells; those that are not named here are left out. The first of each kind stands
            for it in the conclusion.
        reference: The label that each other one is compared with; the first if not given.

    Returns:
        Sentences in plain text: of each pair one for each kind, the conclusion, and a warning where plain and adaptive
        sharpness disagree; then what was not used, and where there is one run only.

    Raises:
        ValueError: A column is missing, a line is there twice, or the reference is not among the labels.
    """
    _check(measures)
    labels = list(dict.fromkeys(measures["label"]))
    reference = labels[0] if reference is None else reference
    if reference not in labels:
        raise ValueError(f"{reference} is not among the labels: {', '.join(labels)}")
    measures = measures[measures["measure"].isin(list(meanings))]
    figures, left_out = _usable(measures)
    losses = losses_of(measures)
    sentences = []
    for label in labels:
        if label != reference:
            sentences += _of_pair(label, reference, figures, meanings, losses)
    if len(labels) == 1:
        sentences.append(f"{reference} stands alone: figures of sharpness say little without others beside them.")
    left_out["not measured"] = _gaps(measures, labels, meanings)
    sentences += [f"Left out, as {why}: {', '.join(named)}." for why, named in left_out.items() if named]
    return sentences + list(_single_runs(figures))


def losses_of(measures: pd.DataFrame) -> dict[str, str]:
    """What each label lowered in training; empty where that is not known."""
    return dict(zip(measures["label"], measures["loss"], strict=True)) if "loss" in measures else {}


def comparable(kind: str, label: str, reference: str, losses: Mapping[str, str]) -> bool:
    """Whether a kind of measure can be compared between two labels: sharpness only if they lowered one loss."""
    return kind not in (PLAIN, ADAPTIVE) or losses.get(label) == losses.get(reference)


def digits_for(pairs: Iterable[tuple[float, float]]) -> int:
    """Significant digits of figures: one more where two that differ would else print alike."""
    return DIGITS + any(a != b and rounded_to(a, DIGITS) == rounded_to(b, DIGITS) for a, b in pairs)


def _check(measures: pd.DataFrame) -> None:
    columns = ["label", "measure", "value", "low", "high", "runs"]
    missing = [column for column in columns if column not in measures]
    if missing or measures.empty:
        raise ValueError(f"the measures have no column {', '.join(missing)}" if missing else "there are no measures")
    twice = measures[measures.duplicated(["label", "measure"])]
    if len(twice):
        raise ValueError(f"{twice.iloc[0]['measure']} of {twice.iloc[0]['label']} is there twice")


def _usable(measures: pd.DataFrame) -> tuple[dict[tuple[str, str], Figure], dict[str, list[str]]]:
    """The figures that can be compared, and the names of the others by what is wrong with them."""
    figures, left_out = {}, {"not converged": [], "not finite": []}
    for line in measures.itertuples(index=False):
        if getattr(line, "converged", True) in (False,):  # None and NaN are no statement
            left_out["not converged"].append(f"{line.measure} of {line.label}")
        elif not all(map(math.isfinite, (line.value, line.low, line.high))):
            left_out["not finite"].append(f"{line.measure} of {line.label}")
        else:
            figures[line.label, line.measure] = Figure(line.value, line.low, line.high, line.runs)
    return figures, left_out


def _gaps(measures: pd.DataFrame, labels: Sequence[str], meanings: Iterable[str]) -> list[str]:
    """What some labels have a line of and others not."""
    there = set(zip(measures["label"], measures["measure"], strict=True))
    known = set(measures["measure"])
    return [f"{m} of {label}" for m in meanings if m in known for label in labels if (label, m) not in there]


def _of_pair(
    label: str,
    reference: str,
    figures: Mapping[tuple[str, str], Figure],
    meanings: Mapping[str, Meaning],
    losses: Mapping[str, str],
) -> Iterator[str]:
    """All that is said of one label against the reference."""
    of_kind: dict[str, list[Comparison]] = {kind: [] for kind in COMPARATIVES}
    for measure, meaning in meanings.items():
        alike = comparable(meaning.kind, label, reference, losses)
        if alike and (label, measure) in figures and (reference, measure) in figures:
            ours, theirs = figures[label, measure], figures[reference, measure]
            of_kind[meaning.kind].append(Comparison(measure, meaning, ours, theirs))
    outcomes = {kind: together(c.outcome for c in of_kind[kind]) for kind in COMPARATIVES}
    asked = {meaning.kind for meaning in meanings.values()}
    for kind in COMPARATIVES:
        if kind in asked and comparable(kind, label, reference, losses):
            yield f"{kind.capitalize()}: {_of_kind(label, reference, kind, outcomes[kind], of_kind[kind])}"
        elif kind in asked:
            yield (
                f"{kind.capitalize()}: {label} and {reference} lowered different losses ({losses[label]}; "
                f"{losses[reference]}), so it is not compared."
            )
    yield _conclusion(label, reference, outcomes, of_kind)
    yield from _scale(label, reference, outcomes[PLAIN], outcomes[ADAPTIVE])


def together(outcomes: Iterable[str]) -> str:
    """What several outcomes say together: the same, in part the same, or different things."""
    found = set(outcomes)
    if len(found) < 2:
        return found.pop() if found else UNKNOWN
    better, worse = bool(found & {BETTER, PARTLY_BETTER}), bool(found & {WORSE, PARTLY_WORSE})
    if better == worse or found & {DISAGREE, UNKNOWN}:
        return DISAGREE
    return PARTLY_BETTER if better else PARTLY_WORSE


def _of_kind(label: str, reference: str, kind: str, outcome: str, found: Sequence[Comparison]) -> str:
    if outcome == UNKNOWN:
        return f"nothing can be compared between {label} and {reference}."
    all_of_them = "; ".join(map(str, found))
    better, worse = COMPARATIVES[kind]
    if outcome in (BETTER, WORSE):
        word = better if outcome == BETTER else worse
        every = " by each of these measures" if len(found) > 1 else ""
        return f"{label} is {word} than {reference}{every}: {all_of_them}."
    if outcome == OPEN:
        every = " in each of these measures" if len(found) > 1 else ""
        return f"the intervals of {label} and {reference} overlap{every}, so no difference is shown: {all_of_them}."
    voices = {BETTER: better, WORSE: worse, OPEN: "not told apart, as intervals overlap,"}
    said = [(word, [str(c) for c in found if c.outcome == of]) for of, word in voices.items()]
    parts = "; ".join(f"{word} by {' and '.join(agreeing)}" for word, agreeing in said if agreeing)
    if outcome in (PARTLY_BETTER, PARTLY_WORSE):
        return f"of {label} and {reference}, {label} is {parts}."
    return f"the measures do not agree on {label} against {reference}: {parts}."


def _conclusion(
    label: str, reference: str, outcomes: Mapping[str, str], of_kind: Mapping[str, Sequence[Comparison]]
) -> str:
    flatness = together(o for o in (outcomes[PLAIN], outcomes[ADAPTIVE]) if o != UNKNOWN)
    accuracy, robustness = outcomes[ACCURACY], outcomes[ROBUSTNESS]
    shown = {k: str(_first(c, outcomes[k])) for k, c in of_kind.items() if outcomes[k] not in (DISAGREE, UNKNOWN)}
    if flatness == accuracy == OPEN:
        words = "no difference in flatness or accuracy that these runs can show"
    else:
        words = f"{IN_FLATNESS[flatness]} and {IN_ACCURACY[accuracy]}"
    words += _in_brackets(shown[kind] for kind in (PLAIN, ADAPTIVE, ACCURACY) if kind in shown)
    words += IN_ROBUSTNESS[robustness] + _in_brackets(shown[kind] for kind in (ROBUSTNESS,) if kind in shown)
    single = any(min(c.ours.runs, c.theirs.runs) < 2 for found in of_kind.values() for c in found)
    meaning = _meaning(flatness, accuracy)
    if single and {flatness, accuracy} & {BETTER, WORSE, PARTLY_BETTER, PARTLY_WORSE}:
        meaning = "One run cannot tell whether that holds for the models."
    return f"In sum, {label} against {reference}: {words}. {meaning}"


def _first(found: Sequence[Comparison], outcome: str) -> Comparison:
    """The comparison that stands for a kind: the first, or the first that tells the two apart if only some do."""
    some = outcome in (PARTLY_BETTER, PARTLY_WORSE)
    return next(one for one in found if not some or one.outcome != OPEN)


def _in_brackets(figures: Iterable[str]) -> str:
    joined = "; ".join(figures)
    return f" ({joined})" if joined else ""


def _meaning(flatness: str, accuracy: str) -> str:
    """What flatness and accuracy together say of the claim."""
    if flatness in WHOLE and accuracy in (BETTER, WORSE):
        words = _meaning(WHOLE[flatness], accuracy)
        return f"As far as these measures go, t{words[1:]}"
    flatness, decided = WHOLE.get(flatness, flatness), (BETTER, WORSE)
    if flatness in decided and accuracy in decided:
        if flatness == accuracy:
            return f"That fits {CLAIM}; it does not show that the one is the reason for the other."
        return f"That speaks against {CLAIM}."
    if flatness == accuracy == OPEN:
        return "That does not show that there is none; more runs narrow the intervals."
    if flatness in decided and accuracy == OPEN:
        return "The difference in flatness came with no visible one in accuracy."
    if flatness == OPEN and accuracy in decided:
        return "The difference in accuracy came with no visible one in flatness."
    return f"That says nothing for or against {CLAIM}."


def _scale(label: str, reference: str, plain: str, adaptive: str) -> Iterator[str]:
    """Warn where sharpness by the raw weights may mislead."""
    if plain in (UNKNOWN, adaptive):
        return
    if adaptive == UNKNOWN:
        yield f"Careful: {label} and {reference} are compared by plain sharpness alone, and {SCALE}."
    else:
        yield (
            f"Careful: of {label} against {reference}, the plain measures {SAY[plain]}, the adaptive ones "
            f"{SAY[adaptive]}; {SCALE}, on which the adaptive measures are made not to depend."
        )


def _single_runs(figures: Mapping[tuple[str, str], Figure]) -> Iterator[str]:
    """Warn where nothing is known of the spread over seeds."""
    single = [(label, measure) for (label, measure), figure in figures.items() if figure.runs < 2]
    if single and len(single) == len(figures):
        yield "One run each: nothing is known of the spread over seeds, and differences may be due to the seed alone."
    elif single:
        named = ", ".join(f"{measure} of {label}" for label, measure in single)
        yield f"One run only: nothing is known of the spread over seeds of {named}."


def rounded_to(value: float, digits: int) -> str:
    """So many significant digits, without an exponent where it reads well without."""
    return f"{float(f'{value:.{digits}g}'):.10g}"
