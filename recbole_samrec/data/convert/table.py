"""Convert any CSV, TSV or Parquet file whose columns the user names."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from recbole_samrec.data.catalog import find_close_names
from recbole_samrec.data.convert.atomic import clean_text, join_words, write_frame
from recbole_samrec.data.convert.cells import check_cells
from recbole_samrec.data.convert.numbers import convert_numbers, convert_times, reject_cells
from recbole_samrec.data.convert.source import first_line, open_text
from recbole_samrec.data.exact_times import LARGEST_EXACT_INTEGER
from recbole_samrec.data.spelling import find_alike
from recbole_samrec.data.validate.layout import TYPES
from recbole_samrec.data.validate.read import list_missing_words
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.exact_floats import exact_floats

PARQUET = (".parquet", ".pq")
_DELIMITERS = ",\t;|"


class Columns(NamedTuple):
    """The names of the columns of an interaction table."""

    user: str
    item: str
    time: str
    rating: str | None = None


class ItemTable(NamedTuple):
    """Table of items: its file, the column with the item's id, and the columns to keep with their types."""

    path: Path
    item: str
    columns: Mapping[str, str]
    separator: str | None = None


def parse_item_columns(text: str) -> dict[str, str]:
    """Parse ``title:token_seq,price:float`` to a map from column to type.

    Raises:
        DataError: A part is not ``column:type``, or the type is not one of RecBole's four.
    """
    columns = {}
    for part in text.split(","):
        column, _, kind = part.strip().rpartition(":")
        if not column or kind not in TYPES:
            raise DataError(f"--item-columns {part.strip()!r} must be column:type, with type one of {', '.join(TYPES)}")
        columns[column] = kind
    return columns


def convert_table(
    source: Path,
    stage: Path,
    name: str,
    columns: Columns,
    *,
    items: ItemTable | None = None,
    delimiter: str | None = None,
    encoding: str = "utf-8",
) -> list[str]:
    """Write ``.inter`` from a table of interactions and, given one, ``.item`` from a table of items.

    Times may be numbers, which are kept, or ISO dates, which become Unix seconds. Rows without user or item are
    skipped, and so are items without interactions, because RecBole would rank them too.

    Args:
        source: CSV, TSV (gzipped or not) or Parquet file.
        stage: Folder to write to.
        name: Name of the data set.
        columns: The columns of ``source`` to use.
        items: The table of items.
        delimiter: Text between columns; by default inferred from the header.
        encoding: Encoding of the text files.

    Returns:
        Notes for the user, one line each.

    Raises:
        DataError: A column is missing, a line has missing or surplus cells, a time or rating cannot be read, or the
            table of items has none of the items.
    """
    ids = (columns.user, columns.item)
    table = _read(source, [name for name in columns if name], ids, delimiter, encoding)
    frame = pd.DataFrame(
        {
            "user_id:token": _convert_ids(table[columns.user], source),
            "item_id:token": _convert_ids(table[columns.item], source),
        }
    )
    if columns.rating:
        frame["rating:float"] = convert_numbers(table[columns.rating], _name_rows(source))
    frame["timestamp:float"], note = convert_times(table[columns.time], _name_rows(source))
    whole = frame["user_id:token"].notna() & frame["item_id:token"].notna()
    notes = [note] if whole.all() else [note, f"{int((~whole).sum()):,} rows without user or item were skipped"]
    for kind, column in (("users", columns.user), ("items", columns.item)):
        notes += _note_merged(table[column], frame[f"{kind[:-1]}_id:token"], kind)
    frame = frame[whole]
    write_frame(frame, stage / f"{name}.inter")
    if items is not None:
        table = _read_item_frame(items, delimiter, encoding)
        notes += _compare_items(frame["item_id:token"], table["item_id:token"], source, items.path)
        write_frame(table[table["item_id:token"].isin(frame["item_id:token"])], stage / f"{name}.item")
    return notes


def _compare_items(events: pd.Series, rows: pd.Series, source: Path, path: Path) -> list[str]:
    """Return a note on the items that have no row in the table of items; raise an error if none has one."""
    ids = pd.Index(events.unique())
    missing, unused = ids.difference(rows, sort=False), rows[~rows.isin(ids)]
    if not len(missing):
        return []
    alike = find_alike(missing, unused)
    if len(missing) == len(ids):
        here, there = (alike.here, alike.there) if alike else (ids[0], next(iter(rows), None))
        shown = f"{here!r} in {source.name}, {there!r} in {path.name}" if len(rows) else "it has no rows"
        raise DataError(f"{path} has no row for any of the {len(ids):,} items ({shown}): use the same ids in both")
    what = f" ({alike.number:,} spelled differently: {alike.here!r} and {alike.there!r})" if alike else ""
    dropped = f"RecBole drops their {int(events.isin(missing).sum()):,} events where .item is loaded"
    return [f"{len(missing):,} of {len(ids):,} items have no row in {path.name}{what}; {dropped}"]


def _read(
    path: Path, wanted: Sequence[str], texts: Sequence[str], delimiter: str | None, encoding: str
) -> pd.DataFrame:
    """Read the wanted columns; ``texts`` are read as text even if they look like numbers, so that ids keep zeros."""
    if path.suffix.lower() in PARQUET:
        return _read_parquet(path, wanted)
    delimiter = (delimiter or _find_delimiter(path, wanted, encoding)).replace("\\t", "\t")
    line, single = first_line(path, encoding), len(delimiter) == 1
    header = _split_cells(line, delimiter) if single else line.split(delimiter)
    check_columns(path, wanted, header)
    check_cells(path, delimiter, encoding, header)
    columns = list(dict.fromkeys(wanted))
    options: dict[str, Any] = {"usecols": columns, "dtype": dict.fromkeys(texts, str), "index_col": False}
    options |= {"keep_default_na": False, "na_values": list_missing_words(columns, texts)}
    options |= {"engine": "c", "low_memory": False, **exact_floats()} if single else {"engine": "python"}
    with open_text(path, encoding) as text:
        try:
            return pd.read_csv(text, sep=delimiter if single else re.escape(delimiter), **options)
        except pd.errors.ParserError as error:
            raise DataError(f"{path} cannot be read with delimiter {delimiter!r}: {error}") from error


def _read_parquet(path: Path, wanted: Sequence[str]) -> pd.DataFrame:
    """Read columns of a Parquet file; integers stay exact, also in columns with gaps, where floats would round them."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema, read_table

    try:
        check_columns(path, wanted, read_schema(path).names)
        table = read_table(path, columns=list(dict.fromkeys(wanted)))
    except (ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    for column in table.schema:
        if "binary" in str(column.type):  # of fixed or any size, also as categories
            raise DataError(f"{path}, column {column.name}: it contains bytes, not text; convert it to text")
    return cast(pd.DataFrame, table.to_pandas(integer_object_nulls=True, ignore_metadata=True))


def _split_cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _find_delimiter(path: Path, wanted: Sequence[str], encoding: str) -> str:
    """Return the delimiter that finds most of the requested columns in the header, or else most columns."""
    line = first_line(path, encoding)

    def found(delimiter: str) -> tuple[int, int]:
        cells = _split_cells(line, delimiter)
        return len(set(wanted) & set(cells)), len(cells)

    return max(_DELIMITERS, key=found)


def check_columns(source: object, wanted: Sequence[str], present: Sequence[str]) -> None:
    """Check that a table has columns.

    Args:
        source: The table's name for the message.
        wanted: Names of columns that it must have.
        present: Names of its columns.

    Raises:
        DataError: One is missing.
    """
    for name in wanted:
        if name not in present:
            close = find_close_names(name, map(str, present), count=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise DataError(f"{source} has no column {name!r}: it has {', '.join(map(str, present))}{hint}")


def _convert_ids(column: pd.Series, source: Path) -> pd.Series:
    """Return ids as they are written; integers that a Parquet file has as floats, because of gaps, lose ``.0``."""
    if pd.api.types.is_float_dtype(column):
        words = "an id: floats of 2**53 and more are rounded; store the ids as integers or text"
        reject_cells(column, column.abs() >= LARGEST_EXACT_INTEGER, _name_rows(source), words)
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    codes, values = pd.factorize(column)
    texts = np.array([*(clean_text(str(value)) or None for value in values), None], dtype=object)
    return pd.Series(texts[codes], index=column.index, dtype=object)


def _note_merged(column: pd.Series, ids: pd.Series, kind: str) -> list[str]:
    """Return a note on ids that have several spellings, such as with spaces around them, and are merged."""
    if column.nunique() == ids.nunique():
        return []
    written = pd.DataFrame({"here": column.astype(str), "id": ids}).dropna().drop_duplicates()
    several = written[written["id"].duplicated(keep=False)]
    if several.empty:
        return []
    one, other = several.loc[several["id"] == several["id"].iloc[0], "here"].iloc[:2]
    number = several["id"].nunique()
    return [f"{kind} written in several ways, such as {one!r} and {other!r}, each of which is one: {number:,}"]


def _name_rows(source: Path) -> Callable[[int], str]:
    """Name rows by their number in a file; it counts records, which equal lines if no cell contains a line end."""
    return lambda row: f"{source} row {row + 1} (after the header)"


def _read_item_frame(items: ItemTable, delimiter: str | None, encoding: str) -> pd.DataFrame:
    texts = [column for column, kind in items.columns.items() if kind != "float"]
    table = _read(items.path, [items.item, *items.columns], [items.item, *texts], delimiter, encoding)
    frame = pd.DataFrame({"item_id:token": _convert_ids(table[items.item], items.path)})
    for column, kind in items.columns.items():
        values = table[column]
        if kind == "float":
            values = convert_numbers(values, _name_rows(items.path))
        elif kind.endswith("_seq") and items.separator:
            values = values.map(lambda cell: _join_parts(cell, items.separator), na_action="ignore")
        frame[f"{column}:{kind}"] = values
    return frame.dropna(subset="item_id:token").drop_duplicates("item_id:token")


def _join_parts(cell: object, separator: str) -> str:
    return " ".join(token for part in str(cell).split(separator) if (token := join_words(part)))
