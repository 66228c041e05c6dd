"""Titles of items for display, read from the data set's files and not loaded for training."""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from pathlib import Path

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
    places = columns.index(item), columns.index(title)
    rows = _read_rows(file, layout, len(columns))
    return {row[places[0]]: row[places[1]] for row in reversed(rows)}  # the first row of an item counts


def _read_rows(file: Path, layout: Layout, width: int) -> list[list[str]]:
    """Read the rows below the header, quoted if the whole file is; else a title's quotation marks are text.

    A file that is not loaded for training may contain titles such as ``"Great Performances" Cats``.
    """
    if len(layout.separator) == 1:
        with file.open(encoding=layout.encoding, errors="replace", newline="") as lines, suppress(csv.Error):
            rows = [row for row in csv.reader(lines, delimiter=layout.separator, strict=True) if "".join(row).strip()]
            if all(len(row) == width for row in rows):
                return rows[1:]
    with file.open(encoding=layout.encoding, errors="replace") as lines:
        cut = [re.split(_make_pattern(layout), line.rstrip("\n")) for line in lines]
    return [row for row in cut[1:] if len(row) == width]


def _make_pattern(layout: Layout) -> str:
    """Return the pattern that separates cells; pandas reads a longer separator as a pattern, too."""
    return re.escape(layout.separator) if len(layout.separator) == 1 else layout.separator
