"""The data set that RecBole has to make of rows of events, computed in plain Python.

Nothing here calls the package: the figures of generated data sets are compared with these.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np


class Event(NamedTuple):
    """A row of interactions; None is a missing cell."""

    user: str | None
    item: str | None
    time: str | None
    rating: str | None = None


@dataclass
class Feature:
    """A file of users or items: rows of id and a number, the number as text."""

    rows: list[tuple[str | None, str | None]]


class Sample(NamedTuple):
    """A sample: its user, the items before (empty for a general model) and the item."""

    user: str
    history: tuple[str, ...]
    item: str


@dataclass
class Truth:
    """The expected data set.

    Attributes:
        users: Users, those of a file without events included.
        items: Items, likewise.
        events: User and item of the remaining events, in time order.
        parts: Samples of training, validation and test.
        read_users: Users with events before the filters.
        read_items: Items with events before the filters.
        read_events: Number of events before the filters.
    """

    users: set[str]
    items: set[str]
    events: list[tuple[str, str]]
    parts: list[list[Sample]]
    read_users: int
    read_items: int
    read_events: int


@dataclass
class Rules:
    """Filters and split of a data set, with RecBole's names."""

    rm_dup_inter: str | None = None
    rating: str | None = None
    number: str | None = None
    filter_inter_by_user_or_item: bool = True
    user_inter_num_interval: str | None = None
    item_inter_num_interval: str | None = None
    split: dict[str, Any] = field(default_factory=lambda: {"LS": "valid_and_test"})
    group_by: str = "user"
    order: str = "TO"
    sequential: bool = True
    longest: int = 50
    needs_negatives: bool = False


def find_truth(
    rows: Sequence[Event], rules: Rules, user: Feature | None = None, item: Feature | None = None
) -> Truth | None:
    """Filter and split events; None if nothing is left or a time is missing."""
    whole = [row for row in rows if row.user is not None and row.item is not None]
    read = len({row.user for row in whole}), len({row.item for row in whole}), len(whole)
    times = dict(zip(map(id, rows), exact_times([row.time for row in rows]), strict=True))
    tables = {"user": _first_rows(user), "item": _first_rows(item)}
    if rules.rm_dup_inter:
        whole = _drop_repeated(whole, lambda row: times[id(row)], rules.rm_dup_inter)
    if rules.rating:
        whole = [row for row in whole if lies_in(row.rating, rules.rating)]
    if rules.number and tables["item"] is not None:
        tables["item"] = {key: value for key, value in tables["item"].items() if lies_in(value, rules.number)}
    if rules.filter_inter_by_user_or_item:
        for kind, table in tables.items():
            if table is not None:
                whole = [row for row in whole if getattr(row, kind) in table]
    whole = _keep_counts(whole, rules, tables)
    if not whole or any(table is not None and not table for table in tables.values()):
        return None
    places = {id(row): place for place, row in enumerate(rows)}
    whole.sort(key=lambda row: (times[id(row)], places[id(row)]))
    users = {row.user for row in whole} | set(tables["user"] or ())
    items = {row.item for row in whole} | set(tables["item"] or ())
    parts = _split(whole, [times[id(row)] for row in whole], rules)
    if parts is None or not parts[0]:
        return None
    if rules.needs_negatives and any(len(seen) == len(items) for seen in _items_of_users(whole).values()):
        return None
    return Truth(users, items, [(row.user, row.item) for row in whole], parts, *read)


def exact_times(texts: Sequence[str | None]) -> list[Any]:
    """Integers within 64 bits, otherwise floats; missing times are nan."""
    numbers = [math.nan if text is None else float(text) for text in texts]
    if any(text is None for text in texts) or not all(map(math.isfinite, numbers)):
        return numbers
    fractions = [Fraction(text.strip()) for text in texts]
    if all(one.denominator == 1 and abs(one) < 2**63 for one in fractions):
        return [int(one) for one in fractions]
    return numbers


def lies_in(text: str | None, intervals: str) -> bool:
    """True if a number is in one of the intervals; a missing one is not."""
    if text is None:
        return False
    value = float(text)
    return any(_within(value, part.strip()) for part in intervals.split(";"))


def _within(value: float, interval: str) -> bool:
    low, high = map(float, interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    return above and (value <= high if interval[-1] == "]" else value < high)


def _first_rows(feature: Feature | None) -> dict[str, str | None] | None:
    if feature is None:
        return None
    table: dict[str, str | None] = {}
    for key, value in feature.rows:
        if key is not None:
            table.setdefault(key, value)
    return table


def _drop_repeated(rows: list[Event], time: Callable[[Event], Any], keep: str) -> list[Event]:
    ordered = sorted(rows, key=time)
    chosen: dict[tuple[Any, Any], Event] = {}
    for row in ordered if keep == "first" else reversed(ordered):
        chosen.setdefault((row.user, row.item), row)
    kept = set(map(id, chosen.values()))
    return [row for row in rows if id(row) in kept]


def _keep_counts(rows: list[Event], rules: Rules, tables: dict[str, dict | None]) -> list[Event]:
    intervals = {"user": rules.user_inter_num_interval, "item": rules.item_inter_num_interval}
    intervals = {kind: interval for kind, interval in intervals.items() if interval not in (None, "[0,inf)")}
    while intervals:
        bad = {kind: _ids_outside(rows, kind, interval) for kind, interval in intervals.items()}
        if not any(bad.values()):
            break
        for kind, ids in bad.items():
            rows = [row for row in rows if getattr(row, kind) not in ids]
            for key in ids & set(tables[kind] or ()):
                del tables[kind][key]
    for kind, interval in intervals.items():
        if tables[kind] is not None:  # rows without enough events are dropped, too
            counts = Counter(getattr(row, kind) for row in rows)
            least = float(interval.split(";")[0].strip()[1:-1].split(",")[0])
            tables[kind] = {key: value for key, value in tables[kind].items() if counts[key] >= least}
    return rows


def _ids_outside(rows: list[Event], kind: str, interval: str) -> set[str]:
    counts = Counter(getattr(row, kind) for row in rows)
    return {key for key, number in counts.items() if not lies_in(str(number), interval)}


def _items_of_users(rows: list[Event]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.user, set()).add(row.item)
    return found


def _split(rows: list[Event], times: list[Any], rules: Rules) -> list[list[Sample]] | None:
    """Make the samples, in time order, and split them."""
    kind, how = next(iter(rules.split.items()))
    samples, moments, before = [], [], {}
    for row, time in zip(rows, times, strict=True):
        history = before.setdefault(row.user, [])
        if not rules.sequential or history:
            kept = tuple(history[-rules.longest :]) if rules.sequential else ()
            samples.append(Sample(row.user, kept, row.item))
            moments.append(float(time))
        history.append(row.item)
    if not samples:
        return None
    grouped: dict[str, list[int]] = {}
    for place, sample in enumerate(samples):
        by_user = rules.group_by == "user" or kind in ("LS", "TS")
        grouped.setdefault(sample.user if by_user else "", []).append(place)
    parts: list[list[Sample]] = [[], [], []]
    for places in grouped.values():
        for part, chosen in enumerate(_divide(places, kind, how, moments)):
            parts[part] += [samples[place] for place in chosen]
    return parts


def _divide(places: list[int], kind: str, how: Any, moments: list[float]) -> list[list[int]]:
    if kind == "LS":
        wanted = {"valid_and_test": 2, "valid_only": 1, "test_only": 1}[how]
        held = min(wanted, len(places) - 1)
        train, rest = places[: len(places) - held], places[len(places) - held :]
        if how == "valid_only":
            return [train, rest, []]
        return [train, rest[:-1], rest[-1:]]
    shares = [share / sum(how) for share in how]
    if kind == "TS":
        bound = np.percentile(np.array(moments), 100 * (1 - shares[2]))
        early = [place for place in places if moments[place] <= bound]
        cut = int(len(early) * (shares[0] / (1 - shares[2])))
        return [early[:cut], early[cut:], [place for place in places if moments[place] > bound]]
    total = len(places)
    valid, test = int(shares[1] * total), int(shares[2] * total)
    train = total - valid - test
    if train > 1 and 0 < shares[2] * total < 1:
        test, train = test + 1, train - 1
    if train > 1 and 0 < shares[1] * total < 1:
        valid, train = valid + 1, train - 1
    return [places[:train], places[train : train + valid], places[train + valid :]]
