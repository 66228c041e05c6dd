"""The order of the rows that a run was trained on, so that the same rows in another order give the same run.

RecBole splits and shuffles by the place of a row in the file, and rows with equal times keep their order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.utils.checkpoint_io import open_atomically
from recbole_samrec.utils.errors import CheckpointError

ROWS = "rows.npz"
"""File of the order of the rows in the folder of a run."""

_DECIMALS = 3
"""Decimals of times that are compared: RecBole fills missing ones with a mean, whose last digits follow the order."""


@dataclass(frozen=True)
class TableOrder:
    """The order of the rows of one table.

    Args:
        order: Place in the table of each row of the sorted table, shape ``[N]``.
        digest: Hash of the ids and times of the sorted table.
    """

    order: np.ndarray
    digest: str

    @classmethod
    def of(cls, table: pd.DataFrame, keys: tuple[str, ...]) -> TableOrder:
        """Sort a table by its key columns, then by its other numerical columns.

        Args:
            table: A table whose tokens are internal ids.
            keys: Columns that identify a row.
        """
        numbers = [name for name in table if name not in keys and pd.api.types.is_numeric_dtype(table[name])]
        columns = {name: table[name].to_numpy() for name in (*keys, *numbers)}
        order = np.lexsort(list(columns.values())[::-1]).astype(np.int32 if len(table) < 2**31 else np.int64)
        digest = hashlib.sha256()
        for name in keys:
            digest.update(np.round(columns[name][order].astype(np.float64), _DECIMALS).tobytes())
        return cls(order, digest.hexdigest())

    def restore(self, table: pd.DataFrame, now: TableOrder) -> pd.DataFrame:
        """Put the rows of a table with the same content in this order; they keep their labels.

        Args:
            table: The table.
            now: Its own order.
        """
        places = np.empty_like(self.order)
        places[self.order] = now.order
        return table.iloc[places]


@dataclass(frozen=True)
class RowOrder:
    """The order of the rows of a data set.

    Args:
        tables: The order of each table, by RecBole's name for it.
        sha256: Hash of the files of interactions, as in ``result.json``.
    """

    tables: dict[str, TableOrder]
    sha256: str

    @classmethod
    def of(cls, dataset: Any, sha256: str) -> RowOrder:
        """Find the order of the rows of RecBole's data set, which is not split yet.

        Args:
            dataset: The data set, whose tables are pandas frames of internal ids.
            sha256: Hash of the files of interactions.
        """
        tables = {}
        for name, keys in list_tables(dataset).items():
            tables[name] = TableOrder.of(number_parts(dataset, name), keys)
        return cls(tables, sha256)

    def save(self, path: Path) -> None:
        """Write the order: for each table an array of places and a hash."""
        arrays: dict[str, Any] = {name: table.order for name, table in self.tables.items()}
        arrays |= {f"{name}_sha256": np.array(table.digest) for name, table in self.tables.items()}
        with open_atomically(path) as file:
            np.savez_compressed(file, sha256=np.array(self.sha256), **arrays)


def list_tables(dataset: Any) -> dict[str, tuple[str, ...]]:
    """List the tables whose rows RecBole keeps in the order of the file, and the columns that identify a row."""
    fields = (PART, dataset.uid_field, dataset.iid_field, dataset.time_field)
    tables = {"inter_feat": tuple(field for field in fields if field == PART or field in dataset.inter_feat)}
    if getattr(dataset, "kg_feat", None) is not None:
        tables["kg_feat"] = (dataset.head_entity_field, dataset.relation_field, dataset.tail_entity_field)
    return tables


PART = "[part]"
"""Column with the number of the benchmark file of a row."""


def number_parts(dataset: Any, name: str) -> pd.DataFrame:
    """Return a table of a data set, that of interactions with the number of the benchmark file of each row."""
    table = getattr(dataset, name)
    if name != "inter_feat":
        return table
    sizes = dataset.file_size_list if dataset.benchmark_filename_list is not None else [len(table)]
    return table.assign(**{PART: np.repeat(np.arange(len(sizes)), sizes)})


def load_row_order(path: Path) -> RowOrder:
    """Read the order of the rows of a run.

    Raises:
        CheckpointError: The file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = [name.removesuffix("_sha256") for name in arrays if name.endswith("_sha256")]
            tables = {name: TableOrder(arrays[name], str(arrays[f"{name}_sha256"])) for name in names}
            return RowOrder(tables, str(arrays["sha256"]))
    except Exception as error:  # zip, zlib and numpy each raise their own error for a damaged file
        raise CheckpointError(
            f"{path}: the order of the run's rows cannot be read ({type(error).__name__}: {error}); copy the file from "
            "where the run was trained, or train the run again"
        ) from error
