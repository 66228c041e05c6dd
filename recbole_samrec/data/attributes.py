"""Find the item attributes that S3Rec is pre-trained on, without changing which items are ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_samrec.data.validate.layout import Column, Layout, read_header
from recbole_samrec.utils.errors import DataError

KNOWN = ("class", "classes", "genre", "genres", "category", "categories")
"""Names of attribute columns in the data sets that RecBole publishes."""
NO_ATTRIBUTES = ("title", "name", "description")
"""Parts of the names of text columns that are not attributes."""


def find_attribute_settings(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Find the settings that name the attribute and make RecBole load it.

    Args:
        settings: RecBole's settings; ``item_attribute`` is the user's choice, or None.
        folder: Folder of the data set.

    Returns:
        ``item_attribute``, and ``load_col`` with the required columns of the ``.item`` file.

    Raises:
        DataError: There is no such file or column, or several columns are possible.
    """
    layout, file = Layout.from_settings(settings), folder / f"{folder.name}.item"
    if not file.is_file():
        needed = "S3Rec needs an attribute of the items, such as a column class:token_seq"
        raise DataError(f"{file} is missing: {needed}; create the file or choose another model")
    name = choose_attribute(read_header(file, layout), file, settings.get("item_attribute"))
    loaded = settings.get("load_col")
    if loaded is None or loaded.get("item") == "*":  # RecBole loads every column then
        return {"item_attribute": name}
    columns = list(dict.fromkeys([*(loaded.get("item") or ()), layout.item, name]))
    return {"item_attribute": name, "load_col": {**loaded, "item": columns}}


def choose_attribute(columns: Sequence[Column], file: Path, wanted: str | None = None) -> str:
    """Choose the attribute column: the requested one, one with a usual name, or the only candidate.

    Args:
        columns: The file's columns.
        file: The file, for the error.
        wanted: The user's choice, or None.

    Raises:
        DataError: There is no such column, or no single candidate; the message lists the columns and the setting.
    """
    possible = [column.name for column in columns[1:] if column.type in ("token", "token_seq")]
    if wanted is not None:
        if wanted in possible:
            return wanted
        present = f"it has {', '.join(possible) or 'no token columns'}"
        raise DataError(f"item_attribute={wanted}: {file} has no such token column; {present}")
    usual = [name for name in possible if name.lower() in KNOWN]
    lists = [column.name for column in columns[1:] if column.type == "token_seq"]
    lists = [name for name in lists if not any(part in name.lower() for part in NO_ATTRIBUTES)]
    found = usual or lists
    if len(found) == 1:
        return found[0]
    number = "several candidates" if found else "no clear candidate"
    raise DataError(
        f"{file} has {number} for the attribute that S3Rec is pre-trained on; choose one of "
        f"{', '.join(possible) or 'its columns (it has no token columns)'} with --item_attribute="
    )
