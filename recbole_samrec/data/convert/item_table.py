"""A user's table of items with their attributes becomes the lines of an ``.item`` file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recbole_samrec.data.convert.arrow_table import ArrowTable, is_text
from recbole_samrec.data.convert.frame_columns import (
    check_text,
    convert_further,
    convert_ids,
    is_name,
    reject,
    require_name,
)
from recbole_samrec.data.id_types import TEXT
from recbole_samrec.data.validate.layout import Layout
from recbole_samrec.utils.errors import DataError

TITLE = "items"
"""Name of the table in messages, if it is a frame."""


@dataclass(frozen=True)
class ItemTable:
    """Items with their attributes.

    Attributes:
        lines: Columns named by their headers, such as ``brand:token``; the first one contains the ids.
        notes: Notes for the user, one line each.
    """

    lines: pd.DataFrame
    notes: tuple[str, ...]


def read_items(source: Any, column: str, kind: str, events: pd.Series, settings: Mapping[str, Any]) -> ItemTable:
    """Check a table of items, and convert its columns.

    Numbers become ``float``, text ``token``, lists of text or of whole numbers ``token_seq``, and lists of decimal
    numbers ``float_seq``. The same items are ranked as without attributes: those without events are left out, and those
    of events without a row get one with empty attributes.

    Args:
        source: Frame of pandas or polars, or the path of a Parquet file, with one row for each item.
        column: Column of the events' table with the items' ids; the ids of this table have the same name, or RecBole's.
        kind: Type of the ids of the events: ``string``, or a type of integers.
        events: Ids of the items of all events, as text.
        settings: RecBole's settings: name of the field, separator of lists, and ``load_col``.

    Raises:
        DataError: The table cannot be read, an item has no id or two rows, or a column cannot be converted.
    """
    table = ArrowTable.open(source, TITLE)
    field = Layout.from_settings(settings).item
    ids = _read_ids(table, _find_ids(table, column, field), kind)
    columns, notes = {f"{field}:token": ids}, []
    found, left_out = _read_columns(table, {column, field}, settings)
    for name, attribute in found.items():
        values, header, about = _convert_attribute(table, name, attribute, str(settings.get("seq_separator") or " "))
        columns[f"{name}:{header}"] = values
        notes += about
    if left_out:
        notes.append(f"{table.title}: left out: {', '.join(left_out)}; attributes are numbers, text, or lists of them")
    lines, known = pd.DataFrame(columns), events[events.fillna("") != ""].drop_duplicates()
    used = ids.isin(known).to_numpy()
    if not used.any():
        raise DataError(f"{table.title}: none of its items is in an event; check its column of ids")
    if not used.all():
        notes.append(f"{table.title}: {int((~used).sum()):,} of {len(lines):,} items are in no event and are left out")
    lacking = known[~known.isin(ids)]
    if len(lacking):
        count = f"{len(lacking):,} of {len(known):,} items of the events"
        notes.append(f"{table.title}: {count} have no row; theirs is added, with empty attributes")
    empty = pd.DataFrame({f"{field}:token": lacking})  # without a row, RecBole would drop the item and its events
    return ItemTable(pd.concat([lines[used], empty], ignore_index=True), tuple(notes))


def _find_ids(table: ArrowTable, column: str, field: str) -> str:
    found = next((name for name in (column, field) if name in table.names), None)
    if found is None:
        raise DataError(
            f"{table.title} has no column {column!r} with the items' ids: it has {', '.join(map(str, table.names))}"
        )
    table.require([found])
    return found


def _read_ids(table: ArrowTable, name: str, kind: str) -> pd.Series:
    """Read the ids, of which every row has another one."""
    column = table.read(name)
    missing = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type)).to_numpy()
    reject(column, missing, table.name_row, name, "an id: every row needs one; give it, or remove the row")
    ids, own = convert_ids(table, name)
    if (own == TEXT) != (kind == TEXT):
        words = [("text" if one == TEXT else "integers") for one in (own, kind)]
        raise DataError(
            f"{table.title}, column {name}: its ids are {words[0]}, and those of the events {words[1]}; convert one of "
            "them"
        )
    twice = ids.duplicated().to_numpy()
    reject(column, twice, table.name_row, name, "the id of another item: an item has one row; remove the others")
    return ids


def _read_columns(
    table: ArrowTable, ids: Collection[str], settings: Mapping[str, Any]
) -> tuple[dict[str, pa.ChunkedArray], list[str]]:
    """Read all columns, or those that ``load_col`` names; also list those of all that cannot be converted."""
    wanted = (settings.get("load_col") or {}).get("item")
    if wanted and wanted != "*":
        names = [name for name in wanted if name not in ids]
        table.require(names)
        for name in names:
            require_name(table, name)
        return {name: table.read(name) for name in names}, []
    names = [name for name in table.names if name not in ids]
    columns = {name: table.read(name) for name in names if is_name(name)}
    fine = {name: column for name, column in columns.items() if _is_attribute(column.type)}
    return fine, [str(name) for name in names if name not in fine]


def _is_attribute(kind: pa.DataType) -> bool:
    if _is_list(kind):
        return _is_attribute(kind.value_type) and not _is_list(kind.value_type)
    return bool(is_text(kind) or pa.types.is_boolean(kind) or _is_number(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _convert_attribute(
    table: ArrowTable, name: str, column: pa.ChunkedArray, separator: str
) -> tuple[pd.Series, str, list[str]]:
    """Convert an attribute; return its values, RecBole's type, and notes."""
    if not _is_list(column.type):
        return (*convert_further(table, name, column), [])
    decimal = pa.types.is_floating(column.type.value_type)
    parts = column.combine_chunks()
    empty = pc.is_null(pc.list_flatten(parts)).to_numpy(zero_copy_only=False)
    if empty.any():
        raise DataError(f"{table.title}, column {name}: a list contains nothing as a value; remove such values")
    rows = [None if one is None else [str(value) for value in one] for one in parts.to_pylist()]
    joined = sum(separator in value for row in rows if row for value in row)
    texts = pd.Series([separator.join(value.replace(separator, "_") for value in row or ()) for row in rows])
    check_text(table, name, pa.chunked_array([pa.array(texts)]))
    note = f"{table.title}, column {name}: {separator!r} within a value became '_' ({joined:,} values)"
    return texts, "float_seq" if decimal else "token_seq", [note] * bool(joined)
