"""Convert Amazon's files of ratings: CSV without a header (2014, 2018) or with one (2023)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_samrec.data.convert.sessions import require_cells, to_seconds
from recbole_samrec.data.convert.source import open_bytes
from recbole_samrec.utils.errors import DataError

HEADER = "user_id,parent_asin,rating,timestamp"
"""Header of the files of 2023."""
SECONDS_NOTE = "timestamp: milliseconds became Unix seconds"
_LINE = re.compile(r"[A-Z0-9]{10,},[A-Z0-9]{10,},\d(\.\d+)?,\d{9,10}\s*$")
_ASIN = 10
"""Number of characters of an item's id; those of users are longer."""


def is_ratings(line: str) -> bool:
    """Return True if a file's first line is a rating, or the header of 2023."""
    return line.strip() == HEADER or bool(_LINE.match(line))


def read_ratings(source: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read a file of ratings.

    The files of 2014 begin with the user, those of 2018 with the item; an item's id has ten characters.

    Args:
        source: ``ratings_<Category>.csv`` (2014), ``<Category>.csv`` (2018, 2023), gzipped or not.

    Returns:
        Columns user, item, rating and time (seconds), and notes for the user.

    Raises:
        DataError: A line is not a rating, or users cannot be distinguished from items.
    """
    with open_bytes(source) as file:
        with_header = file.readline().decode("utf-8", errors="replace").strip() == HEADER
    names = ["user", "item", "rating", "time"]
    kinds = {"user": str, "item": str, "rating": str, "time": np.int64}
    with open_bytes(source) as file:
        try:
            frame = pd.read_csv(
                file, header=None, skiprows=int(with_header), names=names, dtype=kinds, index_col=False, na_filter=True
            )
        except (ValueError, pd.errors.ParserError) as error:
            raise DataError(f"{source} is no file of Amazon's ratings: {str(error).strip()}") from error
    require_cells(frame, source, 1 + with_header)
    if with_header:
        return frame.assign(time=to_seconds(frame["time"].to_numpy())), [SECONDS_NOTE]
    first, second = ((frame[name].str.len() == _ASIN).all() for name in ("user", "item"))
    if first == second:
        raise DataError(
            f"{source}: neither of the first two columns, or both, has ids of {_ASIN} characters, as items have: use "
            "the unchanged file of Amazon's data"
        )
    if first:
        frame = frame.rename(columns={"user": "item", "item": "user"})[names]
    return frame, []
