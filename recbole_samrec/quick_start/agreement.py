"""Agreement of recomputed metrics with a run's record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recbole_samrec.quick_start.record import RunRecord

Scores = Mapping[str, Mapping[str, float] | None]
"""Metrics of ``valid`` and ``test``; None where there is no such part."""
ROUNDING = 1e-4
"""Difference of a metric that another device may cause, relative to values above 1."""
CHANGED_USERS = 2
"""Number of users whose metrics may change completely, because two of their scores are equal but for rounding."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of metrics with a record.

    Args:
        largest_difference: Largest absolute difference of a metric.
        is_same: True if they are the same: to the last bit on the CPU of the run, up to rounding on a GPU or another
            device.
        is_rounded: True if they may differ by rounding.
        device: Device that the run was trained on.
    """

    largest_difference: float
    is_same: bool
    is_rounded: bool
    device: str


def compare_with_record(record: RunRecord, scores: Scores, device: str, on_gpu: bool = False) -> Agreement | None:
    """Compare metrics with those that a record also contains.

    Args:
        record: The record of a run.
        scores: Metrics that were computed again.
        device: Name of the device that computed them, as records have it.
        on_gpu: Whether it is a GPU, where the sizes of batches depend on free memory, and so does rounding.

    Returns:
        The agreement; None if the record has none of the metrics.
    """
    pairs = list(_list_pairs(record, scores))
    if not pairs:
        return None
    is_rounded = on_gpu or record.device != device
    tolerance = ROUNDING + CHANGED_USERS / max(record.data["users"], 1) if is_rounded else 0.0
    is_same = all(one == new or abs(one - new) <= tolerance * max(1.0, abs(one)) for one, new in pairs)
    return Agreement(max(abs(one - new) for one, new in pairs), is_same, is_rounded, record.device)


def _list_pairs(record: RunRecord, scores: Scores) -> Iterator[tuple[float, float]]:
    for part in ("valid", "test"):
        recorded = record[part] or {}
        yield from ((recorded[name], score) for name, score in (scores.get(part) or {}).items() if name in recorded)
