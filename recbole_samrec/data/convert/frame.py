"""Store a user's own table, a data frame or a Parquet file, as a data set that is named after its content.

RecBole reads only files, also in Ray's processes, and a finished run has to find its data again. A table is therefore
checked and written once as an atomic file. The same table is found again; a different table gets a different name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recbole_samrec.data.convert.arrow_table import ArrowTable, is_text
from recbole_samrec.data.convert.atomic import stage_dataset
from recbole_samrec.data.convert.numbers import convert_times
from recbole_samrec.data.id_types import ORIGIN, TEXT
from recbole_samrec.data.validate.layout import Layout
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.files import hash_files

_EXACT = 2**53
"""Integers from which on float64 has gaps."""
_NO_NAME = re.compile(r'[\t\r\n":]|^\s*$')
_FORBIDDEN = re.compile(r"[\x00\r\n]")


class Roles(NamedTuple):
    """Columns with the user, the item and the time; None stands for RecBole's names."""

    user: str | None = None
    item: str | None = None
    time: str | None = None


USUAL = Roles()
"""Columns with RecBole's names."""


@dataclass(frozen=True)
class StoredTable:
    """A table that was stored as a data set.

    Args:
        name: Name of the data set.
        notes: Notes for the user, one line each.
    """

    name: str
    notes: tuple[str, ...]


def store_table(source: Any, roles: Roles, settings: Mapping[str, Any], data_path: Path) -> StoredTable:
    """Check a table and store it, unless it is stored already.

    Rows keep their order and number. A row without user or item is stored, and reported and dropped as one of a file.

    Args:
        source: Frame of pandas or polars, or the path of a Parquet file.
        roles: Its columns with the user, the item and the time.
        settings: RecBole's settings: names of the fields, and ``load_col``, which names further columns.
        data_path: Folder with one folder for each data set.

    Raises:
        DataError: The table cannot be read, a column is missing or duplicated, or a cell is not an id, time or number.
    """
    table = ArrowTable.open(source)
    layout = Layout.from_settings(settings)
    fields = _find_columns(table, roles, layout)
    columns, types, notes = _convert_roles(table, fields, layout)
    further = _list_further(table, fields, settings)
    for name in further:
        values, kind = _convert_further(table, name)
        columns[f"{name}:{kind}"] = values
    unused = [str(name) for name in table.names if name not in {*fields.values(), *further}]
    if unused:
        notes.append(f"{table.title}: not loaded: {', '.join(unused)}; load_col names columns to load")
    origin = {"source": table.title, "columns": {**fields, **{name: name for name in further}}, "types": types}
    name = _store(pd.DataFrame(columns), table.stem, origin, data_path)
    return StoredTable(name, tuple(notes))


def _find_columns(table: ArrowTable, roles: Roles, layout: Layout) -> dict[str, str]:
    """Find the column of the table for each field of RecBole; the time may be missing if it was not named."""
    fields = {"user": layout.user, "item": layout.item, "time": layout.time}
    named = {fields[role]: column for role, column in roles._asdict().items() if column is not None}
    table.require(list(named.values()))
    for role, field in fields.items():
        if field not in named and field in table.names:
            named[field] = field
        elif field not in named and role != "time":
            shown = ", ".join(map(str, table.names))
            raise DataError(f"{table.title} has no column {field!r}: it has {shown}; name the {role}'s with {role}=")
    found = {field: named[field] for field in fields.values() if field in named}
    if len(set(found.values())) < len(found):
        raise DataError(f"{table.title}: user, item and time are {', '.join(found.values())}: name different columns")
    table.require(list(found.values()))
    return found


def _convert_roles(
    table: ArrowTable, fields: Mapping[str, str], layout: Layout
) -> tuple[dict[str, pd.Series], dict[str, str], list[str]]:
    """Convert user, item and time; return the columns by their headers, the types of the ids, and notes."""
    columns: dict[str, pd.Series] = {}
    types: dict[str, str] = {}
    notes: list[str] = []
    for field in (layout.user, layout.item):
        columns[f"{field}:token"], types[field] = _convert_ids(table, fields[field])
    if layout.time in fields:
        columns[f"{layout.time}:float"], notes = _convert_times(table, fields[layout.time])
    return columns, types, notes


def _convert_ids(table: ArrowTable, name: str) -> tuple[pd.Series, str]:
    """Write ids as text, and return their type; whole numbers, as columns with gaps have, become integers."""
    column = table.read(name)
    if pa.types.is_floating(column.type):
        numbers = column.to_numpy()
        fine = ~(np.isinf(numbers) | (np.abs(numbers) > _EXACT) | (numbers != np.trunc(numbers))) | np.isnan(numbers)
        _reject(column, ~fine, table.name_row, name, "an id: ids are integers or text")
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
    return _check_text(table, name, column), TEXT


def _check_text(table: ArrowTable, name: str, column: pa.ChunkedArray) -> pd.Series:
    """Check that text can be written to a line of a file."""
    texts = column.cast(pa.large_string()).to_pandas()
    bad = texts.str.contains(_FORBIDDEN, na=False).to_numpy(dtype=bool)
    _reject(column, bad, table.name_row, name, "a text in one line: replace line ends and null characters")
    return texts


def _convert_times(table: ArrowTable, name: str) -> tuple[pd.Series, list[str]]:
    """Keep numbers, and turn dates into Unix seconds; every row needs a time."""
    column = table.read(name)
    kind = column.type
    missing = pc.is_null(column, nan_is_null=pa.types.is_floating(kind)).to_numpy()
    _reject(column, missing, table.name_row, name, "a time: every row needs one; give it, or remove the row")
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
    _reject(column, infinite, table.name_row, name, "a finite time: correct it, or remove the row")
    return times, notes


def _convert_dates(table: ArrowTable, name: str, column: pa.ChunkedArray) -> tuple[pd.Series, list[str]]:
    """Turn dates and timestamps of any zone into Unix seconds."""
    notes = [f"{table.title}: {name} contains dates, which became Unix seconds (UTC if no zone is given)"]
    if getattr(column.type, "unit", "") == "ns" and (column.cast(pa.int64()).to_numpy() % 1000 != 0).any():
        notes.append(f"{table.title}: {name} is finer than a microsecond, down to which times are compared")
    zone = getattr(column.type, "tz", None)
    micros = pd.Series(column.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64()).to_numpy())
    return (micros // 10**6 if (micros % 10**6 == 0).all() else micros / 10**6), notes


def _list_further(table: ArrowTable, fields: Mapping[str, str], settings: Mapping[str, Any]) -> list[str]:
    """List the other columns that ``load_col`` names."""
    load = settings.get("load_col")
    wanted = (load or {}).get("inter") or ()
    if wanted == "*" or ("load_col" in settings and load is None):
        wanted = [name for name in table.names if name not in fields.values()]
    skipped = {*fields, *((settings.get("unload_col") or {}).get("inter") or ())}
    further = [name for name in wanted if name not in skipped]
    for field, column in fields.items():
        if column in further:
            raise DataError(f"load_col: the column {column!r} of {table.title} is loaded as {field!r}: write {field!r}")
    table.require(further)
    return further


def _convert_further(table: ArrowTable, name: str) -> tuple[pd.Series, str]:
    """Convert a column to numbers or text, and return RecBole's type of it."""
    if not isinstance(name, str) or _NO_NAME.search(name):
        raise DataError(f"{table.title}: column {name!r} cannot be loaded by this name: rename it, without : and tabs")
    column = table.read(name)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.float64()).to_pandas(), "float"
    if is_text(column.type):
        return _check_text(table, name, column), "token"
    raise DataError(
        f"{table.title}, column {name}: columns to load are numbers or text, and this one has type {column.type}: "
        "convert it, or leave it out of load_col"
    )


def _reject(column: pa.ChunkedArray, bad: np.ndarray, name_row: Callable[[int], str], name: str, wanted: str) -> None:
    """Raise an error for the first bad cell."""
    if bad.any():
        row = int(bad.argmax())
        value = column[row].as_py()
        shown = "nothing" if value is None or value != value else repr(value)
        number = f" ({int(bad.sum()):,} such rows)" if bad.sum() > 1 else ""
        raise DataError(f"{name_row(row)}, column {name}: {shown} is not {wanted}{number}")


def _store(frame: pd.DataFrame, stem: str, origin: Mapping[str, Any], data_path: Path) -> str:
    """Write the data set of a table, and return its name, which ends in a hash of the content and the types of ids."""
    if frame.empty:
        raise DataError(f"{origin['source']} has no rows: give one row for each event")
    try:
        data_path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".table-", dir=data_path) as scratch:
            written = Path(scratch, "inter")
            frame.to_csv(written, sep="\t", index=False, lineterminator="\n", encoding="utf-8")
            sha256 = hash_files([written])
            about = f"{sha256} {json.dumps(origin['types'], sort_keys=True)}"
            name = f"{stem}-{hashlib.sha256(about.encode()).hexdigest()[:12]}"
            folder = data_path / name
            if (file := folder / f"{name}.inter").exists():
                if hash_files([file]) != sha256:
                    raise DataError(f"{file} has changed since it was made: remove its folder to have it made again")
                return name
            with stage_dataset(folder, name) as stage:
                os.replace(written, stage / file.name)
                text = json.dumps({**origin, "sha256": sha256}, indent=2)
                (stage / ORIGIN).write_text(text + "\n", encoding="utf-8")
            return name
    except OSError as error:
        raise DataError(f"data_path={data_path}: the folder cannot be written ({error.strerror or error})") from error
