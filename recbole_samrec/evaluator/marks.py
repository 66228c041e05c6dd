"""Marks of differences in tables, and the fixed sentence that explains each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEVEL = 0.05
"""P-values below it are significant."""
SIGNIFICANT, UNCORRECTED, EQUIVALENT = "†", "(†)", "≈"
NOT_CONVERGED, NOT_COMPARABLE = "‡", "§"
MEANINGS = {
    SIGNIFICANT: "significant: p (Holm) < 0.05, and the 95 % CI excludes 0.",
    UNCORRECTED: "the 95 % CI excludes 0, but p (Holm) is not below 0.05.",
    EQUIVALENT: "equivalent: p (Holm) of the two one-sided tests < 0.05.",
    NOT_CONVERGED: "the estimate did not converge in all runs; it is approximate and is not compared.",
    NOT_COMPARABLE: "not compared: the entries minimize different losses, and sharpness is in units of the loss.",
}
"""Meaning of each mark."""


def mark_differences(p_holm: Sequence[float], low: Sequence[float], high: Sequence[float]) -> list[str]:
    """Mark differences that are significant, and those whose interval alone excludes 0.

    Args:
        p_holm: P-values after Holm's correction; NaN where there is none.
        low: Lower ends of the 95 % intervals; NaN where there is none, which is never marked.
        high: Upper ends.

    Returns:
        One of :data:`SIGNIFICANT`, :data:`UNCORRECTED` and ``""`` for each difference.
    """
    p, lowest, highest = (np.asarray(values, dtype=float) for values in (p_holm, low, high))
    excludes = (lowest > 0) | (highest < 0)
    return [
        (SIGNIFICANT if small else UNCORRECTED) if excluded else ""
        for small, excluded in zip(p < LEVEL, excludes, strict=True)
    ]


def explain_marks(*marks: str) -> list[str]:
    """Return the sentences that explain some marks, for the foot of a table."""
    return [f"{mark}: {MEANINGS[mark]}" for mark in marks]
