"""Check atomic files before RecBole reads them, and report the line of the first error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.data.catalog import describe_source
from recbole_samrec.data.exact_times import read_exact_times
from recbole_samrec.data.validate.filters import WITHOUT_IDS
from recbole_samrec.data.validate.findings import Findings, check_findings, collect_findings, list_notes
from recbole_samrec.data.validate.layout import Column, Layout
from recbole_samrec.data.validate.read import check_columns, find_line, read_values
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.naming import count


@dataclass(frozen=True)
class AtomicSummary:
    """Summary of a data set.

    Attributes:
        users: Number of different users with interactions.
        items: Number of different items with interactions.
        interactions: Number of lines with a user and an item.
        sha256: Hash of the ``.inter`` file, or of the benchmark files one after the other.
        span: First and last timestamp; None if no timestamps are loaded.
        warnings: Irregularities that do not prevent reading, one line each.
        findings: Counts after each filter, and what the warnings are about.
    """

    users: int
    items: int
    interactions: int
    sha256: str
    span: tuple[float, float] | None
    warnings: tuple[str, ...]
    findings: Findings = field(compare=False, repr=False)


def check_atomic_files(
    folder: Path,
    name: str,
    *,
    needs_time: bool = True,
    fields: Mapping[str, Any] | None = None,
    sequential: bool = True,
    graph: bool = False,
) -> AtomicSummary:
    """Check every file of the set ``name`` that RecBole would load.

    Args:
        folder: Folder of the set's files.
        name: Name of the set and of its files.
        needs_time: Whether a timestamp is needed to order each user's events.
        fields: RecBole's settings, with its names: ``USER_ID_FIELD``, ``ITEM_ID_FIELD``, ``TIME_FIELD``,
            ``field_separator``, ``seq_separator``, ``encoding``, ``load_col``, ``unload_col``, ``benchmark_filename``,
            ``additional_feat_suffix``, ``keep_na_tokens``, ``eval_args`` and the filters. Missing settings and None
            have RecBole's default, but all columns are then loaded, and no split is checked.
        sequential: Whether the model is sequential, so that a user's first event is not a sample.
        graph: Whether the model reads a knowledge graph, ``.kg`` and ``.link``.

    Returns:
        The size of the set, and warnings.

    Raises:
        DataError: A file cannot be read, or contains too few events for the split.
    """
    fields = fields or {}
    files = _Files(folder, name, Layout.from_settings(fields), fields)
    events = files.read_interactions(needs_time)
    features = {suffix: frame for suffix in ("user", "item") if (frame := files.read_features(suffix)) is not None}
    for suffix in (*files.layout.additional, *(("kg", "link") if graph else ())):
        files.check_additional(suffix)
    files.check_names()
    return _summarize(files, events, features, sequential)


class _Files:
    """The files of a data set: checks their columns, and reads those that the findings need.

    Args:
        folder: Folder of the files.
        name: Name of the set.
        layout: Their layout.
        fields: RecBole's settings.
    """

    def __init__(self, folder: Path, name: str, layout: Layout, fields: Mapping[str, Any]) -> None:
        self.folder, self.name, self.layout, self.fields = folder, name, layout, fields
        self.filtered = () if layout.benchmark else tuple(fields.get("val_interval") or ())
        self.digest = hashlib.sha256()
        self.warnings: list[str] = []
        self.columns: dict[str, list[Column]] = {}

    @property
    def interactions(self) -> Path:
        """The file of interactions, or the first of the benchmark files."""
        part = f"{self.layout.benchmark[0]}." if self.layout.benchmark else ""
        return self.folder / f"{self.name}.{part}inter"

    def read_interactions(self, needs_time: bool) -> pd.DataFrame:
        """Read user, item, time and filtered columns of the interactions."""
        parts = [f"{part}.inter" for part in self.layout.benchmark] or ["inter"]
        frames = [self._read_part(self.folder / f"{self.name}.{part}", needs_time) for part in parts]
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    def _read_part(self, path: Path, needs_time: bool) -> pd.DataFrame:
        if not path.is_file():
            raise DataError(f"{path} is missing: {describe_source(self.name)}")
        layout = self.layout
        needed = [(layout.user, "token"), (layout.item, "token"), *([(layout.time, "float")] if needs_time else [])]
        frame = self._read(path, "inter", needed, self.digest)
        if needs_time and len(frame):
            _check_times(path, frame[layout.time].to_numpy(), layout)
        missing = (frame[layout.user].isna() | frame[layout.item].isna()).to_numpy()
        if missing.any():
            line = find_line(path, layout, int(missing.argmax()))
            fate = "are read as if they had the same one" if layout.benchmark else "will be dropped"
            rows = count(int(missing.sum()), "row")
            self.warnings.append(f"{path}: {rows} without user or item {fate} (first: line {line})")
        return frame

    def read_exact_times(self, events: pd.DataFrame) -> pd.Series | None:
        """Read the times by which RecBole orders the interactions; None if they are not loaded."""
        layout, fields = self.layout, self.fields
        if layout.time not in events:
            return None
        order = (fields.get("eval_args") or {}).get("order", "TO")
        if layout.benchmark or order != "TO" or fields.get("exact_time_order") is False:
            return events[layout.time]
        header = f"{layout.time}:float"
        return read_exact_times(self.interactions, header, events[layout.time], layout.separator, layout.encoding)

    def read_features(self, suffix: str) -> pd.DataFrame | None:
        """Read id and filtered columns of the file of users or items; None if there is none, or it is not loaded."""
        path, key = self.folder / f"{self.name}.{suffix}", self.layout.user if suffix == "user" else self.layout.item
        if not path.exists() or not self.layout.is_any_loaded(suffix):
            return None
        frame = self._read(path, suffix, [(key, "token")])
        if frame.empty:
            raise DataError(f"{path} has no rows: write them below the header, or leave {suffix} out of load_col")
        ids = frame[key]
        for number, what in (
            (ids.isna().sum(), f"without {key}"),
            (ids.dropna().duplicated().sum(), "with an earlier"),
        ):
            if number:
                what = what if what.endswith(key) else f"{what} {key}"
                self.warnings.append(f"{path}: {count(int(number), 'row')} {what} will be dropped")
        return frame

    def check_additional(self, suffix: str) -> None:
        """Check an additional file, such as ``.itememb`` or ``.kg``."""
        path = self.folder / f"{self.name}.{suffix}"
        if not path.is_file():
            remedy = "choose a model that does not read it"
            remedy = f"remove {suffix!r} from additional_feat_suffix" if suffix in self.layout.additional else remedy
            raise DataError(f"{path} is missing: create it, or {remedy}")
        if self.layout.is_any_loaded(suffix):
            self._read(path, suffix, [])

    def _read(self, path: Path, suffix: str, needed: list[tuple[str, str]], digest: Any = None) -> pd.DataFrame:
        columns = check_columns(path, suffix, needed, self.layout, digest, self.warnings)
        self.columns.setdefault(suffix, columns)
        texts = [key for key, kind in needed if kind == "token"]
        texts += [column.name for column in columns if column.name in self.filtered and column.type == "token"]
        frame = read_values(path, columns, self.layout, texts)
        keys = [*texts, self.layout.time, *self.filtered]
        return frame[[name for name in dict.fromkeys(keys) if name in frame and _is_single(columns, name)]]

    def check_names(self) -> None:
        """Check that no two files have a column of the same name.

        Ids may be both in the interactions and in their file, and in ``.link``, whose columns are not fields of
        RecBole.
        """
        where: dict[str, str] = {}
        shared = {(self.layout.user, "user"), (self.layout.item, "item")}
        for suffix, columns in self.columns.items():
            for column in columns if suffix != "link" else ():
                other = where.setdefault(column.name, suffix)
                if other != suffix and not (other == "inter" and (column.name, suffix) in shared):
                    raise DataError(
                        f"{self.folder}: column {column.name} is in both {self.name}.{other} and {self.name}.{suffix}, "
                        f"and RecBole has one place for it: rename one, or leave one out of load_col"
                    )


def _is_single(columns: list[Column], name: str) -> bool:
    """Return True if a column contains single values, not sequences."""
    return any(column.name == name and column.type in ("token", "float") for column in columns)


def _check_times(path: Path, times: np.ndarray, layout: Layout) -> None:
    bad = ~np.isfinite(times)
    if bad.any():
        row = int(bad.argmax())
        what = "is missing" if np.isnan(times[row]) else f"is {times[row]}"
        raise DataError(
            f"{path} line {find_line(path, layout, row)}, column {layout.time}: the time {what} "
            f"({count(int(bad.sum()), 'such row')}): every row needs a number, or remove the row"
        )


def _summarize(
    files: _Files, events: pd.DataFrame, features: Mapping[str, pd.DataFrame], sequential: bool
) -> AtomicSummary:
    path, layout, fields = str(files.interactions), files.layout, files.fields
    whole = events[layout.user].notna() & events[layout.item].notna()
    if not whole.any():
        raise DataError(f"{path} has no rows with a user and an item: write the interactions below the header")
    exact = files.read_exact_times(events)
    found = collect_findings(events, features, layout, fields, sequential=sequential, times=exact)
    check_findings(found, path, fields, sequential=sequential)
    notes = [*files.warnings, *list_notes(found, path, layout, fields.get("eval_args"))]
    complete = next((step for step in found.steps if step.name == WITHOUT_IDS), found.steps[0])
    times = events[layout.time][whole] if layout.time in events else None
    return AtomicSummary(
        users=complete.users,
        items=complete.items,
        interactions=int(whole.sum()),
        sha256=files.digest.hexdigest(),
        span=None if times is None else (float(times.min()), float(times.max())),
        warnings=tuple(notes),
        findings=found,
    )
