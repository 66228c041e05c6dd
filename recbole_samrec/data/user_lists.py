"""Lists of users: from an argument, whose ids may contain commas, or from a file."""

from __future__ import annotations

import csv
import re
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_samrec.data.convert.arrow_table import ArrowTable
from recbole_samrec.data.convert.frame_columns import convert_ids
from recbole_samrec.data.convert.source import open_text
from recbole_samrec.data.convert.table import PARQUET
from recbole_samrec.data.sequences import COLUMNS
from recbole_samrec.utils.errors import DataError


def split_users(text: str, known: Container[str]) -> list[str]:
    """Split a list of user ids at its commas.

    Args:
        text: The list. An id that contains a comma is put in double quotation marks, as in CSV, unless it is alone.
        known: Ids of the data set, so that blanks around an id are dropped only if they are not part of it.
    """
    if text in known:
        return [text]
    tokens = next(csv.reader([text], skipinitialspace=True), [])
    return [token if token in known else token.strip() for token in tokens]


def read_users(file: Path, field: str) -> list[str]:
    """Read a list of user ids, each once, in order.

    Args:
        file: A CSV, TSV or Parquet file with a column ``user``, ``user_id`` or of the data set's name of it; any other
            file has one id in each line.
        field: The data set's name of the column.

    Raises:
        DataError: The file cannot be read, has no such column, or has no id.
    """
    kind = Path(file.stem).suffix if file.suffix == ".gz" else file.suffix
    if file.suffix.lower() in PARQUET:
        table = ArrowTable.open(file)
        column = convert_ids(table, table.names[_find_column(table.names, field, file)])[0]
        users = _list_ids(column)
    elif kind in (".csv", ".tsv"):
        frame = _read_cells(file, "\t" if kind == ".tsv" else ",")
        users = _list_ids(frame.iloc[:, _find_column(frame.columns, field, file)])
    else:
        with open_text(file) as text:
            users = [line for line in re.split(r"\r\n|\r|\n", text.read()) if line.strip()]
    if not users:
        raise DataError(f"{file}: it has no users; write one id in each line")
    return list(dict.fromkeys(users))


def _read_cells(file: Path, separator: str) -> pd.DataFrame:
    try:
        with open_text(file) as text:
            return pd.read_csv(text, sep=separator, dtype=str, keep_default_na=False, index_col=False)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except pd.errors.ParserError as error:
        raise DataError(f"{file} cannot be read: {str(error).strip()}; write one user in each line") from error


def _find_column(header: Iterable[Any], field: str, file: Path) -> int:
    """Find the position of the column of users in a header."""
    names = [str(name).strip().partition(":")[0].lower() for name in header]
    place = next((names.index(name) for name in (field.lower(), *COLUMNS["user"]) if name in names), None)
    if place is None:
        raise DataError(
            f"{file} has no column user: it has {', '.join(map(str, header))[:100]!r}; name the column user, or "
            "write one id in each line of a .txt file"
        )
    return place


def _list_ids(column: pd.Series) -> list[str]:
    return [cell for cell in column.dropna() if cell.strip()]
