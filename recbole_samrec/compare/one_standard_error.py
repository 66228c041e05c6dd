"""The rule by which validation chooses among candidates: the smallest radius within one standard error of the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RADIUS = "sam_rho"
"""Of this setting the smallest value wins that is not clearly worse; of all others the best."""
AVERAGE = "weight_average"
"""The values of this setting have a kind and a number: ``ema 0.999``, ``last 5``."""
UNORDERED, NONE = "unordered", "none"


@dataclass(frozen=True)
class Decision:
    """A decision of validation among candidates.

    Attributes:
        means: Mean score of each candidate, shape ``[C]``; NaN if a seed has no score.
        behind: How far each candidate is behind the best one, as the mean of the seed-paired differences.
        errors: Standard errors of these means; NaN of a single seed.
        best: Number of the candidate with the best mean, the first of equals; None if no candidate has a mean.
        chosen: Number of the chosen candidate.
        edges: Settings whose best value is the smallest or the largest among the candidates with a mean.
    """

    means: np.ndarray
    behind: np.ndarray
    errors: np.ndarray
    best: int | None = None
    chosen: int | None = None
    edges: tuple[str, ...] = ()


def choose_candidate(candidates: Sequence[Mapping[str, Any]], scores: np.ndarray, bigger: bool = True) -> Decision:
    """Choose among candidates by the one-standard-error rule (Breiman et al. 1984).

    The best mean decides all settings but the radius of SAM. Among the candidates that differ from the best one in the
    radius alone, the smallest radius wins whose mean difference from the best is at most its standard error: sd /
    sqrt(n) of the n differences between runs of one seed. With one seed there is no such error, and the best wins, or
    the smallest radius that equals it.

    Args:
        candidates: Settings of each candidate.
        scores: Validation scores, shape ``[C, S]`` for S seeds; NaN where a run failed, which excludes the candidate.
        bigger: True if a larger score is better.
    """
    scores = np.asarray(scores, dtype=np.float64)
    means = scores.mean(axis=1)
    nothing = np.full(len(means), np.nan)
    if np.isnan(means).all():
        return Decision(means, nothing, nothing)
    gains = scores if bigger else -scores
    best = int(np.nanargmax(gains.mean(axis=1)))
    differences = gains[best] - gains
    behind, seeds = differences.mean(axis=1), scores.shape[1]
    errors = differences.std(axis=1, ddof=1) / math.sqrt(seeds) if seeds > 1 else nothing
    others = {key: value for key, value in candidates[best].items() if key != RADIUS}
    within = [
        number
        for number, settings in enumerate(candidates)
        if {key: value for key, value in settings.items() if key != RADIUS} == others
        and behind[number] <= (errors[number] if seeds > 1 else 0)
    ]
    chosen = min(within, key=lambda number: candidates[number].get(RADIUS, 0))
    scored = [one for one, mean in zip(candidates, means, strict=True) if not math.isnan(mean)]
    return Decision(means, behind, errors, best, chosen, _find_edges(scored, candidates[best]))


def _find_edges(scored: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> tuple[str, ...]:
    """Find the settings whose best value is at an edge of the grid; 0 is not an edge, as nothing is below it."""
    edges = []
    for key, value in best.items():
        kind, size = _measure(key, value)
        sizes = [_measure(key, settings[key]) for settings in scored if key in settings]
        if any(of == UNORDERED for of, _ in sizes):
            continue
        alike = [one for of, one in sizes if of in (kind, NONE)]
        low, high = min(alike), max(alike)
        if low < high and (size == high or (size == low and low != 0)):
            edges.append(key)
    return tuple(edges)


def _measure(key: str, value: Any) -> tuple[str, float]:
    """Return the kind and the size of a value: a number, or the decay or number of epochs of an average of weights."""
    if key == AVERAGE:
        kind, _, number = str(value or f"{NONE} 0").partition(" ")
        return kind, float(number)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return ("number", value) if is_number else (UNORDERED, 0)
