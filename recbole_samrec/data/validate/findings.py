"""Describe how RecBole reads a data set: counts after each filter, and notes about its rows.

The checks of a run print the notes; ``data --check`` prints everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.data.spelling import Alike, find_alike
from recbole_samrec.data.temporal_options import read_options
from recbole_samrec.data.temporal_split import require_shared_times
from recbole_samrec.data.validate.filters import EventFilter, Filters, IdTable, Step
from recbole_samrec.data.validate.layout import Layout
from recbole_samrec.data.validate.splits import Parts, count_samples
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.naming import count

FEW = 3
"""Number of events that a user needs for training, validation and test with leave-one-out."""
_LARGEST = 2**62
MANY_TIES = 0.5
"""Share of equal times of consecutive events from which the order of the lines matters."""


@dataclass(frozen=True)
class Coverage:
    """Ids of the events and of a file of users or items.

    Attributes:
        suffix: ``user`` or ``item``.
        ids: Number of different ids of the events.
        missing: Number of those without a row in the file.
        events: Number of events of the missing ids, when RecBole compares the files.
        dropped: Whether RecBole drops these events.
        surplus: Number of rows of the file without events, which RecBole keeps as users or items.
        examples: An id of the events and one of the file, both without a counterpart where there is such an id.
        alike: Missing ids that the file spells differently.
    """

    suffix: str
    ids: int
    missing: int
    events: int
    dropped: bool
    surplus: int
    examples: tuple[str, str]
    alike: Alike | None


@dataclass(frozen=True)
class Findings:
    """Description of a data set.

    Attributes:
        steps: Counts after each filter, beginning with the file.
        coverage: Comparison with each loaded file of users and items.
        repeated: Number of rows of the file that repeat an earlier row's user, item and time; None for lists of items.
        has_times: Whether times were read, and compared.
        ties: Share of the remaining events that have the time of the user's event before; None without times.
        span: First and last time of the remaining events; None without times.
        few: Number of the remaining users that have fewer than three events.
        shortest: Smallest number of events of a remaining user; 0 without events.
        parts: Number of samples of each part of the split; None if it is not known.
        removes_repeated: Whether ``rm_dup_inter`` removes the repeated rows.
    """

    steps: tuple[Step, ...]
    coverage: tuple[Coverage, ...]
    repeated: int | None
    has_times: bool
    ties: float | None
    span: tuple[float, float] | None
    few: int
    shortest: int
    parts: Parts | None
    removes_repeated: bool


def collect_findings(
    events: pd.DataFrame,
    features: Mapping[str, pd.DataFrame],
    layout: Layout,
    fields: Mapping[str, Any],
    *,
    sequential: bool,
    times: pd.Series | None = None,
) -> Findings:
    """Apply RecBole's filters to the columns that they need, and describe what is left.

    Args:
        events: Columns user, item, time where it is loaded, and those of ``val_interval``.
        features: The same of the loaded files of users and items, by suffix.
        layout: Names of the columns.
        fields: RecBole's settings.
        sequential: Whether the model is sequential.
        times: Exact times of the events, by which they are ordered; by default those in ``events``.

    Raises:
        DataError: The times do not allow a global temporal split.
    """
    filters = Filters.from_settings(fields)
    users = IdTable(layout.user, events[layout.user], features.get("user"))
    items = IdTable(layout.item, events[layout.item], features.get("item"))
    tables = {"user": users, "item": items}
    raw = {suffix: table.rows for suffix, table in tables.items()}
    listed = {suffix: table.listed for suffix, table in tables.items()}
    _check_times(users, events, layout, fields)
    exact = events.get(layout.time) if times is None else times
    filtered = EventFilter(events, users, items, layout, exact)
    filtered.apply(filters)
    moments = None if exact is None else pd.factorize(exact, use_na_sentinel=False)[0]
    moments_left = None if moments is None else moments[filtered.kept]
    seconds = events[layout.time].to_numpy()[filtered.kept] if layout.time in events else None
    left = users.codes[filtered.kept]
    coverage = [
        _compare(suffix, tables[suffix], listed[suffix], rows, filtered, filters)
        for suffix, rows in raw.items()
        if rows is not None
    ]
    sizes = np.bincount(left[left >= 0])
    return Findings(
        steps=tuple(filtered.steps),
        coverage=tuple(coverage),
        repeated=_count_repeated(users, items, moments, layout),
        has_times=exact is not None,
        ties=_measure_ties(left, moments_left),
        span=(float(np.nanmin(seconds)), float(np.nanmax(seconds))) if seconds is not None and len(seconds) else None,
        few=int(((sizes > 0) & (sizes < FEW)).sum()),
        shortest=int(sizes[sizes > 0].min(initial=len(left))),
        parts=_count_parts(left, items.codes[filtered.kept], seconds, layout, fields, sequential),
        removes_repeated=filters.duplicates is not None,
    )


def _check_times(users: IdTable, events: pd.DataFrame, layout: Layout, fields: Mapping[str, Any]) -> None:
    """Check the times of all events, before filters, for a global temporal split."""
    options = read_options(fields.get("eval_args"))
    if options is not None and layout.time in events and not layout.benchmark:
        known = (users.codes >= 0) & events[layout.time].notna().to_numpy()
        require_shared_times(users.codes[known], events[layout.time].to_numpy()[known], options)


def _compare(
    suffix: str, table: IdTable, listed: np.ndarray, rows: pd.DataFrame, filtered: EventFilter, filters: Filters
) -> Coverage:
    missing = table.ids[~listed]
    assert table.rows is not None
    names = rows[table.name]
    unused = names[~names.isin(table.ids)]
    return Coverage(
        suffix=suffix,
        ids=len(table.ids),
        missing=len(missing),
        events=int(filtered.unlisted[table.name].sum()),
        dropped=filters.drop_unlisted,
        surplus=int((~table.rows[table.name].isin(table.ids[np.unique(_left(table, filtered))])).sum()),
        examples=(str(next(iter(missing), "")), str(next(iter(unused), next(iter(names), "")))),
        alike=find_alike(missing, unused) if len(missing) else None,
    )


def _left(table: IdTable, filtered: EventFilter) -> np.ndarray:
    codes = table.codes[filtered.kept]
    return codes[codes >= 0]


def _count_repeated(users: IdTable, items: IdTable, times: np.ndarray | None, layout: Layout) -> int | None:
    """Count the rows that repeat an earlier row; samples of benchmark files may share a user, an item and a time."""
    if layout.benchmark:
        return None
    whole = (users.codes >= 0) & (items.codes >= 0)
    columns = [users.codes, items.codes, *([] if times is None else [times])]
    return int(whole.sum()) - _count_distinct(*(column[whole] for column in columns))


def _measure_ties(users: np.ndarray, times: np.ndarray | None) -> float | None:
    """Return the share of equal times among the pairs of consecutive events of a user."""
    if times is None:
        return None
    pairs = len(users) - _count_distinct(users)
    return (len(users) - _count_distinct(users, times)) / pairs if pairs else 0.0


def _count_distinct(*columns: np.ndarray) -> int:
    """Count the different rows of columns of codes from -1, by sorting one number for each row."""
    key, size = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        width = int(column.max(initial=-1)) + 2
        if size > _LARGEST // width:  # the numbers of all combinations do not fit; number the existing ones
            key = np.unique(key, return_inverse=True)[1]
            size = len(key)
        key, size = key * width + column + 1, size * width
    key.sort()
    return int((key[1:] != key[:-1]).sum()) + bool(len(key))


def _count_parts(
    users: np.ndarray,
    items: np.ndarray,
    times: np.ndarray | None,
    layout: Layout,
    fields: Mapping[str, Any],
    sequential: bool,
) -> Parts | None:
    if layout.benchmark or not fields.get("eval_args"):
        return None
    return count_samples(
        users,
        times,
        fields["eval_args"],
        sequential=sequential,
        items=items,
        sequential_targets=bool(fields.get("sequential_targets")),
    )


def check_findings(found: Findings, path: str, fields: Mapping[str, Any], *, sequential: bool) -> None:
    """Check that something is left to train on.

    Raises:
        DataError: A filter leaves no events, a file of users or items has none of the ids, or the split leaves no
            training samples.
    """
    for one in found.coverage:
        if one.missing == one.ids and one.dropped:
            raise DataError(_describe_mismatch(one, path))
    for step in found.steps[1:]:
        if not step.events:
            raise DataError(f"{path}: no events are left after the filter {step.name}: correct the setting or the file")
    if found.parts is not None and not found.parts.train:
        raise DataError(_describe_empty_training(found, path, fields["eval_args"], sequential))


def _describe_empty_training(found: Findings, path: str, eval_args: Mapping[str, Any], sequential: bool) -> str:
    events, users = count(found.steps[-1].events, "event"), count(found.steps[-1].users, "user")
    first = "; the first event of a user is only input to a sequential model" if sequential else ""
    remedy = "collect longer histories, or choose another split"
    if (options := read_options(eval_args)) is not None:
        remedy = "choose a larger quantile" if options.cut is None else "choose a later cut, in the unit of the times"
    return (
        f"{path}: eval_args split={dict(eval_args['split'])} leaves no training samples of {events} of {users}{first}: "
        f"{remedy}"
    )


def _describe_mismatch(one: Coverage, path: str) -> str:
    base = path.removesuffix(".inter")
    here, there = (one.alike.here, one.alike.there) if one.alike else one.examples
    return (
        f"no {one.suffix} of {path} has a row in {base}.{one.suffix} (ids such as {here!r} there, {there!r} here): "
        f"use the same ids, or leave .{one.suffix} out of load_col"
    )


def list_notes(found: Findings, path: str, layout: Layout, eval_args: Mapping[str, Any] | None) -> Iterator[str]:
    """List notes to read before training, one line each.

    Args:
        found: The findings.
        path: The file of interactions, for the text.
        layout: Names of the columns.
        eval_args: RecBole's ``eval_args``, if there are any.
    """
    first, last = found.steps[0], found.steps[-1]
    if found.repeated and not found.removes_repeated:
        what = "same user, item, time" if found.has_times else "same user and item; times are not loaded"
        yield (
            f"{path}: {found.repeated:,} of {count(first.events, 'row')} repeat a row ({what}); "
            f"rm_dup_inter=first keeps one event of each user and item"
        )
    for before, after in zip(found.steps, found.steps[1:], strict=False):
        if after.name.startswith(("rm_dup", "val_int", "user_int", "item_int")) and after.events < before.events:
            by_line = after.name.startswith("rm_dup") and not found.has_times
            how = f", by the order of the lines, since {layout.time} is not loaded" if by_line else ""
            yield f"{path}: {after.name} drops {before.events - after.events:,} of {count(before.events, 'event')}{how}"
    for one in found.coverage:
        if one.missing:
            yield _describe_coverage(one, path, first.events)
    if last.users == 1:
        yield f"{path}: a single user in column {layout.user}; check the column if that is not intended"
    if found.ties is not None and found.span and found.span[0] == found.span[1]:
        yield f"{path}: every {layout.time} is {found.span[0]:g}, so the order is that of the lines"
    elif found.ties is not None and found.ties > MANY_TIES:
        yield (
            f"{path}: {found.ties:.0%} of consecutive events of a user have equal {layout.time}s; their order is that "
            f"of the lines"
        )
    if found.parts and not found.parts.valid:
        yield f"{path}: the split leaves no validation samples, so the last epoch is kept"
    if found.parts and not found.parts.test:
        yield f"{path}: the split leaves no test samples, so there are no test figures"
    if found.few and not layout.benchmark and (eval_args is None or "LS" in (eval_args.get("split") or {})):
        needs = f"leave-one-out needs at least {FEW} (to train, validate and test)"
        yield f"{path}: {found.few:,} of {count(last.users, 'user')} have fewer than {FEW} events; {needs}"


def _describe_coverage(one: Coverage, path: str, events: int) -> str:
    if one.missing == one.ids:
        return _describe_mismatch(one, path)
    file = f"{path.removesuffix('.inter')}.{one.suffix}"
    who = f"{one.missing:,} of {count(one.ids, one.suffix)} have no row in {file}"
    if one.alike:
        alike = one.alike
        who += f" ({alike.number:,} spelled differently: {alike.here!r} in .inter, {alike.there!r} in .{one.suffix})"
    if one.dropped:
        drops = f"{one.events:,} of {count(events, 'event')} are dropped"
        return f"{who}, so {drops}; filter_inter_by_user_or_item=False keeps them"
    return f"{who}; their events are kept, their features are empty"


def format_span(first: float, last: float) -> str:
    """Write the first and last time as dates where they can be Unix seconds since 1990, else as numbers."""
    if first >= 631_152_000 and last < 4_102_444_800:
        return " to ".join(datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d") for time in (first, last))
    return f"{first:.15g} to {last:.15g}"
