"""Exact times of interactions: integers where float64 is too coarse, as it is for nanoseconds."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
import pandas as pd

LARGEST_EXACT_INTEGER = 2**53  # in float64


def read_exact_times(path: Path, column: str, times: pd.Series, separator: str, encoding: str) -> pd.Series:
    """Read the times of a file again as integers, where float64 may have rounded them.

    Args:
        path: A file of interactions.
        column: Header of its time column.
        times: The times as float64, one for each row of the file; missing ones are nan.
        separator: Separator of columns.
        encoding: Encoding of the file.

    Returns:
        Nullable integers with the index of ``times``; ``times`` itself if all are below 2**53, or not whole numbers.
    """
    if not times.abs().max() >= LARGEST_EXACT_INTEGER:
        return times
    reading = {"sep": separator, "usecols": [column], "index_col": False, "encoding": encoding, "engine": "python"}
    text = pd.read_csv(path, dtype=object, **reading)[column]
    whole = _parse_integers(text)
    if whole is None or len(whole) != len(times) or not np.array_equal(as_floats(whole), times, equal_nan=True):
        return times
    return whole.set_axis(times.index)


def parse_times(cells: pd.Series) -> pd.Series:
    """Parse times that were read as text.

    Args:
        cells: Numbers as text; missing ones are nan.

    Returns:
        int64 where all are written as integers of 64 bits, else float64. Where float64 would round one of them, whole
        numbers in any spelling become int64, or nullable integers beside missing ones.
    """
    if cells.str.fullmatch(r"-?\d{1,18}", na=False).all():
        return cells.astype(np.int64)
    times = cells.astype(np.float64)
    whole = _parse_integers(cells) if times.abs().max() >= LARGEST_EXACT_INTEGER else None
    if whole is None:
        return times
    return whole if whole.isna().any() else whole.astype(np.int64)


def _parse_integers(cells: pd.Series) -> pd.Series | None:
    """Parse text to nullable integers; None if a cell is no whole number of 64 bits."""
    try:
        whole = [pd.NA if pd.isna(cell) else _parse_integer(cell) for cell in cells]
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return pd.Series(whole, index=cells.index, dtype="Int64")


def _parse_integer(text: str) -> int:
    number = Decimal(text.strip())
    if number != int(number) or not -(2**63) <= number < 2**63:
        raise ValueError(f"{text} is not a whole number of 64 bits")
    return int(number)


def as_floats(times: pd.Series) -> np.ndarray:
    """Convert times to float64; missing ones become nan."""
    return times.to_numpy(dtype=np.float64, na_value=np.nan)
