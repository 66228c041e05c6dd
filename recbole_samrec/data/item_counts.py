"""Number of occurrences of each item in the training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def count_training_items(dataset: Any) -> Tensor:
    """Count the items of the training interactions; of a sequential data set, the targets.

    Args:
        dataset: RecBole's data set of the training part.

    Returns:
        Integers ``[items]`` on the CPU, including item 0, the padding.
    """
    return torch.bincount(dataset.inter_feat[dataset.iid_field].cpu(), minlength=dataset.item_num)


def count_training_events(dataset: Any) -> Tensor:
    """Count the training events of each item, including each user's first one, which is not a target.

    Events that are validation or test targets are not training events. After a time split the first event of a user
    counts only if the user has a training target, since it may be later than the split otherwise.

    Args:
        dataset: RecBole's data set of the training part.

    Returns:
        Integers ``[items]`` on the CPU; item 0, the padding, has none.
    """
    counts = count_training_items(dataset)
    length = getattr(dataset, "item_list_length_field", None)
    if length is None or length not in dataset.inter_feat:  # every event has a line
        return counts
    firsts = getattr(dataset, "first_items", None)
    if firsts is None:
        firsts = _read_first_items(dataset, length)
    if "TS" in (dataset.config["eval_args"]["split"] or {}):
        firsts = np.where(_has_target(dataset), firsts, 0)
    counts += torch.bincount(torch.from_numpy(firsts), minlength=dataset.item_num)
    counts[0] = 0
    return counts


def find_candidates(dataset: Any) -> np.ndarray:
    """Find the items that may be recommended: all, or those that a global temporal split leaves.

    Args:
        dataset: RecBole's data set of the training part.

    Returns:
        Booleans by item id, shape ``[items]``; False for the padding.
    """
    candidates = getattr(dataset, "candidates", None)
    return np.arange(dataset.item_num) > 0 if candidates is None else candidates


def find_first_items(users: np.ndarray, items: np.ndarray, parts: Sequence[Any]) -> np.ndarray | None:
    """Find the item of each user's first event, which is the only one that is not a target.

    Args:
        users: Users of all events, shape ``[N]``.
        items: Items of all events, shape ``[N]``.
        parts: RecBole's data sets of all parts of the split, which have one line per target.

    Returns:
        The first item of each user, 0 for a user without events, shape ``[users]``; None if there is not exactly one
        event per user that is not a target.
    """
    uid, iid, n_users = parts[0].uid_field, parts[0].iid_field, parts[0].user_num
    targets = [np.concatenate([part.inter_feat[field].numpy() for part in parts]) for field in (uid, iid)]
    missing = np.bincount(users, minlength=n_users) - np.bincount(targets[0], minlength=n_users)
    if not np.array_equal(missing, np.isin(np.arange(n_users), users)):
        return None
    # Sums of ids stay below 2**53, so that float64 is exact.
    sums = np.bincount(users, items, minlength=n_users) - np.bincount(targets[0], targets[1], minlength=n_users)
    return sums.astype(np.int64)


def _read_first_items(dataset: Any, length: str) -> np.ndarray:
    """Read each user's first item from the list of the user's first sample, where this list has one item."""
    single = np.flatnonzero(dataset.inter_feat[length].numpy() == 1)
    users = dataset.inter_feat[dataset.uid_field].numpy()[single]
    known, earliest = np.unique(users, return_index=True)  # with MAX_ITEM_LIST_LENGTH=1 all lists have one item
    firsts = np.zeros(dataset.user_num, dtype=np.int64)
    samples = dataset[torch.from_numpy(single[earliest])]
    firsts[known] = samples[dataset.iid_field + dataset.config["LIST_SUFFIX"]][:, 0].numpy()
    return firsts


def _has_target(dataset: Any) -> np.ndarray:
    return np.bincount(dataset.inter_feat[dataset.uid_field].numpy(), minlength=dataset.user_num) > 0
