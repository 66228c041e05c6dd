"""Convert columns of a user's table to numbers and Unix seconds, and name the first cell that is neither."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from recbole_samrec.utils.errors import DataError


def convert_numbers(column: pd.Series, name_row: Callable[[int], str]) -> pd.Series:
    """Convert a column to numbers; missing cells stay.

    Args:
        column: The column.
        name_row: Function that names a row, counted from 0, for messages.

    Raises:
        DataError: A cell is not a number.
    """
    numbers = pd.to_numeric(column, errors="coerce")
    reject_cells(column, numbers.isna() & column.notna(), name_row, "a number")
    return numbers


def convert_times(column: pd.Series, name_row: Callable[[int], str]) -> tuple[pd.Series, str]:
    """Convert a column of numbers, which are kept, or of dates, which become Unix seconds.

    Args:
        column: The column: numbers, dates, or either as text.
        name_row: Function that names a row, counted from 0, for messages.

    Returns:
        The times, and a note on what they are.

    Raises:
        DataError: A cell is missing, or neither a number nor a date like the others.
    """
    if not pd.api.types.is_datetime64_any_dtype(column):
        numbers = pd.to_numeric(column, errors="coerce")
        if numbers.notna().any():
            reject_cells(column, numbers.isna(), name_row, "a number like the other times")
            return numbers, f"{column.name} contains numbers, which were kept unchanged"
        dates = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
    else:
        dates = pd.to_datetime(column, utc=True)
    reject_cells(column, dates.isna(), name_row, "a number or an ISO date such as 2020-12-31T23:59:59")
    micros = dates.dt.as_unit("us").astype("int64")  # divided as floats they are exact, unlike nanoseconds
    return micros // 10**6 if (micros % 10**6 == 0).all() else micros / 10**6, (
        f"{column.name} contains dates, which became Unix seconds (UTC if no zone is given)"
    )


def reject_cells(column: pd.Series, bad: pd.Series, name_row: Callable[[int], str], wanted: str) -> None:
    """Raise an error for the first bad cell.

    Args:
        column: The column.
        bad: Mask of the bad cells.
        name_row: Function that names a row, counted from 0.
        wanted: What every cell must be.

    Raises:
        DataError: There is a bad cell.
    """
    if bad.any():
        row = int(bad.to_numpy().argmax())
        value = "nothing" if pd.isna(column.iloc[row]) else repr(str(column.iloc[row]))
        raise DataError(f"{name_row(row)}, column {column.name}: {value} is not {wanted}")
