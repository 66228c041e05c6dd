"""Tokens of the users, items and other fields of a run, in the order of their internal ids."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.utils.checkpoint_io import open_atomically
from recbole_samrec.utils.errors import CheckpointError

TOKENS = "tokens.parquet"
"""File of the tokens in the folder of a run."""


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of fields.

    Args:
        tokens: For each field its tokens by internal id; id 0 is RecBole's padding token.
        read: The fields for which the model has weights, which determine the known tokens.
    """

    tokens: Mapping[str, np.ndarray]
    read: frozenset[str]

    @classmethod
    def collect(cls, dataset: Any, read: Collection[str]) -> Vocabulary:
        """Collect the tokens of users, items and every field that a model reads.

        Args:
            dataset: RecBole's data set.
            read: Names of the fields that the model reads.
        """
        stored = dataset.field2id_token
        fields = dict.fromkeys((dataset.uid_field, dataset.iid_field, *sorted(read)))
        return cls({field: stored[field] for field in fields if field in stored}, frozenset(read).intersection(stored))

    def save(self, path: Path) -> None:
        """Write a table with the columns ``field``, ``id``, ``token`` and ``read``, one line for each token."""
        frames = [
            pd.DataFrame({"field": field, "id": np.arange(len(tokens), dtype=np.int32), "token": tokens.astype(str)})
            for field, tokens in self.tokens.items()
        ]
        table = pd.concat(frames, ignore_index=True)
        table["read"] = table["field"].isin(self.read)
        table["field"] = table["field"].astype("category")
        with open_atomically(path) as file:
            table.to_parquet(file, index=False, engine="pyarrow", compression="zstd")


def load_vocabulary(path: Path) -> Vocabulary:
    """Read the tokens of a run.

    Raises:
        CheckpointError: The file is damaged.
    """
    try:
        table = pd.read_parquet(path, engine="pyarrow")
        fields = table.groupby("field", sort=False, observed=True)
        tokens = {str(field): lines["token"].to_numpy(dtype=object) for field, lines in fields}
        read = table.loc[table["read"], "field"].unique()
    except Exception as error:  # pyarrow, pandas and the file system each raise their own errors
        raise CheckpointError(
            f"{path}: the tokens of the run cannot be read ({type(error).__name__}: {error}); copy the file from where "
            "the run was trained, or train the run again"
        ) from error
    return Vocabulary(tokens, frozenset(map(str, read)))
