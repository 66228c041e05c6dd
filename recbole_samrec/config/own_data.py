"""Accept a user's own table, a data frame or a Parquet file, wherever the name of a data set is accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_samrec.data.convert.frame import Roles, store_table
from recbole_samrec.data.convert.table import PARQUET
from recbole_samrec.utils.errors import ConfigError

_OF_FILES = ("field_separator", "encoding", "benchmark_filename")
"""Settings that describe files, and which a table does not have."""


def is_table(data: Any) -> bool:
    """Return True for a frame or the path of a Parquet file, False for the name of a data set."""
    return data is not None and (not isinstance(data, str) or data.lower().endswith(PARQUET))


def adopt_data(
    data: Any,
    roles: Roles,
    settings: Mapping[str, Any],
    note: Callable[[str], None] = lambda line: None,
    items: Any = None,
) -> str:
    """Return the name of a data set: the given one, or that under which a table is stored in ``data_path``.

    Args:
        data: Name of a data set; frame of pandas or polars; or path of a Parquet file.
        roles: The table's columns with the user, the item and the time.
        settings: Settings of the run.
        note: Called with notes on the table.
        items: Table of items with their attributes: a frame, or path of a Parquet file; None for none.

    Raises:
        UserError: The table cannot be used, or columns are named for a data set of files.
    """
    if not is_table(data):
        place = f"frames and Parquet files, but {data or 'ml-100k'} is a data set"
        if items is not None:
            raise ConfigError(f"items applies to {place}; its attributes are in its .item file")
        if any(roles):
            raise ConfigError(
                f"user, item and time apply to {place}; name its columns with USER_ID_FIELD, ITEM_ID_FIELD and "
                "TIME_FIELD"
            )
        return str(data)
    for key in _OF_FILES:
        if settings.get(key) is not None:
            raise ConfigError(f"{key} applies to RecBole's atomic files only; remove it for a frame or a Parquet file")
    stored = store_table(data, roles, settings, Path(settings.get("data_path") or "dataset"), items)
    for line in stored.notes:
        note(line)
    return stored.name


def adopt_all(
    data: Sequence[Any],
    roles: Roles,
    settings: Mapping[str, Any],
    note: Callable[[str], None] = lambda line: None,
    items: Any = None,
) -> list[str]:
    """Return the names of several data sets, as :func:`adopt_data` does for one.

    Args:
        data: Names of data sets, frames, or paths of Parquet files.
        roles: Columns of the tables among them, of which there must be one if columns are named.
        settings: Settings of the runs.
        note: Called with notes on the tables.
        items: Items of the tables among them; None for none.

    Raises:
        UserError: A table cannot be used, or columns or items are named without a table.
    """
    some = any(map(is_table, data))
    about = [(roles, items) if is_table(one) or not some else (Roles(), None) for one in data]
    return [adopt_data(one, named, settings, note, own) for one, (named, own) in zip(data, about, strict=True)]
