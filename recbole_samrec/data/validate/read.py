"""Read columns of an atomic file as RecBole's patched reader does, and report the line of the first wrong value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas._libs.parsers import STR_NA_VALUES

from recbole_samrec.data.validate.layout import Column, Layout, read_header, require_column
from recbole_samrec.data.validate.scan import check_lines, read_records
from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.exact_floats import exact_floats


def list_missing_words(columns: Iterable[str], texts: Collection[str]) -> dict[str, list[str]]:
    """List for each column the words that are missing values, if tokens such as "NA" are kept.

    Args:
        columns: Columns to read.
        texts: Those of them that contain text, where only an empty cell is missing.
    """
    return {column: [""] if column in texts else sorted(STR_NA_VALUES) for column in columns}


def check_columns(
    path: Path, suffix: str, needed: Sequence[tuple[str, str]], layout: Layout, digest: Any, warnings: list[str]
) -> list[Column]:
    """Check a file's header and lines, and return the columns that RecBole loads.

    Args:
        path: The file.
        suffix: Its name in ``load_col``.
        needed: Names and types of columns that must be there and loaded.
        layout: Its layout.
        digest: Hash object of ``hashlib``, updated with the bytes; None for none.
        warnings: Receives a line for each irregularity.

    Raises:
        DataError: The header or a line is wrong.
    """
    if not path.stat().st_size:
        raise DataError(f"{path} is empty: create it again; its first line names the columns")
    columns = read_header(path, layout)
    for name, kind in needed:
        require_column(path, columns, name, kind)
    loaded = [column for column in columns if layout.is_loaded(suffix, column.name)]
    _check_duplicates(path, columns, loaded, warnings)
    for name, _ in needed:
        if name not in [column.name for column in loaded]:
            raise DataError(f"{path}: column {name!r} is not loaded: add it to load_col under {suffix!r}")
    check_lines(path, layout, len(columns), digest)
    return loaded


def _check_duplicates(path: Path, columns: list[Column], loaded: list[Column], warnings: list[str]) -> None:
    """Raise if two loaded columns have the same name, as RecBole fails or uses the last one; warn about others."""
    for name, count in Counter(column.name for column in columns).items():
        if count > 1 and name in [column.name for column in loaded]:
            raise DataError(f"{path} line 1 names column {name!r} {count} times: rename or remove all but one")
        if count > 1:
            warnings.append(f"{path} line 1 names column {name!r} {count} times; it is not loaded")


def read_values(path: Path, columns: Sequence[Column], layout: Layout, texts: Collection[str]) -> pd.DataFrame:
    """Read text columns by name, and every loaded column of numbers, which is checked.

    Other text columns cannot be wrong and are not read.

    Args:
        path: The file.
        columns: The columns that RecBole loads.
        layout: Its layout.
        texts: Names of the text columns to read.

    Raises:
        DataError: A value is not a number.
    """
    wanted = {column.header: column for column in columns if column.name in texts or column.type.startswith("float")}
    if not wanted:
        return pd.DataFrame()
    kinds = {header: np.float64 if column.type == "float" else str for header, column in wanted.items()}
    texts = [header for header, column in wanted.items() if column.type != "float"]
    try:
        frame = read_csv(path, layout, kinds, texts)
    except ValueError as error:
        frame = read_csv(path, layout, dict.fromkeys(kinds, str), texts)
        for header, column in wanted.items():
            if column.type == "float":
                _check_numbers(path, column, frame[header], layout)
        raise DataError(f"{path} cannot be read: {error}") from error
    for header, column in wanted.items():
        if column.type == "float_seq":
            _check_sequences(path, column, frame[header], layout)
    return frame.rename(columns={header: column.name for header, column in wanted.items()})


def read_csv(path: Path, layout: Layout, kinds: Mapping[str, Any], texts: Collection[str]) -> pd.DataFrame:
    """Read columns by header, with the missing values and the treatment of quotes of RecBole's reader.

    Args:
        path: The file.
        layout: Its layout.
        kinds: Types of the columns to read, by header.
        texts: The columns that contain text.
    """
    options: dict[str, Any] = {"engine": "c" if len(layout.separator) == 1 else "python", "index_col": False}
    if layout.keep_na_tokens:
        options |= {"keep_default_na": False, "na_values": list_missing_words(kinds, texts)}
    options |= {"sep": layout.separator, "usecols": list(kinds), "dtype": dict(kinds), "encoding": layout.encoding}
    if options["engine"] == "c":
        return pd.read_csv(path, **options | exact_floats())
    return read_by_python(path, options)


def read_by_python(path: Path | str, options: dict[str, Any]) -> pd.DataFrame:
    """Read a file by pandas' Python engine, which alone fails on integers from 2**63 beside missing numbers.

    Args:
        path: The file.
        options: Arguments of ``pandas.read_csv``, with the type of each column.

    Raises:
        ValueError: A value is not a number.
    """
    try:
        return pd.read_csv(path, **options)
    except ValueError:
        numbers = [column for column, kind in options["dtype"].items() if kind is np.float64]
        frame = pd.read_csv(path, **options | {"dtype": options["dtype"] | dict.fromkeys(numbers, object)})
        return frame.astype(dict.fromkeys(numbers, np.float64))


def _check_numbers(path: Path, column: Column, values: pd.Series, layout: Layout) -> None:
    bad = values.notna() & pd.to_numeric(values, errors="coerce").isna()
    if bad.any():
        row = int(bad.to_numpy().argmax())
        line = find_line(path, layout, row)
        raise DataError(f"{path} line {line}, column {column.name}: {values.iloc[row]!r} is not a number: correct it")


def _check_sequences(path: Path, column: Column, values: pd.Series, layout: Layout) -> None:
    parts = values.fillna("").str.split(layout.seq_separator, regex=False).explode()
    parts = parts[parts != ""]
    bad = pd.to_numeric(parts, errors="coerce").isna()
    if bad.any():
        first = parts[bad].index[0]
        line = find_line(path, layout, int(first))
        raise DataError(
            f"{path} line {line}, column {column.name}: {parts[bad].iloc[0]!r} is not a number: "
            f"correct it, or set seq_separator"
        )


def find_line(path: Path, layout: Layout, row: int) -> int:
    """Find the line number of a row counted from 0, as read by pandas, which skips blank lines."""
    for index, (line, _) in enumerate(read_records(path, layout), -1):
        if index == row:
            return line
    return -1
