"""Sequences of events as one flat array, from a data set or a file, and their last events as a model reads them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from recbole_samrec.data.convert.arrow_table import ArrowTable, is_text
from recbole_samrec.data.convert.cells import check_cells
from recbole_samrec.data.convert.frame_columns import convert_ids
from recbole_samrec.data.convert.source import first_line, open_text
from recbole_samrec.data.convert.table import PARQUET
from recbole_samrec.data.id_types import read_column_names
from recbole_samrec.data.spelling import find_alike
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.naming import list_some

COLUMNS = {
    "user": ("user", "user_id", "sequence", "sequence_id", "session", "session_id"),
    "item": ("item", "item_id"),
    "time": ("timestamp", "time"),
}
"""Names that columns of a file of sequences may have, in addition to those of the data set's fields."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Sequences:
    """Sequences of events, each in time order.

    Args:
        names: Name of each sequence, shape ``[S]``.
        fields: Values of all events by field, each of shape ``[N, ...]``.
        starts: First event of each sequence, shape ``[S]``.
        ends: One past the last event of each sequence, shape ``[S]``.
        users: Ids of the users, for sequences of known users, shape ``[S]``.
    """

    names: np.ndarray
    fields: Mapping[str, torch.Tensor]
    starts: np.ndarray
    ends: np.ndarray
    users: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    def select(self, which: np.ndarray | slice) -> Sequences:
        """Select sequences by number."""
        users = None if self.users is None else self.users[which]
        return Sequences(self.names[which], self.fields, self.starts[which], self.ends[which], users)

    def select_events(self, kept: np.ndarray) -> Sequences:
        """Select events; sequences may have none left.

        Args:
            kept: Whether an event is selected, shape ``[N]``.
        """
        before = np.concatenate([[0], np.cumsum(kept)])
        chosen = torch.from_numpy(np.flatnonzero(kept))
        fields = {name: values[chosen] for name, values in self.fields.items()}
        return Sequences(self.names, fields, before[self.starts], before[self.ends], self.users)

    def list_values(self, field: str) -> list[np.ndarray]:
        """List the values of a field, one array per sequence."""
        flat = self.fields[field].numpy()
        return [flat[start:end] for start, end in zip(self.starts, self.ends, strict=True)]

    def take_last(self, length: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Return the last events of each sequence, left-aligned and padded with 0.

        Args:
            length: Most events of a sequence, ``L``.

        Returns:
            Values by field, each of shape ``[S, L, ...]``, and the number of events of each sequence, shape ``[S]``.
        """
        counts = torch.from_numpy(np.minimum(self.ends - self.starts, length))
        inside, events = align_left(torch.from_numpy(self.ends) - counts, counts, length)
        padded = {}
        for field, values in self.fields.items():
            padded[field] = torch.zeros((*inside.shape, *values.shape[1:]), dtype=values.dtype)
            padded[field][inside] = values[events]
        return padded, counts


def align_left(starts: torch.Tensor, lengths: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Align sequences of consecutive events to the left.

    Args:
        starts: First event of each sequence, any shape ``[...]``.
        lengths: Number of events of each sequence, of the same shape.
        width: Number of positions, ``L``.

    Returns:
        A mask ``[..., L]`` of the positions with events, and the events at these positions, in order.
    """
    place = torch.arange(width)
    inside = place < lengths.unsqueeze(-1)
    return inside, (starts.unsqueeze(-1) + place)[inside]


def collect_sequences(dataset: Any) -> Sequences:
    """Collect the whole histories of all users of a RecBole data set that have events.

    Args:
        dataset: RecBole's data set, whose interactions are tensors, one per event.
    """
    users = dataset.inter_feat[dataset.uid_field].numpy()
    order: np.ndarray | slice = np.argsort(users, kind="stable")
    if dataset.time_field in dataset.inter_feat:
        dataset.sort(by=[dataset.uid_field, dataset.time_field])
        users, order = dataset.inter_feat[dataset.uid_field].numpy(), slice(None)
    fields = {f: dataset.inter_feat[f][order] for f in dataset.inter_feat.columns if f != dataset.uid_field}
    known, starts, counts = np.unique(users[order], return_index=True, return_counts=True)
    return Sequences(dataset.field2id_token[dataset.uid_field][known], fields, starts, starts + counts, known)


def read_sequences(source: Any, dataset: Any) -> tuple[Sequences, list[str]]:
    """Read sequences from a table with a column for the sequence, one for the item and perhaps one for the time.

    The columns may be named as in the frame that the data set was made of, like the fields of the data set, with or
    without their types as in RecBole's atomic files, or ``user``, ``item`` and ``timestamp``. Without times the order
    of the lines is used.

    Args:
        source: A CSV or TSV file, which may be gzipped, a Parquet file, or a frame of pandas or polars. With times the
            events may be in any order; equal times keep the order of the lines.
        dataset: RecBole's data set, which contains the items.

    Returns:
        The sequences in the order in which they begin in the table, and notes on what was skipped, one line each.

    Raises:
        DataError: The table cannot be read, or contains no item of the data set.
    """
    name = str(source) if isinstance(source, Path) else "sequences"
    notes: list[str] = []
    if isinstance(source, Path) and source.suffix.lower() not in PARQUET:
        frame = _read_file(source, dataset)
    else:
        frame, notes = _read_table(ArrowTable.open(source, name), dataset)
    for column in ("user", "item"):
        if frame[column].isna().all():
            raise DataError(f"{name}: no event has {'a user' if column == 'user' else 'an item'}; fill its column")
    names = frame["user"].drop_duplicates().dropna().to_numpy(dtype=object)
    ids = frame["item"].map(dataset.field2token_id[dataset.iid_field]).fillna(0).astype(np.int64)
    known = (ids > 0) & frame["user"].notna()
    notes += _describe_dropped(frame, known, dataset)
    if not known.any():
        raise DataError(
            f"{name}: none of its items is in {dataset.dataset_name}{_show_ids(frame['item'], dataset)}; use the item "
            f"ids of the data set"
        )
    frame = frame[known].assign(item=ids[known])
    if "time" in frame:
        frame = frame.sort_values("time", kind="stable")
    sequence = pd.Index(names).get_indexer(frame["user"])
    order = np.argsort(sequence, kind="stable")
    counts = np.bincount(sequence, minlength=len(names))
    ends = np.cumsum(counts)
    items = torch.from_numpy(frame["item"].to_numpy()[order])
    sequences = Sequences(names, {dataset.iid_field: items}, ends - counts, ends)
    if (empty := names[counts == 0]).size:
        notes.append(f"no recommendations for {list_some(empty)}, which have no known items")
    return sequences.select(np.flatnonzero(counts)), notes


def _show_ids(items: pd.Series, dataset: Any) -> str:
    """Show an id of a table and one of the data set, the same item if it is only spelled differently."""
    tokens, items = dataset.field2id_token[dataset.iid_field][1:], items.dropna()
    if not len(items) or not len(tokens):
        return ""
    alike = find_alike(items.unique(), tokens)
    here, there = (alike.here, alike.there) if alike else (items.iloc[0], str(tokens[0]))
    return f" ({here!r} here, {there!r} there)"


def _describe_dropped(frame: pd.DataFrame, known: pd.Series, dataset: Any) -> list[str]:
    empty = frame["user"].isna() | frame["item"].isna()
    notes = [f"{int(empty.sum()):,} events without sequence or item were skipped"] if empty.any() else []
    unknown = frame.loc[~known & ~empty, "item"]
    if len(unknown):
        items = list_some(unknown.unique())
        alike = find_alike(unknown.unique(), dataset.field2id_token[dataset.iid_field][1:])
        hint = f" (the data set has {alike.there!r} for {alike.here!r})" if alike else ""
        notes.append(f"{len(unknown):,} events with items that are not in the data set were skipped: {items}{hint}")
    return notes


def _read_file(file: Path, dataset: Any) -> pd.DataFrame:
    """Read the columns ``user``, ``item`` and, if there is one, ``time`` of a file."""
    line = first_line(file)
    separator = max("\t,;|", key=line.count)
    header = next(csv.reader([line], delimiter=separator), [])
    places = _find_columns(header, dataset, f"{file} line 1", line)
    check_cells(file, separator, "utf-8", header)
    reading: dict[str, Any] = {"sep": separator, "header": None, "skiprows": 1, "index_col": False, "dtype": str}
    reading |= {"usecols": list(places.values()), "keep_default_na": False, "na_values": [""]}
    try:
        with open_text(file) as text:
            frame = pd.read_csv(text, **reading)
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{file}: no events below its first line; write one event per line") from error
    except pd.errors.ParserError as error:
        raise DataError(f"{file} cannot be read: {str(error).strip()}; write one event per line") from error
    frame = pd.DataFrame({name: frame[place] for name, place in places.items()})
    if "time" in frame:
        frame["time"] = _parse_times(frame["time"], f"{file} line", 2)
    return frame


def _read_table(table: ArrowTable, dataset: Any) -> tuple[pd.DataFrame, list[str]]:
    """Read the columns ``user``, ``item`` and, if there is one, ``time`` of a table, ids as a run reads them."""
    header = list(map(str, table.names))
    places = _find_columns(header, dataset, table.title, ", ".join(header))
    names = {name: table.names[place] for name, place in places.items()}
    table.require(list(names.values()))
    frame = pd.DataFrame({name: convert_ids(table, names[name])[0].astype(object) for name in ("user", "item")})
    if "time" not in names:
        return frame, _note_dates(table, list(names.values()))
    times = table.read(names["time"]).to_pandas(date_as_object=False)
    return frame.assign(time=_parse_times(times, f"{table.title} row", 0)), []


def _note_dates(table: ArrowTable, used: list[Any]) -> list[str]:
    """Note the dates of a table without a column of times, which may be in another column."""
    others = [name for name, number in Counter(table.names).items() if number == 1 and name not in used]
    dates = [str(name) for name in others if _has_dates(table, name)]
    if not dates:
        return []
    unused = f"the dates in {' and '.join(dates)} are not used"
    return [f"{table.title}: its rows count as in order, and {unused}; name the column timestamp to sort by it"]


def _has_dates(table: ArrowTable, name: Any) -> bool:
    """Return True for a column of dates, or of text that begins with one."""
    try:
        column = table.read(name)
    except DataError:  # of several types
        return False
    if is_text(column.type):
        return bool(_DATE.match(next((cell.as_py() for cell in column if cell.is_valid), "")))
    return str(column.type).startswith(("date", "timestamp"))


def _find_columns(header: list[str], dataset: Any, where: str, shown: str) -> dict[str, int]:
    """Find the positions of the columns for ``user`` and ``item``, and for ``time`` if there is one."""
    fields = {"user": dataset.uid_field, "item": dataset.iid_field, "time": dataset.time_field}
    own = read_column_names(Path(dataset.dataset_path))
    places = {name: _find_column(header, (own.get(field), field, *COLUMNS[name])) for name, field in fields.items()}
    for name in ("user", "item"):
        if places[name] is None:
            raise DataError(f"{where} has no column {name}: it has {shown[:100]!r}; name the columns user and item")
    return {name: place for name, place in places.items() if place is not None}


def _find_column(header: list[str], names: Iterable[str | None]) -> int | None:
    """Find the position of the first of several names in a header whose cells may have RecBole's types."""
    cells = [cell.strip().partition(":")[0].lower() for cell in header]
    for name in filter(None, names):
        for spellings, spelling in ((header, name), (cells, name.lower())):
            if spelling in spellings:
                return spellings.index(spelling)
    return None


def _parse_times(column: pd.Series, where: str, first: int) -> pd.Series:
    """Parse times as numbers or dates, all of one kind; ``first`` is the number of the first line, for the message."""
    if pd.api.types.is_datetime64_any_dtype(column) and not column.isna().any():
        return column
    times = pd.to_numeric(column, errors="coerce")
    if times.isna().all():
        times = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        cell = "nothing" if pd.isna(column.iloc[row]) else repr(column.iloc[row])
        raise DataError(f"{where} {row + first}: the time {cell} is neither a number nor an ISO date like the others")
    return times
