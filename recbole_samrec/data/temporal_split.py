"""Split events at one point in time for all users: later events are tested, earlier events are trained on.

Pure NumPy, from users, items and times. The protocol is that of Gusak et al., *Time to Split* (RecSys 2025,
arXiv 2507.16289): a global temporal split with several choices of the target and of the validation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np

from recbole_samrec.data.temporal_options import TemporalOptions, parse_cut
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.naming import count

UNITS = {"seconds": (10**8, 1), "milliseconds": (10**11, 10**3), "microseconds": (10**14, 10**6)}
UNITS |= {"nanoseconds": (10**17, 10**9)}
"""Units of Unix times: the smallest last time of a data set that has them, and the number of them in a second."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REPEATED = 0.01
"""Share of the events of a file of positions that may repeat a user's position."""


@dataclass(frozen=True)
class Part:
    """Sequences of a part of the split, and the events that are predicted in it.

    Args:
        events: The events of the sequences, users one after the other, each in time order; indices of the events that
            were split, shape ``[N]``.
        targets: The events to predict, as positions in ``events``, ascending, shape ``[T]``.
        starts: Position in ``events`` of the first event of each target's user, shape ``[T]``. A target's history is
            ``events[start:target]``, which is never empty.
        candidates: Whether an item may be recommended, by its id, shape ``[items]``.
    """

    events: np.ndarray
    targets: np.ndarray
    starts: np.ndarray
    candidates: np.ndarray


@dataclass(frozen=True)
class SplitCounts:
    """Numbers of a global temporal split.

    Args:
        cut: Time up to which events are early; of a given cut, before which they are.
        at_cut: True if the cut was given.
        validation_cut: Time up to which they are trained on; None where validation is not by time.
        early_events: Events before the test.
        train_events: Events that are trained on.
        train_users: Their users.
        train_items: Their items.
        single_event_users: Users with a single early event, who are not trained on.
        valid_targets: Events to predict in the validation; each is another user's.
        unseen_valid_users: Those of their users without training events.
        test_targets: Events to predict in the test.
        test_users: Their users.
        unseen_test_users: Those of them without training events.
        late_events: Events of the test period.
        late_unseen_item_events: Those with an item without training events.
        late_unseen_items: The items of these.
        late_users: Users with an event in the test period.
        late_unseen_users: Those of them without training events.
        candidates: Number of items that are ranked.
    """

    cut: float
    at_cut: bool
    validation_cut: float | None
    early_events: int
    train_events: int
    train_users: int
    train_items: int
    single_event_users: int
    valid_targets: int
    unseen_valid_users: int
    test_targets: int
    test_users: int
    unseen_test_users: int
    late_events: int
    late_unseen_item_events: int
    late_unseen_items: int
    late_users: int
    late_unseen_users: int
    candidates: int

    def describe(self) -> list[str]:
        """Describe the split, a line for each part."""
        validated = (
            "" if self.validation_cut is None else f"; what is up to {format_time(self.validation_cut)} is trained on"
        )
        trained = f"{count(self.train_events, 'event')} of {self.train_users:,} users and {self.train_items:,} items"
        validated_on = f"{count(self.valid_targets, 'validation target')}, one for each user; "
        begins = f"{'at' if self.at_cut else 'after'} {format_time(self.cut)}"
        return [
            f"GTS: the test begins {begins}{validated}",
            f"GTS: {count(self.early_events, 'earlier event')}; trained on {trained}, without "
            f"{count(self.single_event_users, 'user')} that had a single event before the test",
            f"GTS: {validated_on if self.valid_targets else ''}{count(self.test_targets, 'test target')} of "
            f"{count(self.test_users, 'user')}, {self.unseen_test_users:,} of them without training events; "
            f"{count(self.candidates, 'candidate')}",
            f"GTS: {count(self.late_events, 'later event')} of {count(self.late_users, 'user')}, "
            f"{self.late_unseen_users:,} of them without training events; {self.late_unseen_item_events:,} of these "
            f"events have {count(self.late_unseen_items, 'item')} without training events",
        ]


@dataclass(frozen=True)
class Served:
    """The items and users that a model can rank.

    Args:
        candidates: Whether an item may be recommended, by its id, shape ``[items]``.
        users: Whether a user has two training events, so that models of every kind are trained on the user, by id,
            shape ``[users]``. With a single one there is no target for models of sequences.
    """

    candidates: np.ndarray
    users: np.ndarray


@dataclass(frozen=True)
class TemporalSplit:
    """The parts of a global temporal split, its numbers, and the items and users that can be ranked."""

    train: Part
    valid: Part
    test: Part
    counts: SplitCounts
    served: Served


@dataclass(frozen=True)
class KnownSplit:
    """The times of a split, and the items and users that were trained on.

    Args:
        cut: Time of the split.
        validation_cut: Time up to which events were trained on; None where validation was not by time.
        served: The items and users that the run was trained on.
    """

    cut: float
    validation_cut: float | None
    served: Served


def split_events(
    users: np.ndarray,
    items: np.ndarray,
    times: np.ndarray,
    options: TemporalOptions,
    *,
    final: bool = False,
    n_users: int | None = None,
    n_items: int | None = None,
    known: KnownSplit | None = None,
) -> TemporalSplit:
    """Split events; equal times of a user keep their order.

    Args:
        users: Number of each event's user, from 0, shape ``[N]``.
        items: Number of each event's item, from 0, shape ``[N]``.
        times: Time of each event, integers or floats, shape ``[N]``.
        options: The options.
        final: Whether all early events are trained on and none is for validation, as for a model that is trained again.
        n_users: Number of users; by default those that occur.
        n_items: Number of items; by default those that occur.
        known: The split of a finished run, which replaces what would follow from events that have changed since.

    Raises:
        DataError: Times are positions in each user's order, a cut is a date and times are not Unix times, or a part
            would be empty.
    """
    n_users = int(users.max(initial=-1)) + 1 if n_users is None else n_users
    n_items = int(items.max(initial=-1)) + 1 if n_items is None else n_items
    order = np.lexsort((times, users))
    users, items, times = users[order], items[order], times[order]
    early, cut = _find_early(users, times, options, known)
    trained, validated, validation_cut = _divide_early(users, times, early, options, final, n_users, known)
    seen_items, seen_users = (_occur(ids[trained], number) for ids, number in ((items, n_items), (users, n_users)))
    candidates = seen_items if options.unseen_items == "drop" else _occur(items, n_items)
    served = Served(candidates, np.bincount(users[trained], minlength=n_users) > 1) if known is None else known.served
    candidates = served.candidates
    allowed = candidates[items]
    if options.unseen_users == "drop":
        allowed &= served.users[users]
    test = _make_part(users, allowed, ~early, options.target, candidates, options.split_seed, n_users)
    valid = _make_part(users, allowed & early, validated, "last", candidates, options.split_seed, n_users)
    train = _make_part(users, trained, trained, "successive", candidates, options.split_seed, n_users)
    late, tested = ~early, np.unique(users[test.events[test.targets]])
    unseen = late & ~seen_items[items]
    late_users = np.unique(users[late])
    counts = SplitCounts(
        cut=cut,
        at_cut=options.cut is not None,
        validation_cut=validation_cut,
        early_events=int(early.sum()),
        train_events=int(trained.sum()),
        train_users=int(seen_users.sum()),
        train_items=int(seen_items.sum()),
        single_event_users=int((np.bincount(users[early], minlength=n_users) == 1).sum()),
        valid_targets=len(valid.targets),
        unseen_valid_users=int((~seen_users[users[valid.events[valid.targets]]]).sum()),
        test_targets=len(test.targets),
        test_users=len(tested),
        unseen_test_users=int((~seen_users[tested]).sum()),
        late_events=int(late.sum()),
        late_unseen_item_events=int(unseen.sum()),
        late_unseen_items=len(np.unique(items[unseen])),
        late_users=len(late_users),
        late_unseen_users=int((~seen_users[late_users]).sum()),
        candidates=int(candidates.sum()),
    )
    train, valid, test = (replace(part, events=order[part.events]) for part in (train, valid, test))
    return TemporalSplit(train, valid, test, counts, served)


def _find_early(
    users: np.ndarray, times: np.ndarray, options: TemporalOptions, known: KnownSplit | None
) -> tuple[np.ndarray, float]:
    """Mark the events before the test, and return the time of the split."""
    if not len(times):
        return np.zeros(0, bool), math.nan
    if options.cut is not None:
        cut = convert_cut(options.cut, times.max())
        return times < cut, float(cut)
    require_shared_times(users, times, options)
    below, cut = find_quantile(times, options.quantile)
    return (times <= below, cut) if known is None or known.cut == cut else (times <= known.cut, known.cut)


def _divide_early(
    users: np.ndarray,
    times: np.ndarray,
    early: np.ndarray,
    options: TemporalOptions,
    final: bool,
    n_users: int,
    known: KnownSplit | None,
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Mark the events for training and for validation, and return the time between them."""
    several = (np.bincount(users[early], minlength=n_users) > 1)[users]
    cut = None
    if final or not early.any():
        validated = np.zeros_like(early)
    elif options.validation == "by_time":
        below, cut = find_quantile(times[early], options.validation_quantile)
        if known is not None and known.validation_cut not in (None, cut):
            below = cut = known.validation_cut
        validated = early & (times > below)
    else:
        position = np.flatnonzero(early)
        last = np.append(users[position][1:] != users[position][:-1], True)
        validated = np.zeros_like(early)
        validated[position[last]] = True
    return early & several & ~validated, validated, cut


def _make_part(
    users: np.ndarray,
    allowed: np.ndarray,
    predicted: np.ndarray,
    target: str,
    candidates: np.ndarray,
    seed: int,
    n_users: int,
) -> Part:
    """Make the part in which some of the allowed events are predicted; events without a history are not.

    Users are given one after the other, each in time order.
    """
    events = np.flatnonzero(allowed)
    owners = users[events]
    first = np.append(True, owners[1:] != owners[:-1]) if len(owners) else np.zeros(0, bool)
    starts = np.maximum.accumulate(np.where(first, np.arange(len(events)), 0))
    targets = np.flatnonzero(predicted[events] & ~first)
    targets = targets[_choose(owners[targets], target, seed, n_users)]
    return Part(events, targets, starts[targets], candidates)


def _choose(users: np.ndarray, target: str, seed: int, n_users: int) -> np.ndarray:
    """Choose one target of each user, or all; users are one after the other, each in time order."""
    if target == "successive" or not len(users):
        return np.arange(len(users))
    firsts = np.flatnonzero(np.append(True, users[1:] != users[:-1]))
    counts = np.diff(np.append(firsts, len(users)))
    if target == "first":
        return firsts
    if target == "last":
        return firsts + counts - 1
    drawn = np.random.default_rng(seed).random(n_users)  # one number for each user, whoever is tested
    return firsts + (drawn[users[firsts]] * counts).astype(np.int64)


def _occur(ids: np.ndarray, number: int) -> np.ndarray:
    return np.bincount(ids, minlength=number) > 0


def require_shared_times(users: np.ndarray, times: np.ndarray, options: TemporalOptions) -> None:
    """Check that users share a time scale, which a quantile of times requires.

    Args:
        users: User of each event, shape ``[N]``; best of all events, as filters leave gaps in positions.
        times: Time of each event, shape ``[N]``.
        options: The options.

    Raises:
        DataError: The times are positions in each user's order, and no cut is given.
    """
    if options.cut is None and are_positions(users, times):
        raise DataError(
            "GTS: the times are positions in each user's order, not times that users share; use data with real times, "
            "or give a position as cut"
        )


def find_quantile(times: np.ndarray, share: float) -> tuple[Any, float]:
    """Find a quantile of times, interpolated between two of them, without rounding errors.

    Args:
        times: The times, in any order; at least one.
        share: The quantile, in (0, 1); its decimal digits count.

    Returns:
        The largest of the times that is not above the quantile, which divides them exactly, and the quantile.
    """
    ordered = np.sort(times)
    place = Fraction(str(share)) * (len(ordered) - 1)
    below = ordered[math.floor(place)]
    after = ordered[math.ceil(place)]
    low, high = Fraction(below.item()), Fraction(after.item())
    return below, float(low + (high - low) * (place - math.floor(place)))


def convert_cut(cut: float | str, last: float) -> float:
    """Convert the time of a cut to the unit of the data's times.

    Args:
        cut: A date in UTC, or a number as in the data.
        last: The last time of the data.

    Raises:
        DataError: It is a date, and the times are no Unix times.
    """
    moment = parse_cut(cut)
    if not isinstance(moment, datetime):
        return moment
    units = [each for lowest, each in UNITS.values() if last >= lowest]
    if not units:
        raise DataError(
            f"GTS: cut={cut} is a date, but the times, which end at {float(last):g}, are not Unix times; give the "
            "cut as a number, as in the data"
        )
    value = Fraction((moment - _EPOCH) // timedelta(microseconds=1), 10**6) * units[-1]
    return int(value) if value.denominator == 1 else float(value)


def format_time(time: float) -> str:
    """Write a time as a date in UTC where it can be a Unix time, else as a number."""
    units = [each for lowest, each in UNITS.values() if time >= lowest]
    return datetime.fromtimestamp(time / units[-1], UTC).strftime("%Y-%m-%d %H:%M:%S") if units else f"{time:.15g}"


def are_positions(users: np.ndarray, times: np.ndarray) -> bool:
    """Return True if times are positions in each user's order, which cannot be compared between users.

    They are if at least half of the users with several events have the times s, s + 1, s + 2, ..., with one s for all,
    and if hardly any event has a time that its user has already. Filters leave gaps in some of them.

    Args:
        users: User of each event, shape ``[N]``.
        times: Time of each event, shape ``[N]``.
    """
    if not len(times) or not np.array_equal(times, np.trunc(times)):
        return False
    order = np.lexsort((times, users))
    owners, ordered = users[order], times[order]
    repeated = np.append(False, (owners[1:] == owners[:-1]) & (ordered[1:] == ordered[:-1]))
    if repeated.sum() > max(1, _REPEATED * len(repeated)):
        return False
    owners, ordered = owners[~repeated], ordered[~repeated]
    same = owners[1:] == owners[:-1]
    firsts = np.flatnonzero(np.append(True, ~same))
    counts = np.diff(np.append(firsts, len(owners)))
    lasts = ordered[firsts + counts - 1]
    several = counts > 1
    counted = several & (ordered[firsts] == ordered.min()) & (lasts - ordered[firsts] == counts - 1)
    return int(several.sum()) > 1 and 2 * int(counted.sum()) >= int(several.sum())
