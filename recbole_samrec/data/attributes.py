"""Find the attributes of items that S3Rec learns from, without changing which items are ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_samrec.data.validate.layout import Column, Layout, read_header
from recbole_samrec.utils.errors import DataError

KNOWN = ("class", "classes", "genre", "genres", "category", "categories")
"""Names that a column of attributes has in the data sets that RecBole publishes."""
NO_ATTRIBUTES = ("title", "name", "description")
"""Parts of the names of columns whose words are no attributes."""


def find_attribute_settings(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The settings that name the attribute, and have RecBole load it.

    Args:
        settings: RecBole's settings; ``item_attribute`` is what the user has chosen, or None.
        folder: Folder of the data set.

    Returns:
        ``item_attribute``, and ``load_col`` with the columns of the ``.item`` file that it takes.

    Raises:
        DataError: There is no such file or column, or several columns are possible.
    """
    layout, file = Layout.from_settings(settings), folder / f"{folder.name}.item"
    if not file.is_file():
        needed = "S3Rec needs an attribute of the items, such as a column class:token_seq"
        raise DataError(f"{file} is missing: {needed}; write that file, or choose another model")
    name = choose_attribute(read_header(file, layout), file, settings.get("item_attribute"))
    loaded = settings.get("load_col")
    if loaded is None or loaded.get("item") == "*":  # RecBole loads every column then
        return {"item_attribute": name}
    columns = list(dict.fromkeys([*(loaded.get("item") or ()), layout.item, name]))
    return {"item_attribute": name, "load_col": {**loaded, "item": columns}}


def choose_attribute(columns: Sequence[Column], file: Path, wanted: str | None = None) -> str:
    """The column of attributes: the one wanted, the one with a usual name, or the only one that may be it.

    Args:
        columns: The file's columns.
        file: The file, for the error.
        wanted: What the user has chosen, if anything.

    Raises:
        DataError: Names the columns there are, and the setting.
    """
    possible = [column.name for column in columns[1:] if column.type in ("token", "token_seq")]
    if wanted is not None:
        if wanted in possible:
            return wanted
        there = f"it has {', '.join(possible) or 'no column of tokens'}"
        raise DataError(f"item_attribute={wanted}: {file} has no such column of tokens; {there}")
    usual = [name for name in possible if name.lower() in KNOWN]
    lists = [column.name for column in columns[1:] if column.type == "token_seq"]
    lists = [name for name in lists if not any(part in name.lower() for part in NO_ATTRIBUTES)]
    found = usual or lists
    if len(found) == 1:
        return found[0]
    number = "several columns that may be" if found else "no column that is clearly"
    raise DataError(
        f"{file} has {number} the attribute that S3Rec learns from; choose one of "
        f"{', '.join(possible) or 'its columns (there is none of tokens)'} with --item_attribute="
    )
