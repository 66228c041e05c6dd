"""Original types of ids and names of columns of a data set that was made of a table, which recommendations keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

ORIGIN = "frame.json"
"""File, in the folder of a data set that was made of a table, with the table's name, columns and types of ids."""
TEXT = "string"
"""Type of ids that are text, as those of RecBole's files are."""


def read_id_type(folder: Path, field: str) -> str:
    """Read the type of the ids of users or items; data sets of files have ids of type text.

    Args:
        folder: Folder of the data set.
        field: RecBole's name of the column.
    """
    return _read_origin(folder, "types").get(field, TEXT)


def read_column_names(folder: Path) -> dict[str, str]:
    """Read the names that RecBole's columns have in the table that a data set was made of; none for files.

    Args:
        folder: Folder of the data set.
    """
    return _read_origin(folder, "columns")


def _read_origin(folder: Path, key: str) -> dict[str, str]:
    """Read a mapping of the record of a table; an empty one if there is none."""
    try:
        found = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))[key]
        return {str(name): str(value) for name, value in found.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def restore_ids(tokens: Any, kind: str) -> np.ndarray:
    """Convert ids to their original type; they stay text if one of them does not have that type.

    Args:
        tokens: Ids as text, shape ``[N]``.
        kind: Their type: ``string``, or a type of integers such as ``int64``.
    """
    texts = np.asarray(tokens, dtype=object)
    if kind == TEXT or not len(texts):
        return texts if kind == TEXT else texts.astype(kind)
    try:
        ids = np.array([int(text) for text in texts], dtype=kind)
    except (ValueError, OverflowError):
        return texts
    return ids if (ids.astype(str) == texts.astype(str)).all() else texts
