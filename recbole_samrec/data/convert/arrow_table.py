"""Columns of a user's table, a frame of pandas or polars or a Parquet file, as Arrow arrays with exact types."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_samrec.data.convert.table import PARQUET, check_columns
from recbole_samrec.utils.errors import DataError, flatten_message


def is_text(kind: pa.DataType) -> bool:
    """Return True for Arrow's types of text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


class ArrowTable:
    """A table whose columns are read when they are needed.

    Args:
        title: Its name in messages.
        stem: Its name in names of files.
        names: Names of its columns.
        source: Frame of pandas, table of Arrow or Parquet file.
    """

    def __init__(self, title: str, stem: str, names: Sequence[Any], source: Any) -> None:
        self.title, self.stem, self.names, self._source = title, stem, list(names), source

    @classmethod
    def open(cls, source: Any, noun: str = "the frame") -> ArrowTable:
        """Open a table.

        Args:
            source: Frame of pandas or polars, table of Arrow, or path of a Parquet file.
            noun: Name of a frame in messages.

        Raises:
            DataError: The source has another type, or the file is missing or damaged.
        """
        if isinstance(source, (str, Path)):
            return cls._open_file(Path(source))
        if isinstance(source, pd.DataFrame):
            return cls(noun, "frame", source.columns, source)
        if type(source).__module__.partition(".")[0] == "polars":  # polars need not be installed
            source = source.collect() if hasattr(source, "collect") else source
            source = source.to_arrow() if hasattr(source, "to_arrow") else source
        if isinstance(source, pa.Table):
            return cls(noun, "frame", source.column_names, source)
        raise DataError(f"{type(source).__name__}: give a frame of pandas or polars, or the path of a Parquet file")

    @classmethod
    def _open_file(cls, path: Path) -> ArrowTable:
        if path.suffix.lower() not in PARQUET:
            remedy = "read other files with pandas, or convert them with python -m recbole_samrec data NAME FILE"
            raise DataError(f"{path}: its name must end in {' or '.join(PARQUET)}; {remedy}")
        if not path.is_file():
            raise DataError(f"{path} is {'a folder' if path.is_dir() else 'missing'}: give the path of a Parquet file")
        try:
            names = pq.read_schema(path).names
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} cannot be read as Parquet: {flatten_message(error)}") from error
        return cls(str(path), re.sub(r"[^\w+-]+", "-", path.stem).strip("-") or "table", names, path)

    def name_row(self, row: int) -> str:
        """Name a row, counted from 0, in messages."""
        return f"{self.title}, row {row} (the first is 0)"

    def require(self, names: Sequence[str]) -> None:
        """Check that columns exist, each only once.

        Raises:
            DataError: One is missing, or there are two of one name.
        """
        check_columns(self.title, names, self.names)
        for name, number in Counter(self.names).items():
            if number > 1 and name in names:
                raise DataError(f"{self.title} has {number} columns {name!r}: rename or remove all but one")

    def read(self, name: str) -> pa.ChunkedArray:
        """Read a column; a categorical column gets the type of its categories, and decimals become plain numbers.

        Raises:
            DataError: Its cells have several types, it has no cell with a value, or the file is damaged.
        """
        try:
            column = self._read(name)
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            if pa.types.is_decimal(column.type):
                column = _convert_decimals(column)
        except (pa.ArrowException, OverflowError, OSError) as error:
            reason = flatten_message(error)
            raise DataError(
                f"{self.title}, column {name}: its values cannot be read as one type ({reason}): convert them, such as "
                "by astype(str)"
            ) from error
        return column

    def _read(self, name: str) -> pa.ChunkedArray:
        if isinstance(self._source, Path):
            return pq.read_table(self._source, columns=[name]).column(0)
        if isinstance(self._source, pa.Table):
            return self._source.column(name)
        column = pa.Array.from_pandas(self._source[name])
        return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _convert_decimals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert decimals to integers, which keep all digits, or to floats if one has a fraction or more than 64 bits."""
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.float64())
