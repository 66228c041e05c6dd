"""Count the samples that RecBole's splits give to training, validation and test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from recbole_samrec.data.temporal_options import TemporalOptions, read_options
from recbole_samrec.data.temporal_split import split_events


class Parts(NamedTuple):
    """Number of samples of each part."""

    train: int
    valid: int
    test: int


def count_samples(
    users: np.ndarray,
    times: np.ndarray | None,
    eval_args: Mapping[str, Any],
    *,
    sequential: bool,
    items: np.ndarray | None = None,
    sequential_targets: bool = False,
) -> Parts | None:
    """Count the samples of each part of a split.

    Args:
        users: Number of each event's user, from 0, shape ``[N]``.
        times: Time of each event, shape ``[N]``; None where it is not loaded.
        eval_args: RecBole's ``eval_args`` with ``split`` and ``group_by``.
        sequential: Whether each event but a user's first is a sample, with the earlier events as input.
        items: Number of each event's item, from 0, shape ``[N]``, for a global temporal split.
        sequential_targets: Whether leave-one-out holds out what it does for sequential models.

    Returns:
        The number of samples; None if the split is unknown, or needs times that the data lack.

    Raises:
        DataError: The times do not allow a global temporal split.
    """
    if (options := read_options(eval_args)) is not None:
        return None if times is None or items is None else _split_globally(users, items, times, options, sequential)
    kind, how = next(iter((eval_args.get("split") or {}).items()), (None, None))
    if kind == "LS" and sequential_targets and not sequential:
        parts = count_samples(users, times, eval_args, sequential=True)
        return parts and parts._replace(train=parts.train + len(np.unique(users)))  # first events are for training
    sizes = np.bincount(users)
    sizes = sizes[sizes > 0] - sequential
    sizes = sizes[sizes > 0]
    if not len(sizes):
        return Parts(0, 0, 0)
    if kind == "LS":
        return _sum_parts(sizes, lambda size: leave_one_out(size, str(how)))
    if kind == "RS" and how is not None:
        by_user = str(eval_args.get("group_by")).lower() == "user"
        groups = sizes if by_user else np.array([sizes.sum()])
        return _sum_parts(groups, lambda size: split_by_ratio(size, how))
    if kind == "TS" and how is not None and times is not None:
        return _split_by_time(users, times, how, sequential)
    return None


def _split_globally(
    users: np.ndarray, items: np.ndarray, times: np.ndarray, options: TemporalOptions, sequential: bool
) -> Parts:
    split = split_events(users, items, times, options)
    train = len(split.train.targets) if sequential else split.counts.train_events
    return Parts(train, split.counts.valid_targets, split.counts.test_targets)


def _sum_parts(sizes: np.ndarray, split: Callable[[int], Parts]) -> Parts:
    different, counts = np.unique(sizes, return_counts=True)
    parts = np.array([split(int(size)) for size in different])
    return Parts(*map(int, counts @ parts))


def leave_one_out(size: int, mode: str) -> Parts:
    """Split the samples of a user: at least one is for training, and the test comes before the validation."""
    held = min(2 if mode == "valid_and_test" else 1, size - 1)
    if mode == "valid_only":
        return Parts(size - held, held, 0)
    return Parts(size - held, int(held == 2), int(held > 0))


def split_by_ratio(size: int, ratios: Sequence[float]) -> Parts:
    """Split samples by ratios: parts are rounded down, but a part below one sample takes one from the training."""
    shares = [ratio / sum(ratios) * size for ratio in ratios]
    counts = [int(share) for share in shares]
    counts[0] = size - sum(counts[1:])
    for place in (2, 1):
        if counts[0] <= 1:
            break
        if 0 < shares[place] < 1:
            counts[place] += 1
            counts[0] -= 1
    return Parts(*counts)


def _split_by_time(users: np.ndarray, times: np.ndarray, ratios: Sequence[float], sequential: bool) -> Parts:
    """Test on the samples after a time; the others are split within each user, training rounded down."""
    order = np.lexsort((times, users))
    users, times = users[order], times[order]
    if sequential:
        later = np.append(False, users[1:] == users[:-1])
        users, times = users[later], times[later]
    train, _, test = (ratio / sum(ratios) for ratio in ratios)
    early = users[times <= np.percentile(times, 100 * (1 - test))]
    sizes = np.bincount(early)
    fitted = int(sum(int(size * (train / (1 - test))) for size in sizes))
    return Parts(fitted, len(early) - fitted, len(users) - len(early))
