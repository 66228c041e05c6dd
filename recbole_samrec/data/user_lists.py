"""Lists of users: from an argument, whose ids may contain commas, or from a file."""

from __future__ import annotations

import csv
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_samrec.data.convert.source import open_text
from recbole_samrec.data.sequences import COLUMNS
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.tables import read_parquet


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
    if kind == ".parquet":
        users = _read_column(read_parquet(file), field, file)
    elif kind in (".csv", ".tsv"):
        users = _read_column(_read_cells(file, "\t" if kind == ".tsv" else ","), field, file)
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


def _read_column(frame: pd.DataFrame, field: str, file: Path) -> list[str]:
    names = [str(name).strip().partition(":")[0].lower() for name in frame.columns]
    place = next((names.index(name) for name in (field.lower(), *COLUMNS["user"]) if name in names), None)
    if place is None:
        raise DataError(
            f"{file} has no column user: it has {', '.join(map(str, frame.columns))[:100]!r}; name the column user, or "
            "write one id in each line of a .txt file"
        )
    return [_spell(cell) for cell in frame.iloc[:, place].dropna() if str(cell).strip()]


def _spell(cell: Any) -> str:
    """Spell an id as text: a column of integers with gaps is read as decimal numbers."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
