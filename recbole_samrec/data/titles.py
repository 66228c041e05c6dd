"""The titles of items, for people to read; they are looked up in the data set's files and not loaded for training."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from recbole_samrec.data.validate.layout import Column, Layout, read_header

TITLES = ("title", "movie_title", "item_title", "product_title", "name", "item_name", "product_name")
"""Columns that hold a title, the likelier ones first; after them any other of text whose name ends like these."""


def find_title_column(columns: list[Column]) -> Column | None:
    """The column of an item file that holds titles, if there is one."""
    texts = {column.name.lower(): column for column in columns if column.type.startswith("token")}
    names = [name for name in TITLES if name in texts]
    names += [name for name in texts if name.endswith(("title", "_name"))]
    return texts[names[0]] if names else None


def read_titles(file: Path, layout: Layout) -> dict[str, str] | None:
    """The title of each item that has one.

    Args:
        file: The data set's ``.item`` file; it need not be there.
        layout: How it is to be read.

    Returns:
        Titles by the items' tokens, or None where there is no file or no column of titles.

    Raises:
        DataError: The first line of the file is no header.
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
