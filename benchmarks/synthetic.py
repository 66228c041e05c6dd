"""Synthetic sequences made in memory, for measurements on data sets that are larger than those that can be shipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction

from recbole_samrec.data.packed_dataset import EVENT, PackedDataset

MEAN_LENGTH = 50


def draw_sequences(interactions: int, items: int, seed: int = 2020) -> tuple[np.ndarray, np.ndarray]:
    """Draw users' sequences of items.

    Lengths are uniform from 5 to 95 events. Items are drawn so that their popularity falls like one over their rank.

    Args:
        interactions: Number of events.
        items: Number of items, numbered from 1.
        seed: Seed of the draws.

    Returns:
        The items of all users one after the other, shape ``[interactions]``, and the offsets of the users in them,
        shape ``[users + 1]``.
    """
    draw = np.random.default_rng(seed)
    lengths = draw.integers(5, 2 * MEAN_LENGTH - 4, size=2 * interactions // MEAN_LENGTH + 2)
    ends = np.cumsum(lengths)
    ends = ends[: np.searchsorted(ends, interactions - 1)]  # the last user gets the remaining events, at least 2
    offsets = np.concatenate([[0], ends, [interactions]])
    # If log(1 + item) is uniform, an item's probability is roughly one over its index.
    drawn = np.exp(draw.random(interactions) * np.log(items + 1)).astype(np.int64)
    return np.clip(drawn, 1, items), offsets


class Synthetic(PackedDataset):
    """A data set of sequences in memory, with the attributes that a model and the packed loader read.

    Args:
        config: RecBole's configuration.
        interactions: Number of events.
        items: Number of items.
    """

    def __init__(self, config: Any, interactions: int, items: int) -> None:
        drawn, self.offsets = draw_sequences(interactions, items)
        self.config, self.item_count = config, items + 1
        self.uid_field, self.iid_field = config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]
        self.item_list_length_field = config["ITEM_LIST_LENGTH_FIELD"]
        self.users = np.arange(1, len(self.offsets))
        self.events = Interaction({self.iid_field: torch.from_numpy(drawn)})
        targets = torch.from_numpy(np.delete(np.arange(interactions), self.offsets[:-1]))
        self.inter_feat = Interaction({self.iid_field: self.events[self.iid_field][targets], EVENT: targets})

    def num(self, field: str) -> int:
        """Number of users or items, including the padding one."""
        return self.item_count if field == self.iid_field else len(self.users) + 1

    @property
    def item_num(self) -> int:
        """Number of items, including the padding one."""
        return self.item_count
