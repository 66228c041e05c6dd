"""Titles of items for display, read from the data set's files and not loaded for training."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from recbole_samrec.data.validate.layout import Column, Layout, read_header

TITLES = ("title", "movie_title", "item_title", "product_title", "name", "item_name", "product_name")
"""Names of title columns in order of preference; any other text column whose name ends like these comes last."""


def find_title_column(columns: list[Column]) -> Column | None:
    """Find the column of an item file that contains titles, if there is one."""
    texts = {column.name.lower(): column for column in columns if column.type.startswith("token")}
    names = [name for name in TITLES if name in texts]
    names += [name for name in texts if name.endswith(("title", "_name"))]
    return texts[names[0]] if names else None


def read_titles(file: Path, layout: Layout) -> dict[str, str] | None:
    """Read the titles of items.

    Args:
        file: The data set's ``.item`` file, which may be missing.
        layout: Layout of the file.

    Returns:
        Titles by item token, or None if there is no file or no title column.

    Raises:
        DataError: The first line of the file is not a header.
    """
    if not file.is_file():
        return None
    columns = read_header(file, layout)
    item = next((column for column in columns if column.name == layout.item), None)
    title = find_title_column([column for column in columns if column is not item])
    if item is None or title is None:
        return None
    wanted = [item.header, title.header]
    reading = {"sep": layout.separator, "encoding": layout.encoding, "quoting": csv.QUOTE_NONE, "index_col": False}
    reading |= {"engine": "c" if len(layout.separator) == 1 else "python"}
    frame = pd.read_csv(file, usecols=wanted, dtype=str, keep_default_na=False, **reading)
    return dict(zip(*(frame[column] for column in wanted), strict=True))
