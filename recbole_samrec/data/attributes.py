"""Find the item attributes that S3Rec is pre-trained on, without changing which items are ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recbole.utils import FeatureSource, FeatureType

from recbole_samrec.data.validate.layout import Column, Layout, read_header
from recbole_samrec.utils.errors import DataError

KNOWN = ("class", "classes", "genre", "genres", "category", "categories")
"""Names of attribute columns in the data sets that RecBole publishes."""
NO_ATTRIBUTES = ("title", "name", "description")
"""Parts of the names of text columns that are not attributes."""


def find_attribute_settings(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Find the settings that name the attribute, or several, and make RecBole load them.

    Args:
        settings: RecBole's settings; ``item_attribute`` is the user's choice, a name or a list of names, or None.
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
    columns_of_file, wanted = read_header(file, layout), settings.get("item_attribute")
    several = list(dict.fromkeys(wanted)) if isinstance(wanted, (list, tuple)) else [wanted]
    names = [choose_attribute(columns_of_file, file, one) for one in several or [None]]
    name = names[0] if len(names) == 1 else names
    loaded = settings.get("load_col")
    if loaded is None or loaded.get("item") == "*":  # RecBole then loads every column
        return {"item_attribute": name}
    columns = list(dict.fromkeys([*(loaded.get("item") or ()), layout.item, *names]))
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


def name_joined(attributes: str | Sequence[str]) -> str:
    """Return the name of the column that contains the attribute, or several joined attributes."""
    return attributes if isinstance(attributes, str) else "+".join(attributes)


def join_attributes(dataset: Any, attributes: Sequence[str]) -> None:
    """Add a column of items with all their attributes; ids of one column follow those of the other.

    Args:
        dataset: RecBole's data set before its tables become tensors, which is changed.
        attributes: Names of ``token`` and ``token_seq`` columns of the items.
    """
    table, name, offset, ids, tokens = dataset.item_feat, name_joined(attributes), 0, [], ["[PAD]"]
    for attribute in attributes:
        # Ids begin at 1; 0 means none.
        cells = [np.atleast_1d(cell).astype(np.int64) for cell in table[attribute]]
        ids.append([cell[cell > 0] + offset for cell in cells])
        known = dataset.field2id_token[attribute][1:]
        tokens += [f"{attribute}:{token}" for token in known]
        offset += len(known)
    table[name] = [np.concatenate(cells) for cells in zip(*ids, strict=True)]
    dataset.set_field_property(name, FeatureType.TOKEN_SEQ, FeatureSource.ITEM, int(table[name].map(len).max()))
    dataset.field2id_token[name] = np.array(tokens)
    dataset.field2token_id[name] = {token: number for number, token in enumerate(tokens)}
