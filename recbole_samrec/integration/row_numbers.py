"""Number the rows of a data set's file, so that the rows of each part of its split are known."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from recbole.data.dataset import Dataset
from recbole.utils import FeatureSource, FeatureType

from recbole_samrec.compat import Patcher

ROW = "[row]"
"""Column with the number of each row, as tokens: RecBole rounds numbers to float32, which is too coarse."""


@contextmanager
def number_rows() -> Iterator[None]:
    """Add row numbers, counted from 0, to the interactions of each data set that is read in a ``with`` block."""
    load = Dataset._load_inter_feat

    @functools.wraps(load)
    def load_and_number(self: Any, token: str, dataset_path: str) -> None:
        load(self, token, dataset_path)
        self.inter_feat[ROW] = np.arange(len(self.inter_feat))
        self.field2type[ROW], self.field2source[ROW] = FeatureType.TOKEN, FeatureSource.INTERACTION
        self.field2seqlen[ROW] = 1

    patch = Patcher()
    patch(Dataset, "_load_inter_feat", load_and_number)
    try:
        yield
    finally:
        patch.undo()


def find_rows(dataset: Any, events: Any) -> np.ndarray:
    """Find the row numbers of events.

    Args:
        dataset: RecBole's data set, read with :func:`number_rows`.
        events: Its interactions or those of a part, a frame or tensors of internal ids.
    """
    return dataset.field2id_token[ROW][np.asarray(events[ROW])].astype(np.int64)
