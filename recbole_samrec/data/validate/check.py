"""Check atomic files before RecBole reads them, and report the line of the first error."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.data.catalog import describe_source
from recbole_samrec.data.validate.layout import Column, Layout, read_header, require_column
from recbole_samrec.data.validate.scan import check_lines, read_records
from recbole_samrec.utils.errors import DataError

_EVENTS_NEEDED = 3


@dataclass(frozen=True)
class AtomicSummary:
    """Summary of a data set.

    Attributes:
        users: Number of different users with interactions.
        items: Number of different items with interactions.
        interactions: Number of lines with a user and an item.
        sha256: Hash of the ``.inter`` file, or of the benchmark files one after the other.
        span: First and last timestamp; None if timestamps were not needed.
        warnings: Irregularities that do not prevent reading, one line each.
    """

    users: int
    items: int
    interactions: int
    sha256: str
    span: tuple[float, float] | None
    warnings: tuple[str, ...]


def check_atomic_files(
    folder: Path, name: str, *, needs_time: bool = True, fields: Mapping[str, Any] | None = None
) -> AtomicSummary:
    """Check every file of the set ``name`` that RecBole would load.

    Args:
        folder: Folder of the set's files.
        name: Name of the set and of its files.
        needs_time: Whether a timestamp is needed to order each user's events.
        fields: RecBole's settings, with its names: ``USER_ID_FIELD``, ``ITEM_ID_FIELD``, ``TIME_FIELD``,
            ``field_separator``, ``seq_separator``, ``encoding``, ``load_col``, ``unload_col``, ``benchmark_filename``.
            Missing settings and None have RecBole's default, but all columns are then loaded.

    Returns:
        The size of the set, and warnings.

    Raises:
        DataError: A file cannot be read, or contains too few events for training and test.
    """
    layout = Layout.from_settings(fields or {})
    parts = [f".{part}.inter" for part in layout.benchmark] or [".inter"]
    digest = hashlib.sha256()
    warnings: list[str] = []
    frames = [
        _read_interactions(folder / f"{name}{part}", name, layout, needs_time, digest, warnings) for part in parts
    ]
    frame = frames[0] if len(frames) == 1 else pd.concat(frames)
    summary = _summarize(folder / f"{name}{parts[0]}", frame, layout, digest.hexdigest(), warnings)
    for suffix, key in (("user", layout.user), ("item", layout.item)):
        path = folder / f"{name}.{suffix}"
        if path.exists() and layout.is_any_loaded(suffix):
            _check_features(path, suffix, key, layout, warnings)
    return AtomicSummary(**summary, warnings=tuple(warnings))


def _read_interactions(
    path: Path, name: str, layout: Layout, needs_time: bool, digest: Any, warnings: list[str]
) -> pd.DataFrame:
    """Read user, item and, if needed, time of an ``.inter`` file, as columns 0, 1 and 2."""
    if not path.is_file():
        raise DataError(f"{path} is missing: {describe_source(name)}")
    ids = [(layout.user, "token"), (layout.item, "token"), *([(layout.time, "float")] if needs_time else [])]
    columns = _check_columns(path, "inter", ids, layout, digest, warnings)
    frame = _read(path, columns, layout, ids=(layout.user, layout.item))
    if needs_time and len(frame):
        _check_times(path, frame[layout.time].to_numpy(), layout, warnings)
    frame = frame[[key for key, _ in ids]].set_axis(range(len(ids)), axis=1)
    missing = frame[0].isna() | frame[1].isna()
    if missing.any():
        line = _find_line(path, layout, int(missing.to_numpy().argmax()))
        count = _format_count(missing.sum(), "row")
        warnings.append(f"{path}: {count} without user or item will be dropped (first: line {line})")
    return frame[~missing]


def _check_columns(
    path: Path, suffix: str, needed: Sequence[tuple[str, str]], layout: Layout, digest: Any, warnings: list[str]
) -> list[Column]:
    """Check a file's header and lines, and return the columns that RecBole loads."""
    if not path.stat().st_size:
        raise DataError(f"{path} is empty: create it again; its first line names the columns")
    columns = read_header(path, layout)
    for name, kind in needed:
        require_column(path, columns, name, kind)
    loaded = [column for column in columns if layout.is_loaded(suffix, column.name)]
    _check_duplicates(path, columns, loaded, warnings)
    for name, _ in needed:
        if name not in [column.name for column in loaded]:
            raise DataError(f"{path}: column {name!r} is not loaded: add it to load_col under {suffix!r}")
    check_lines(path, layout, len(columns), digest)
    return loaded


def _check_duplicates(path: Path, columns: list[Column], loaded: list[Column], warnings: list[str]) -> None:
    """Raise if two loaded columns have one name, on which RecBole fails or uses the last; warn of others."""
    for name, count in Counter(column.name for column in columns).items():
        if count > 1 and name in [column.name for column in loaded]:
            raise DataError(f"{path} line 1 names column {name!r} {count} times: rename or remove all but one")
        if count > 1:
            warnings.append(f"{path} line 1 names column {name!r} {count} times; it is not loaded")


def _read(path: Path, columns: Sequence[Column], layout: Layout, ids: Sequence[str]) -> pd.DataFrame:
    """Read ids as text and numbers as numbers; other text columns cannot be wrong and are skipped."""
    wanted = {column.header: column for column in columns if column.name in ids or column.type.startswith("float")}
    kinds = {header: np.float64 if column.type == "float" else str for header, column in wanted.items()}
    try:
        frame = _read_csv(path, layout, kinds)
    except ValueError as error:
        frame = _read_csv(path, layout, dict.fromkeys(kinds, str))
        for header, column in wanted.items():
            if column.type == "float":
                _check_numbers(path, column, frame[header], layout)
        raise DataError(f"{path} cannot be read: {error}") from error
    for header, column in wanted.items():
        if column.type == "float_seq":
            _check_sequences(path, column, frame[header], layout)
    return frame.rename(columns={header: column.name for header, column in wanted.items()})


def _read_csv(path: Path, layout: Layout, kinds: dict[str, Any]) -> pd.DataFrame:
    engine = "c" if len(layout.separator) == 1 else "python"
    return pd.read_csv(
        path, sep=layout.separator, usecols=list(kinds), dtype=kinds, encoding=layout.encoding, engine=engine
    )


def _check_numbers(path: Path, column: Column, values: pd.Series, layout: Layout) -> None:
    bad = values.notna() & pd.to_numeric(values, errors="coerce").isna()
    if bad.any():
        row = int(bad.to_numpy().argmax())
        line = _find_line(path, layout, row)
        raise DataError(f"{path} line {line}, column {column.name}: {values.iloc[row]!r} is not a number: correct it")


def _check_sequences(path: Path, column: Column, values: pd.Series, layout: Layout) -> None:
    parts = values.fillna("").str.split(layout.seq_separator, regex=False).explode()
    parts = parts[parts != ""]
    bad = pd.to_numeric(parts, errors="coerce").isna()
    if bad.any():
        first = parts[bad].index[0]
        line = _find_line(path, layout, int(first))
        raise DataError(
            f"{path} line {line}, column {column.name}: {parts[bad].iloc[0]!r} is not a number: "
            f"correct it, or set seq_separator"
        )


def _check_times(path: Path, times: np.ndarray, layout: Layout, warnings: list[str]) -> None:
    bad = ~np.isfinite(times)
    if bad.any():
        row = int(bad.argmax())
        what = "is missing" if np.isnan(times[row]) else f"is {times[row]}"
        raise DataError(
            f"{path} line {_find_line(path, layout, row)}, column {layout.time}: the time {what} "
            f"({_format_count(bad.sum(), 'such row')}): every row needs a number, or remove the row"
        )
    if len(times) > 1 and times.min() == times.max():
        warnings.append(f"{path}: every {layout.time} is {times[0]:g}, so the order is that of the lines")


def _find_line(path: Path, layout: Layout, row: int) -> int:
    """Find the line number of a row counted from 0, as read by pandas, which skips blank lines."""
    for index, (line, _) in enumerate(read_records(path, layout), -1):
        if index == row:
            return line
    return -1


def _summarize(path: Path, frame: pd.DataFrame, layout: Layout, sha256: str, warnings: list[str]) -> dict[str, Any]:
    if frame.empty:
        raise DataError(f"{path} has no rows with a user and an item: write the interactions below the header")
    events = frame[0].value_counts().to_numpy()
    if len(events) == 1:
        raise DataError(f"{path} has a single user in column {layout.user}: at least two are needed to compare")
    if not layout.benchmark:
        _check_lengths(path, events, warnings)
    times = frame.get(2)
    span = None if times is None else (float(times.min()), float(times.max()))
    users, items = len(events), int(frame[1].nunique())
    return {"users": users, "items": items, "interactions": len(frame), "sha256": sha256, "span": span}


def _check_lengths(path: Path, events: np.ndarray, warnings: list[str]) -> None:
    few = int((events < _EVENTS_NEEDED).sum())
    needs = f"leave-one-out needs at least {_EVENTS_NEEDED} (to train, validate and test)"
    if few == len(events):
        raise DataError(
            f"{path}: no user has enough events: {int((events == 1).sum()):,} have one and "
            f"{int((events == 2).sum()):,} have two, {needs}: collect longer histories, or check the user column"
        )
    if few:
        warnings.append(f"{path}: {few:,} of {_format_count(len(events), 'user')} have fewer than 3 events; {needs}")


def _check_features(path: Path, suffix: str, key: str, layout: Layout, warnings: list[str]) -> None:
    columns = _check_columns(path, suffix, [(key, "token")], layout, hashlib.sha256(), warnings)
    ids = _read(path, columns, layout, ids=(key,))[key]
    repeated = ids.dropna().duplicated().sum()
    for count, what in ((ids.isna().sum(), f"without {key}"), (repeated, f"with an earlier {key}")):
        if count:
            warnings.append(f"{path}: {_format_count(count, 'row')} {what} will be dropped")


def _format_count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
