"""Cut users' sequences of events into windows, so that every target is predicted exactly once by a causal model.

When a causal model with absolute positions encodes the events ``[s, e)`` of a user, its state at position ``t``
predicts event ``s + t + 1`` from the ``t + 1`` events before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Windows:
    """Windows of events and the targets that each predicts, users one after the other.

    Args:
        users: Number of each window's user, shape ``[W]``.
        starts: First event of each window, shape ``[W]``.
        bounds: Window ``w`` predicts ``targets[bounds[w]:bounds[w + 1]]``, shape ``[W + 1]``.
        targets: Events that are predicted, ascending, shape ``[T]``.
    """

    users: np.ndarray
    starts: np.ndarray
    bounds: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def counts(self) -> np.ndarray:
        """Number of targets that each window predicts, shape ``[W]``."""
        return np.diff(self.bounds)

    @property
    def lengths(self) -> np.ndarray:
        """Number of events that each window encodes, those before its last target, shape ``[W]``."""
        return self.targets[self.bounds[1:] - 1] - self.starts


def compute_largest_stride(length: int) -> int:
    """Compute the most targets of a full window for which the first target has half a window of history."""
    return length - (length + 1) // 2 + 1


def cut_windows(
    offsets: np.ndarray, targets: np.ndarray, length: int, stride: int | None = None, most: int | None = None
) -> Windows:
    """Cut the events of all users into windows.

    A user's first window begins with the first event and predicts from the whole history. Targets whose history is
    longer than ``length`` are distributed evenly to further windows of ``length`` events, as their last events. No
    window encodes events after its last target.

    Args:
        offsets: User ``u`` has the events ``offsets[u]`` to ``offsets[u + 1] - 1``, shape ``[users + 1]``.
        targets: Events to predict, ascending, none of them a user's first, shape ``[T]``.
        length: Most events that a window encodes.
        stride: Most targets of a window after a user's first one. 1 gives each target the ``length`` events before it.
            None is the largest stride for which every target has a history of at least half of ``length``, or its whole
            history.
        most: Most targets of any window.
    """
    stride = min(stride or compute_largest_stride(length), length, most or length)
    most = min(most or length, length)
    users = np.searchsorted(offsets, targets, side="right") - 1
    history = targets - offsets[users]
    late = history > length
    # The targets of one user, early or late, are divided into cells of equal width: early ones by their number, late
    # ones by their position, so that a window extends from its first target to its last even if events between them
    # are not targets.
    segment = _number_runs(users, late)
    first = np.flatnonzero(np.diff(segment, prepend=-1))
    last = np.flatnonzero(np.diff(segment, append=-1))
    place = np.where(late, targets - targets[first[segment]], np.arange(len(targets)) - first[segment])
    extent = (place[last] + 1)[segment]
    cells = -(-extent // np.where(late, stride, most))
    window = _number_runs(segment, place * cells // np.maximum(extent, 1))
    bounds = np.append(np.flatnonzero(np.diff(window, prepend=-1)), len(targets))
    ends = bounds[1:] - 1
    starts = np.where(late[ends], targets[ends] - length, offsets[users[ends]])
    return Windows(users[ends], starts, bounds, targets)


def _number_runs(*keys: np.ndarray) -> np.ndarray:
    """Number the runs of equal keys: ``[7, 7, 3, 7]`` gives ``[0, 0, 1, 2]``."""
    changed = np.zeros(len(keys[0]), dtype=bool)
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.cumsum(changed)
