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
    try:
        whole = pd.Series([pd.NA if pd.isna(cell) else _parse_integer(cell) for cell in text], dtype="Int64")
    except (InvalidOperation, ValueError, OverflowError):
        return times
    if len(whole) != len(times) or not np.array_equal(as_floats(whole), times, equal_nan=True):
        return times
    return whole.set_axis(times.index)


def _parse_integer(text: str) -> int:
    number = Decimal(text.strip())
    if number != int(number) or not -(2**63) <= number < 2**63:
        raise ValueError(f"{text} is not a whole number of 64 bits")
    return int(number)


def as_floats(times: pd.Series) -> np.ndarray:
    """Convert times to float64; missing ones become nan."""
    return times.to_numpy(dtype=np.float64, na_value=np.nan)
