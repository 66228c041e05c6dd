"""Count the users, items and events that are left after each of RecBole's filters, without loading the data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.data.validate.layout import Layout

Interval = tuple[str, float, float, str]
WITHOUT_IDS = "rows without user or item"
"""Name of the first filter, which has no setting."""


@dataclass(frozen=True)
class Filters:
    """RecBole's filters, from its settings.

    Attributes:
        duplicates: ``rm_dup_inter``: which interaction of a user with an item is kept, ``first`` or ``last``.
        values: ``val_interval``: permitted values by column.
        drop_unlisted: ``filter_inter_by_user_or_item``: whether events without a row in ``.user`` or ``.item`` go.
        user_count: ``user_inter_num_interval``: permitted numbers of events of a user.
        item_count: ``item_inter_num_interval``: permitted numbers of events of an item.
    """

    duplicates: Any = None
    values: Mapping[str, Any] = field(default_factory=dict)
    drop_unlisted: bool = True
    user_count: str | None = None
    item_count: str | None = None

    @classmethod
    def from_settings(cls, fields: Mapping[str, Any]) -> Filters:
        """Collect the filters; benchmark files are not filtered."""
        if fields.get("benchmark_filename"):
            return cls(drop_unlisted=False)
        return cls(
            duplicates=fields.get("rm_dup_inter"),
            values=fields.get("val_interval") or {},
            drop_unlisted=fields.get("filter_inter_by_user_or_item") in (None, True),
            user_count=fields.get("user_inter_num_interval"),
            item_count=fields.get("item_inter_num_interval"),
        )


@dataclass(frozen=True)
class Step:
    """Number of users, items and events after a filter.

    Attributes:
        name: The filter, as its setting is written; ``file`` for the file as it is.
        users: Number of different users of the remaining events.
        items: Number of different items of the remaining events.
        events: Number of remaining events.
    """

    name: str
    users: int
    items: int
    events: int


class IdTable:
    """Ids of the events' users or items, numbered, and those of the feature file.

    Args:
        name: Name of the column.
        column: The column of the interactions.
        features: The feature file's columns, among them the id; None if the file is not loaded.

    Attributes:
        codes: Number of each event's id, shape ``[N]``; -1 if it is missing.
        ids: The different ids, shape ``[U]``, in the order of the numbers.
        rows: Feature rows with different ids, as RecBole keeps them; None if the file is not loaded.
        numbers: Number of each feature row's id; -1 for ids without events.
    """

    def __init__(self, name: str, column: pd.Series, features: pd.DataFrame | None) -> None:
        self.name = name
        self.codes, ids = pd.factorize(column)
        self.ids = np.asarray(ids, dtype=object)
        self.rows: pd.DataFrame | None = None
        self.numbers = np.zeros(0, np.intp)
        if features is not None:
            self.rows = features.dropna(subset=[name]).drop_duplicates(name)
            self.numbers = pd.Index(self.ids).get_indexer(self.rows[name])

    @property
    def listed(self) -> np.ndarray:
        """Mask of the ids that have a row in the feature file, shape ``[U]``."""
        found = np.zeros(len(self.ids), bool)
        found[self.numbers[self.numbers >= 0]] = True
        return found

    def keep_rows(self, kept: np.ndarray) -> None:
        """Remove rows of the feature file."""
        assert self.rows is not None
        self.rows, self.numbers = self.rows[kept], self.numbers[kept]


class EventFilter:
    """The events that remain, while the filters are applied in RecBole's order.

    Args:
        events: Columns user, item, and those of ``val_interval``.
        users: Ids of the users.
        items: Ids of the items.
        layout: Names of the columns.
        times: Times of the events, which order them; None if they are not loaded.

    Attributes:
        kept: Mask of the remaining events, shape ``[N]``.
        steps: Counts after each filter that is set, beginning with the file.
        unlisted: Events that have no row in the file of users or items when that filter is reached, by column.
    """

    def __init__(
        self, events: pd.DataFrame, users: IdTable, items: IdTable, layout: Layout, times: pd.Series | None
    ) -> None:
        self.events, self.users, self.items, self.layout, self.times = events, users, items, layout, times
        self.kept = np.ones(len(events), bool)
        self.steps: list[Step] = []
        self.unlisted: dict[str, np.ndarray] = {}
        self._record("file")

    def apply(self, filters: Filters) -> None:
        """Apply the filters in RecBole's order."""
        if not self.layout.benchmark:
            self.kept &= (self.users.codes >= 0) & (self.items.codes >= 0)
            if self.kept.sum() < len(self.kept):
                self._record(WITHOUT_IDS)
        if filters.duplicates is not None:
            self._drop_duplicates(filters.duplicates)
            self._record(f"rm_dup_inter={filters.duplicates}")
        for name, permitted in filters.values.items():
            self._keep_values(name, permitted)
            self._record(f"val_interval of {name}")
        self._drop_unlisted(filters.drop_unlisted)
        counts = {"user": filters.user_count, "item": filters.item_count}
        active = {name: count for name, count in counts.items() if count is not None and str(count) != "[0,inf)"}
        if active:
            intervals = {name: parse_intervals(str(count)) for name, count in active.items()}
            self._keep_counts(intervals.get("user"), intervals.get("item"))
            self._record(", ".join(f"{name}_inter_num_interval={count}" for name, count in active.items()))

    def _record(self, name: str) -> None:
        users, items = (np.bincount(self._codes(table) + 1, minlength=1) for table in (self.users, self.items))
        self.steps.append(Step(name, int((users[1:] > 0).sum()), int((items[1:] > 0).sum()), int(self.kept.sum())))

    def _codes(self, table: IdTable) -> np.ndarray:
        return table.codes[self.kept]

    def _drop_duplicates(self, keep: Any) -> None:
        pairs = pd.DataFrame({"user": self._codes(self.users), "item": self._codes(self.items)})
        pairs.index = pd.Index(np.flatnonzero(self.kept))
        if self.times is not None:
            times = self.times[self.kept].reset_index(drop=True)
            pairs = pairs.iloc[times.sort_values(kind="stable").index]
        self.kept[pairs.index[pairs.duplicated(keep=keep)]] = False

    def _keep_values(self, name: str, permitted: Any) -> None:
        if name in self.events:
            self.kept &= is_permitted(self.events[name], permitted)
        for table in (self.users, self.items):
            if table.rows is not None and name in table.rows:
                table.keep_rows(is_permitted(table.rows[name], permitted))

    def _drop_unlisted(self, drop: bool) -> None:
        for table in (self.users, self.items):
            if table.rows is not None:
                self.unlisted[table.name] = self.kept & ~np.append(table.listed, False)[table.codes]
        if drop and self.unlisted:
            for without in self.unlisted.values():
                self.kept &= ~without
            self._record("rows in " + " and ".join(f".{self._suffix(name)}" for name in self.unlisted))

    def _suffix(self, name: str) -> str:
        return "user" if name == self.layout.user else "item"

    def _keep_counts(self, user: list[Interval] | None, item: list[Interval] | None) -> None:
        """Remove users and items with too few or too many events, until all have enough."""
        tables = [(self.users, user), (self.items, item)]
        banned = [np.zeros(len(table.ids), bool) for table, _ in tables]
        while True:
            bad = [self._find_banned(table, interval) for table, interval in tables]
            if not any(one.any() for one in bad):
                break
            for (table, _), now, ever in zip(tables, bad, banned, strict=True):
                self.kept &= ~now[table.codes]
                ever |= now
        for (table, interval), ever in zip(tables, banned, strict=True):
            if table.rows is not None and interval:
                counts = np.append(np.bincount(self._codes(table), minlength=len(table.ids)), 0)
                table.keep_rows(~np.append(ever, False)[table.numbers] & (counts[table.numbers] >= interval[0][1]))

    def _find_banned(self, table: IdTable, interval: list[Interval] | None) -> np.ndarray:
        counts = np.bincount(self._codes(table), minlength=len(table.ids))
        return (counts > 0) & ~is_within(counts, interval) if interval else np.zeros(len(table.ids), bool)


def is_permitted(column: pd.Series, permitted: Any) -> np.ndarray:
    """Return a mask of the values in a setting of ``val_interval``: intervals of numbers, or a list of tokens."""
    if pd.api.types.is_numeric_dtype(column):
        return is_within(column.to_numpy(), parse_intervals(str(permitted)))
    return column.isin(list(permitted)).to_numpy()


def parse_intervals(text: str) -> list[Interval]:
    """Parse intervals such as ``[1,3);[5,inf)``, whose form is checked with the settings."""
    parts = [part.strip() for part in text.split(";")]
    return [(part[0], *map(float, part[1:-1].split(",")), part[-1]) for part in parts]  # type: ignore[misc]


def is_within(values: np.ndarray, intervals: list[Interval]) -> np.ndarray:
    """Return a mask of the values that lie in one of the intervals; missing values lie in none."""
    found = np.zeros(len(values), bool)
    for left, low, high, right in intervals:
        above = values >= low if left == "[" else values > low
        found |= above & (values <= high if right == "]" else values < high)
    return found
