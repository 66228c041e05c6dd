"""Sequences of events as one flat array, from a data set or from a file, and the rows that a model reads of them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from recbole_samrec.data.convert.source import first_line, open_text
from recbole_samrec.utils.errors import DataError

COLUMNS = {
    "user": ("user", "user_id", "sequence", "sequence_id", "session", "session_id"),
    "item": ("item", "item_id"),
    "time": ("timestamp", "time"),
}
"""Names that columns of a file of sequences may have, beside those of the data set's own fields."""


@dataclass(frozen=True)
class Sequences:
    """Sequences of events, each in the order of time.

    Args:
        names: What each sequence is called, shape ``[S]``.
        fields: Values of all events by field, each of shape ``[N, ...]``.
        starts: Event with which each sequence begins, shape ``[S]``.
        ends: Event before which each sequence ends, shape ``[S]``.
        users: For sequences of known users their ids, shape ``[S]``.
    """

    names: np.ndarray
    fields: Mapping[str, torch.Tensor]
    starts: np.ndarray
    ends: np.ndarray
    users: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    def select(self, which: np.ndarray | slice) -> Sequences:
        """Some of the sequences."""
        users = None if self.users is None else self.users[which]
        return Sequences(self.names[which], self.fields, self.starts[which], self.ends[which], users)

    def list_values(self, field: str) -> list[np.ndarray]:
        """All values of a field, for each sequence."""
        flat = self.fields[field].numpy()
        return [flat[start:end] for start, end in zip(self.starts, self.ends, strict=True)]

    def take_last(self, length: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """The last events of each sequence, left-aligned and filled up with 0.

        Args:
            length: Most events of a row, ``L``.

        Returns:
            Values by field, each of shape ``[S, L, ...]``, and the number of events of each row, shape ``[S]``.
        """
        counts = torch.from_numpy(np.minimum(self.ends - self.starts, length))
        inside, events = align_left(torch.from_numpy(self.ends) - counts, counts, length)
        rows = {}
        for field, values in self.fields.items():
            rows[field] = torch.zeros((*inside.shape, *values.shape[1:]), dtype=values.dtype)
            rows[field][inside] = values[events]
        return rows, counts


def align_left(starts: torch.Tensor, lengths: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which cells of left-aligned rows are filled, and with which events.

    Args:
        starts: First event of each row, any shape ``[...]``.
        lengths: Number of events of each row, of the same shape.
        width: Cells of a row, ``L``.

    Returns:
        A mask ``[..., L]`` of the cells that are filled, and the events that fill them, in their order.
    """
    place = torch.arange(width)
    inside = place < lengths.unsqueeze(-1)
    return inside, (starts.unsqueeze(-1) + place)[inside]


def collect_sequences(dataset: Any) -> Sequences:
    """The whole histories of all users of a RecBole data set that have any.

    Args:
        dataset: RecBole's data set, whose interactions are tensors, one row for each event.
    """
    users = dataset.inter_feat[dataset.uid_field].numpy()
    order: np.ndarray | slice = np.argsort(users, kind="stable")
    if dataset.time_field in dataset.inter_feat:
        dataset.sort(by=[dataset.uid_field, dataset.time_field])
        users, order = dataset.inter_feat[dataset.uid_field].numpy(), slice(None)
    fields = {f: dataset.inter_feat[f][order] for f in dataset.inter_feat.columns if f != dataset.uid_field}
    known, starts, counts = np.unique(users[order], return_index=True, return_counts=True)
    return Sequences(dataset.field2id_token[dataset.uid_field][known], fields, starts, starts + counts, known)


def read_sequences(source: Path | pd.DataFrame, dataset: Any) -> tuple[Sequences, list[str]]:
    """Read sequences from a table with a column for the sequence, one for the item and perhaps one for the time.

    The columns may be called ``user``, ``item`` and ``timestamp``, or as the fields of the data set, with or without
    their types as in RecBole's atomic files. Without times the order of the lines counts.

    Args:
        source: A CSV or TSV file, which may be gzipped, or a data frame.
        dataset: RecBole's data set, which knows the items.

    Returns:
        The sequences in the order in which they begin in the table, and what was left out, one line each.

    Raises:
        DataError: The table cannot be read, or nothing is left of it.
    """
    name = "sequences" if isinstance(source, pd.DataFrame) else str(source)
    frame = _read_frame(source, dataset) if isinstance(source, pd.DataFrame) else _read_file(source, dataset)
    names = frame["user"].drop_duplicates().dropna().to_numpy(dtype=object)
    ids = frame["item"].map(dataset.field2token_id[dataset.iid_field]).fillna(0).astype(np.int64)
    known = (ids > 0) & frame["user"].notna()
    notes = _describe_dropped(frame, known)
    frame = frame[known].assign(item=ids[known])
    if "time" in frame:
        frame = frame.sort_values("time", kind="stable")
    sequence = pd.Index(names).get_indexer(frame["user"])
    order = np.argsort(sequence, kind="stable")
    counts = np.bincount(sequence, minlength=len(names))
    if not counts.any():
        raise DataError(f"{name}: none of its items occurs in {dataset.dataset_name}; name them as the data set does")
    ends = np.cumsum(counts)
    items = torch.from_numpy(frame["item"].to_numpy()[order])
    sequences = Sequences(names, {dataset.iid_field: items}, ends - counts, ends)
    if (empty := names[counts == 0]).size:
        notes.append(f"nothing is left of {_list_some(empty)}, for which nothing is recommended")
    return sequences.select(np.flatnonzero(counts)), notes


def _describe_dropped(frame: pd.DataFrame, known: pd.Series) -> list[str]:
    empty = frame["user"].isna() | frame["item"].isna()
    notes = [f"{int(empty.sum()):,} events without sequence or item were left out"] if empty.any() else []
    unknown = frame.loc[~known & ~empty, "item"]
    if len(unknown):
        items = _list_some(unknown.unique())
        notes.append(f"{len(unknown):,} events were left out, the data set does not have their items: {items}")
    return notes


def _list_some(names: Iterable[Any], most: int = 3) -> str:
    names = list(map(str, names))
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _read_file(file: Path, dataset: Any) -> pd.DataFrame:
    """The columns ``user``, ``item`` and, if there is one, ``time`` of a file."""
    line = first_line(file)
    separator = max("\t,;|", key=line.count)
    header = next(csv.reader([line], delimiter=separator), [])
    places = _find_columns(header, dataset, f"{file} line 1", line)
    quoting = csv.QUOTE_NONE if all(":" in cell for cell in header) else csv.QUOTE_MINIMAL
    reading: dict[str, Any] = {
        "sep": separator,
        "header": None,
        "skiprows": 1,
        "usecols": list(places.values()),
        "dtype": str,
    }
    reading |= {"keep_default_na": False, "na_values": [""], "quoting": quoting}
    try:
        with open_text(file) as text:
            frame = pd.read_csv(text, **reading)
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{file}: there is no event below its first line; write one a line") from error
    except pd.errors.ParserError as error:
        raise DataError(f"{file} cannot be read: {str(error).strip()}; write one event a line") from error
    frame = pd.DataFrame({name: frame[place] for name, place in places.items()})
    if "time" in frame:
        frame["time"] = _parse_times(frame["time"], f"{file} line", 2)
    return frame


def _read_frame(table: pd.DataFrame, dataset: Any) -> pd.DataFrame:
    """The columns ``user``, ``item`` and, if there is one, ``time`` of a data frame; ids as text, as in a file."""
    header = list(map(str, table.columns))
    places = _find_columns(header, dataset, "sequences", ", ".join(header))
    frame = pd.DataFrame({name: table.iloc[:, place].to_numpy() for name, place in places.items()})
    for name in ("user", "item"):
        frame[name] = frame[name].map(str, na_action="ignore").astype(object)
    if "time" in frame:
        frame["time"] = _parse_times(frame["time"], "sequences row", 0)
    return frame


def _find_columns(header: list[str], dataset: Any, where: str, shown: str) -> dict[str, int]:
    """The positions of the columns for ``user`` and ``item``, and for ``time`` if there is one."""
    own = {"user": dataset.uid_field, "item": dataset.iid_field, "time": dataset.time_field}
    places = {name: _find_column(header, (own[name], *COLUMNS[name])) for name in own}
    for name in ("user", "item"):
        if places[name] is None:
            raise DataError(f"{where} has no column {name}: it has {shown[:100]!r}; name one user and one item")
    return {name: place for name, place in places.items() if place is not None}


def _find_column(header: list[str], names: Iterable[str]) -> int | None:
    """Where the first of some names stands in a header whose cells may have RecBole's types."""
    cells = [cell.strip().partition(":")[0].lower() for cell in header]
    return next((cells.index(name.lower()) for name in names if name and name.lower() in cells), None)


def _parse_times(column: pd.Series, where: str, first: int) -> pd.Series:
    """Times as numbers or dates; all must be of one kind. ``first`` is the number of the first row, for the message."""
    if pd.api.types.is_datetime64_any_dtype(column) and not column.isna().any():
        return column
    times = pd.to_numeric(column, errors="coerce")
    if times.isna().all():
        times = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        cell = "nothing" if pd.isna(column.iloc[row]) else repr(column.iloc[row])
        raise DataError(f"{where} {row + first}: the time {cell} is neither a number nor an ISO date as the others")
    return times
