"""Benchmark files, which contain interactions that are already split: their parts, and the lists in their rows.

Every function works on the table of all parts, one below the other, before RecBole replaces tokens by ids.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.data.validate.layout import Layout
from recbole_samrec.utils.errors import ConfigError, DataError

PADDING = frozenset(("0", "-1", "0.0", "-1.0", "[pad]", "<pad>", "pad", "nan", "none", "null", "na", "n/a"))
"""Tokens, in lower case, that fill up lists in other people's files."""


def check_parts(parts: Any) -> None:
    """Check that there are files for training and test, with at most a file for validation between them.

    Args:
        parts: The setting ``benchmark_filename``; None if it is not set.

    Raises:
        ConfigError: There are other numbers of parts.
    """
    if parts is None:
        return
    if not isinstance(parts, (list, tuple)) or len(parts) not in (2, 3):
        raise ConfigError(
            f"benchmark_filename={parts}: name three files, such as ['train', 'valid', 'test'], or two, "
            "['train', 'test'], of which each user's last training event becomes the validation"
        )


def hold_out_last(
    rows: pd.DataFrame, size: int, user: str, time: str | None, lists: str | None
) -> tuple[np.ndarray, list[int]]:
    """Choose each user's last training event for validation.

    The last event is the one with the latest time, then with the longest list, then with the lowest line. A user with
    a single training event keeps it for training, as in RecBole's leave-one-out split.

    Args:
        rows: Rows for training, then those for test.
        size: Number of rows for training.
        user: Name of the user column.
        time: Name of the time column; None or a column that is not loaded is ignored.
        lists: Name of the column with the earlier items; it is ignored likewise.

    Returns:
        The rows for training, validation and test, in this order, and the number of each.

    Raises:
        DataError: There is no user with two training events.
    """
    train = rows.iloc[:size]
    keys = [train[lists].map(len).to_numpy()] if lists in train else []
    keys += [train[time].to_numpy()] if time in train else []
    order = np.lexsort(keys) if keys else np.arange(size)
    users = train[user].iloc[order]
    last = users.notna() & users.duplicated(keep=False) & ~users.duplicated(keep="last")
    held = np.sort(order[last.to_numpy()])
    if not len(held):
        raise DataError(
            "benchmark_filename names two files, and no user has two training events, the last of which could be "
            "held out for validation; name a third file, between the two"
        )
    kept = np.delete(np.arange(size), held)
    return np.concatenate([kept, held, np.arange(size, len(rows))]), [len(kept), len(held), len(rows) - size]


def make_list_error(field: str, file: str, columns: Collection[str], settings: Mapping[str, Any]) -> DataError:
    """Make the error for benchmark files whose lists of items are not loaded.

    Args:
        field: Name of the column with the earlier items.
        file: The first file.
        columns: Names of its columns.
        settings: RecBole's settings.
    """
    if field not in columns:
        return DataError(
            f"{file} has no column {field}: {settings['model']} reads the earlier items of each event from it; add "
            f"{field}:token_seq, set LIST_SUFFIX, or leave out benchmark_filename and give one .inter file"
        )
    layout = Layout.from_settings(settings)
    if field in ((layout.unload or {}).get("inter") or ()):
        return DataError(f"unload_col names {field} of {file}, which {settings['model']} reads; remove it")
    loaded = [*((layout.load or {}).get("inter") or ()), field]
    complete = {**(layout.load or {}), "inter": loaded}
    return DataError(f'load_col lacks {field} of {file}, the earlier items of each event: --load_col="{complete}"')


class Lists:
    """The cells of a column of lists, as one flat array.

    Args:
        column: Column whose cells are arrays.
    """

    def __init__(self, column: pd.Series) -> None:
        self.lengths = column.map(len).to_numpy(dtype=np.int64)
        self.values = np.concatenate(column.to_numpy()) if len(column) else np.array([], dtype=object)
        starts = np.cumsum(self.lengths) - self.lengths
        self.rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        self.places = np.arange(len(self.values)) - starts[self.rows]

    def mark_inside(self, padding: str) -> np.ndarray:
        """Mark the values from the first to the last of each list that is not padding, shape ``[values]``."""
        real = self.values != padding
        first, last = self.lengths.copy(), np.full(len(self.lengths), -1)
        np.minimum.at(first, self.rows[real], self.places[real])
        np.maximum.at(last, self.rows[real], self.places[real])
        return (self.places >= first[self.rows]) & (self.places <= last[self.rows])

    def is_padding(self, token: str) -> bool:
        """Return True if a token is padding: it is only before or after the others, and repeated or after them."""
        inside = self.mark_inside(token)
        if (self.values[inside] == token).any() or inside.all():
            return False
        outside = np.bincount(self.rows[~inside], minlength=len(self.lengths))
        after = np.append(inside[:-1] & ~inside[1:] & (self.rows[:-1] == self.rows[1:]), False)
        return bool(after.any() or outside.max() > 1)

    def select(self, mask: np.ndarray) -> list[np.ndarray]:
        """Return the lists of the marked values."""
        counts = np.bincount(self.rows[mask], minlength=len(self.lengths))
        return np.split(self.values[mask], np.cumsum(counts)[:-1])


def remove_padding(rows: pd.DataFrame, field: str, others: Sequence[str], items: Collection[str]) -> list[str]:
    """Remove padding from the lists of items, and the values at the same places from lists of other columns.

    Args:
        rows: The interactions, which are changed.
        field: Name of the column with the lists of items.
        others: Names of other columns with lists.
        items: Tokens of all items outside the lists, which are never removed.

    Returns:
        Remarks, one line each.
    """
    remarks = []
    lists = Lists(rows[field])
    for token in [one for one in pd.unique(lists.values) if str(one).lower() in PADDING]:
        if not lists.is_padding(token):
            continue
        inside = lists.mark_inside(token)
        number = len(np.unique(lists.rows[~inside]))
        if token in items:
            if len(set(lists.lengths)) == 1:
                remarks.append(
                    f"{number} lists of {field} begin or end with the item {str(token)!r} and all have "
                    f"{lists.lengths[0]} entries; if it is padding, remove it"
                )
            continue
        for other in others:
            parallel = Lists(rows[other])
            if (parallel.lengths == lists.lengths).all():
                rows[other] = parallel.select(inside)
        rows[field] = lists.select(inside)
        lists = Lists(rows[field])
        remarks.append(f"removed {str(token)!r}, which pads {number} lists of {field} and is not an item")
    return remarks


def drop_events(dataset: Any, dropped: np.ndarray) -> None:
    """Drop events of a RecBole data set, and adjust the sizes of its benchmark files, if it has any.

    Args:
        dataset: The data set, whose events are a pandas frame.
        dropped: Booleans, shape ``[N]``.
    """
    if dataset.benchmark_filename_list is not None:
        part = np.repeat(np.arange(len(dataset.file_size_list)), dataset.file_size_list)
        dataset.file_size_list = np.bincount(part[~dropped], minlength=len(dataset.file_size_list)).tolist()
    kept = dataset.inter_feat[~dropped]
    times = getattr(dataset, "_exact_times", None)  # by the label of a row, see compat/time_order.py
    if times is not None:
        known = kept.index.is_unique and kept.index.isin(times.index).all()
        dataset._exact_times = times.loc[kept.index].reset_index(drop=True) if known else None
    dataset.inter_feat = kept.reset_index(drop=True)
