"""Columns of a user's table become columns of an atomic file: ids, times, numbers and text, or one clear error."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recbole_samrec.data.convert.arrow_table import ArrowTable, is_text
from recbole_samrec.data.convert.numbers import convert_times
from recbole_samrec.data.id_types import TEXT
from recbole_samrec.utils.errors import DataError

_EXACT = 2**53
"""First integer that float64 does not tell from the next one."""
_NO_NAME = re.compile(r'[\t\r\n":]|^\s*$')
_FORBIDDEN = re.compile(r"[\x00\r\n]")


def convert_ids(table: ArrowTable, name: str) -> tuple[pd.Series, str]:
    """Write ids as text, and return their type; whole numbers, as columns with gaps have, become integers."""
    column = table.read(name)
    if pa.types.is_floating(column.type):
        numbers = column.to_numpy()
        fine = ~(np.isinf(numbers) | (np.abs(numbers) >= _EXACT) | (numbers != np.trunc(numbers))) | np.isnan(numbers)
        reject(column, ~fine, table.name_row, name, "an id: ids are integers or text")
        column = pa.chunked_array([pa.array(numbers, from_pandas=True).cast(pa.int64())])
    if pa.types.is_integer(column.type):
        return column.cast(pa.string()).to_pandas(), str(column.type)
    if pa.types.is_null(column.type):
        raise DataError(f"{table.title}, column {name}: no row has an id: give one for each event")
    if not is_text(column.type):
        raise DataError(
            f"{table.title}, column {name}: ids are integers or text, and these have type {column.type}: convert them, "
            "such as by astype(str)"
        )
    return check_text(table, name, column), TEXT


def check_text(table: ArrowTable, name: str, column: pa.ChunkedArray) -> pd.Series:
    """Check that text can be written to a line of a file."""
    texts = column.cast(pa.large_string()).to_pandas()
    bad = texts.str.contains(_FORBIDDEN, na=False).to_numpy(dtype=bool)
    reject(column, bad, table.name_row, name, "a text in one line: replace line ends and null characters")
    return texts


def convert_event_times(table: ArrowTable, name: str) -> tuple[pd.Series, list[str]]:
    """Keep numbers, and turn dates into Unix seconds; every row needs a time."""
    column = table.read(name)
    kind = column.type
    missing = pc.is_null(column, nan_is_null=pa.types.is_floating(kind)).to_numpy()
    reject(column, missing, table.name_row, name, "a time: every row needs one; give it, or remove the row")
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _convert_dates(table, name, column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        times, notes = column.to_pandas(), []
    elif is_text(kind):
        times, note = convert_times(column.to_pandas().rename(name), table.name_row)
        notes = [f"{table.title}: {note}"]
    else:
        raise DataError(f"{table.title}, column {name}: times are numbers or dates, and these have type {kind}")
    infinite = ~np.isfinite(times.to_numpy(dtype=np.float64))
    reject(column, infinite, table.name_row, name, "a finite time: correct it, or remove the row")
    return times, notes


def _convert_dates(table: ArrowTable, name: str, column: pa.ChunkedArray) -> tuple[pd.Series, list[str]]:
    """Turn dates and timestamps of any zone into Unix seconds."""
    notes = [f"{table.title}: {name} contains dates, which became Unix seconds (UTC if no zone is given)"]
    if getattr(column.type, "unit", "") == "ns" and (column.cast(pa.int64()).to_numpy() % 1000 != 0).any():
        notes.append(f"{table.title}: {name} is finer than a microsecond; times are compared down to the microsecond")
    zone = getattr(column.type, "tz", None)
    micros = pd.Series(column.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64()).to_numpy())
    return (micros // 10**6 if (micros % 10**6 == 0).all() else micros / 10**6), notes


def is_name(name: object) -> bool:
    """Return True if a column of this name can be in the header of an atomic file."""
    return isinstance(name, str) and not _NO_NAME.search(name)


def require_name(table: ArrowTable, name: str) -> None:
    """Check that a column of this name can be in the header of an atomic file.

    Args:
        table: The table.
        name: Name of the column.

    Raises:
        DataError: It cannot.
    """
    if not is_name(name):
        raise DataError(
            f"{table.title}: column {name!r} cannot be loaded under this name: rename it, without ':' and tabs"
        )


def convert_further(table: ArrowTable, name: str, column: pa.ChunkedArray) -> tuple[pd.Series, str]:
    """Convert a column to numbers or text, and return RecBole's type of it."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type):
        return _convert_floats(table, name, column), "float"
    if is_text(column.type):
        return check_text(table, name, column), "token"
    raise DataError(
        f"{table.title}, column {name}: columns to load are numbers or text, and this one has type {column.type}: "
        "convert it, or leave it out of load_col"
    )


def _convert_floats(table: ArrowTable, name: str, column: pa.ChunkedArray) -> pd.Series:
    try:
        return column.cast(pa.float64()).to_pandas()
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{table.title}, column {name}: it has an integer beyond 2**53, which is no exact number in RecBole: leave "
            "the column out, or make it text, such as by astype(str)"
        ) from error


def reject(column: pa.ChunkedArray, bad: np.ndarray, name_row: Callable[[int], str], name: str, wanted: str) -> None:
    """Raise an error for the first bad cell.

    Args:
        column: The column.
        bad: Whether each of its cells is bad.
        name_row: Function that names a row in messages.
        name: Name of the column.
        wanted: What a cell should be, such as ``an id: ids are integers or text``.

    Raises:
        DataError: A cell is bad.
    """
    if bad.any():
        row = int(bad.argmax())
        value = column[row].as_py()
        shown = "nothing" if value is None or value != value else repr(value)
        number = f" ({int(bad.sum()):,} such rows)" if bad.sum() > 1 else ""
        raise DataError(f"{name_row(row)}, column {name}: {shown} is not {wanted}{number}")
