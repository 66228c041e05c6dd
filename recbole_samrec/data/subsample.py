"""Subsets of the training data: the events of a share of the users, for studies of how much data a model needs."""

from __future__ import annotations

import copy
import math
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

_FULL: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
"""Complete training parts by the subsets that were drawn from them."""


def sample_users(train: Any, share: float, seed: int) -> Any:
    """Draw a share of the users of a training part.

    Each user has a number that depends on the seed and the user's id only, and those with the lowest are taken: larger
    shares include these users, and two training parts of the same data share most of them.

    Args:
        train: RecBole's data set of the training part, whose interactions are tensors.
        share: Share of the users to keep, above 0; at least one is kept.
        seed: Seed of the draw.

    Returns:
        A data set like ``train`` with the events of these users only.
    """
    users = train.inter_feat[train.uid_field].numpy()
    known = np.unique(users)
    numbers = np.random.default_rng(seed).random(train.user_num)[known]
    drawn = known[np.argsort(numbers)[: max(1, math.ceil(round(share * len(known), 6)))]]
    part = copy.copy(train)
    part.inter_feat = train.inter_feat[torch.from_numpy(np.isin(users, drawn))]
    if (firsts := getattr(train, "first_items", None)) is not None:  # see data/item_counts.py
        part.first_items = np.where(np.isin(np.arange(len(firsts)), drawn), firsts, 0)
    _FULL[part] = train
    return part


def full_training_part(train: Any) -> Any:
    """Return the training part before users were sampled."""
    return _FULL.get(train, train)
