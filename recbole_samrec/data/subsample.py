"""Less training data: the events of some of the users, for studies of how much data a model needs."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch


def of_some_users(train: Any, share: float, seed: int) -> Any:
    """A training part with the events of a random share of its users, who are among those of every larger share.

    Args:
        train: RecBole's data set of the training part, whose interactions are tensors.
        share: Part of the users that stay, above 0; at least one does.
        seed: Decides which.

    Returns:
        A data set like ``train``, whose attribute ``whole`` is ``train`` itself.
    """
    users = train.inter_feat[train.uid_field].numpy()
    known = np.unique(users)
    drawn = np.random.default_rng(seed).permutation(known)[: max(1, math.ceil(round(share * len(known), 6)))]
    part = copy.copy(train)
    part.inter_feat = train.inter_feat[torch.from_numpy(np.isin(users, drawn))]
    part.whole = train
    return part


def whole(train: Any) -> Any:
    """The training part before a share of it was taken."""
    return getattr(train, "whole", train)
