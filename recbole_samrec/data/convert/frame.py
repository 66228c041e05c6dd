"""Store a user's own table, a data frame or a Parquet file, as a data set that is named after its content.

RecBole reads only files, also in Ray's processes, and a finished run has to find its data again. A table is therefore
checked and written once as an atomic file. The same table is found again; a different table gets a different name.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from recbole_samrec.data.convert.arrow_table import ArrowTable
from recbole_samrec.data.convert.atomic import stage_dataset
from recbole_samrec.data.convert.frame_columns import convert_event_times, convert_further, convert_ids, require_name
from recbole_samrec.data.convert.item_table import read_items
from recbole_samrec.data.id_types import ORIGIN
from recbole_samrec.data.validate.layout import Layout
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.files import hash_files


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


def store_table(
    source: Any, roles: Roles, settings: Mapping[str, Any], data_path: Path, items: Any = None
) -> StoredTable:
    """Check a table and store it, unless it is stored already.

    Rows keep their order and number. A row without user or item is stored, and reported and dropped as one of a file.

    Args:
        source: Frame of pandas or polars, or the path of a Parquet file.
        roles: Its columns with the user, the item and the time.
        settings: RecBole's settings: names of the fields, and ``load_col``, which names further columns.
        data_path: Folder with one folder for each data set.
        items: Table of items with their attributes; None for none. See
            :func:`~recbole_samrec.data.convert.item_table.read_items`.

    Raises:
        DataError: A table cannot be read, a column is missing or duplicated, or a cell is not an id, time or number.
    """
    table = ArrowTable.open(source)
    layout = Layout.from_settings(settings)
    fields = _find_columns(table, roles, layout)
    columns, types, notes = _convert_roles(table, fields, layout)
    further = _list_further(table, fields, settings)
    for name in further:
        require_name(table, name)
        values, kind = convert_further(table, name, table.read(name))
        columns[f"{name}:{kind}"] = values
    unused = [str(name) for name in table.names if name not in {*fields.values(), *further}]
    if unused:
        notes.append(f"{table.title}: not loaded: {', '.join(unused)}; load_col names columns to load")
    origin = {"source": table.title, "columns": {**fields, **{name: name for name in further}}, "types": types}
    tables = {"inter": pd.DataFrame(columns)}
    if items is not None:
        events = columns[f"{layout.item}:token"]
        read = read_items(items, fields[layout.item], types[layout.item], events, settings)
        tables["item"], notes = read.lines, [*notes, *read.notes]
    name = _store(tables, table.stem, origin, data_path)
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
            raise DataError(
                f"{table.title} has no column {field!r}: it has {shown}; name the {role} column with {role}="
            )
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
        columns[f"{field}:token"], types[field] = convert_ids(table, fields[field])
    if layout.time in fields:
        columns[f"{layout.time}:float"], notes = convert_event_times(table, fields[layout.time])
    return columns, types, notes


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


def _store(tables: Mapping[str, pd.DataFrame], stem: str, origin: Mapping[str, Any], data_path: Path) -> str:
    """Write the files of a data set, and return its name, which ends in a hash of their content and the types of ids.

    Args:
        tables: Lines of the files by their suffixes; those of the events come first.
        stem: Begin of the name.
        origin: What the data set was made of.
        data_path: Folder with one folder for each data set.
    """
    if tables["inter"].empty:
        raise DataError(f"{origin['source']} has no rows: give one row for each event")
    try:
        data_path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".table-", dir=data_path) as scratch:
            hashes = {}
            for suffix, frame in tables.items():
                frame.to_csv(Path(scratch, suffix), sep="\t", index=False, lineterminator="\n", encoding="utf-8")
                hashes[suffix] = hash_files([Path(scratch, suffix)])
            about = f"{' '.join(hashes.values())} {json.dumps(origin['types'], sort_keys=True)}"
            name = f"{stem}-{hashlib.sha256(about.encode()).hexdigest()[:12]}"
            folder = data_path / name
            if (folder / f"{name}.inter").exists():
                _check_unchanged(folder, hashes)
                return name
            with stage_dataset(folder, name) as stage:
                for suffix in tables:
                    os.replace(Path(scratch, suffix), stage / f"{name}.{suffix}")
                text = json.dumps({**origin, "sha256": hashes["inter"]}, indent=2)
                (stage / ORIGIN).write_text(text + "\n", encoding="utf-8")
            return name
    except OSError as error:
        raise DataError(f"data_path={data_path}: the folder cannot be written ({error.strerror or error})") from error


def _check_unchanged(folder: Path, hashes: Mapping[str, str]) -> None:
    for suffix, sha256 in hashes.items():
        file = folder / f"{folder.name}.{suffix}"
        if not file.exists() or hash_files([file]) != sha256:
            raise DataError(f"{file} has changed since it was written: remove its folder to write it again")
