"""Histories, candidates and counts of the parts of a global temporal split, in addition to their samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recbole_samrec.data.temporal_options import read_options
from recbole_samrec.data.temporal_split import Served, SplitCounts
from recbole_samrec.utils.checkpoint_io import open_atomically
from recbole_samrec.utils.errors import CheckpointError

SELECTS_EPOCH = "selects_epoch"
"""Setting with which a run that is trained again is in its first training, which has a validation set."""


CANDIDATES = "candidates.npz"
"""File of the items that may be recommended and of the trained users, by the ids of a run, in its folder."""


@dataclass(frozen=True)
class Held:
    """Data of a validation or test part in addition to its samples.

    Args:
        items: Items of the sequences, one sequence after the other, shape ``[N]``.
        starts: First event of each sample's history, shape ``[S]``.
        ends: Each sample's target, one past the last event of its history, shape ``[S]``.
        served: The candidates, and the users that were trained on.
        training_counts: Number of training events of each item, shape ``[items]``.
    """

    items: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    served: Served
    training_counts: np.ndarray

    @property
    def candidates(self) -> np.ndarray:
        """The items that may be recommended: booleans by item id, shape ``[items]``."""
        return self.served.candidates

    @property
    def lengths(self) -> np.ndarray:
        """Number of events before each target, shape ``[S]``."""
        return self.ends - self.starts

    def find_history(self, sample: int) -> np.ndarray:
        """Find the items before the target of a sample."""
        return self.items[self.starts[sample] : self.ends[sample]]


def find_held(dataset: Any) -> Held | None:
    """Find the additional data of a part; None for other splits and for training parts."""
    return getattr(dataset, "held", None)


def find_counts(dataset: Any) -> SplitCounts | None:
    """Find the counts of a data set's global temporal split; None for other splits, or before the split."""
    return getattr(dataset, "split_counts", None)


def trains_on_all(config: Any) -> bool:
    """Return True during the second training of a run, which includes all events before the test."""
    options = read_options(config["eval_args"])
    return options is not None and options.retrain and not config[SELECTS_EPOCH]


def save_served(file: Path, served: Served) -> None:
    """Write the items that may be recommended, and the users that were trained on."""
    items, users = (np.flatnonzero(which).astype(np.int32) for which in (served.candidates, served.users))
    with open_atomically(file) as stream:
        np.savez_compressed(stream, items=items, users=users)


def load_served(file: Path, n_users: int, n_items: int) -> Served | None:
    """Read what was written by :func:`save_served`; None for a run of another split, which has no file.

    Raises:
        CheckpointError: The file is damaged.
    """
    if not file.exists():
        return None
    served = Served(np.zeros(n_items, dtype=bool), np.zeros(n_users, dtype=bool))
    try:
        with np.load(file, allow_pickle=False) as arrays:
            served.candidates[arrays["items"]] = True
            served.users[arrays["users"] if "users" in arrays else slice(None)] = True
    except Exception as error:  # zip, zlib and numpy each raise their own error for a damaged file
        raise CheckpointError(
            f"{file}: the candidates of the run cannot be read ({type(error).__name__}: {error}); copy the file from "
            "where the run was trained, or train the run again"
        ) from error
    return served
