"""The items that a user had before the event to be predicted, for measures that mask them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from recbole_samrec.data.temporal_held import find_held

_EARLIER: WeakKeyDictionary[Any, tuple[Any, ...]] = WeakKeyDictionary()
"""Loaders of the earlier parts of a split, by the loader of a later part.

RecBole gives a trainer one loader at a time, without the others. The three are available together
only where ``data_preparation`` makes them (:mod:`recbole_samrec.integration.hooks`).
"""


def remember_split(train_data: Any, valid_data: Any, test_data: Any) -> None:
    """Remember which loaders belong to one split."""
    _EARLIER[valid_data] = (train_data,)
    _EARLIER[test_data] = (train_data, valid_data)


def earlier_loaders(loader: Any) -> tuple[Any, ...]:
    """Return the loaders of the parts before the part of a loader; empty if the split was made elsewhere."""
    return _EARLIER.get(loader, ())


@dataclass(frozen=True)
class Histories:
    """The items of each user in order, one user after the other.

    Args:
        items: Item ids of all users, shape ``[N]``.
        offsets: User ``u`` has ``items[offsets[u]:offsets[u + 1]]``, shape ``[users + 1]``.
    """

    items: np.ndarray
    offsets: np.ndarray

    @classmethod
    def group_events(cls, users: np.ndarray, items: np.ndarray, n_users: int) -> Histories:
        """Group events, given in the order in which they happened, by user."""
        order = np.argsort(users, kind="stable")
        offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))])
        return cls(items[order], offsets)

    def find(self, user: int, before: int | None = None) -> np.ndarray:
        """Find the items of a user, or the first ``before`` of them."""
        start, end = self.offsets[user], self.offsets[user + 1]
        return self.items[start : end if before is None else min(start + before, end)]


def mask_items(
    scores: torch.Tensor, hidden: Sequence[np.ndarray], target_rows: np.ndarray, targets: np.ndarray
) -> None:
    """Set the scores of items to minus infinity, except those of the items to be predicted.

    Args:
        scores: Scores of all items, shape ``[B, items]``, changed in place.
        hidden: Items to mask, for each sample.
        target_rows: Index in ``scores`` of the sample of each item to be predicted, shape ``[T]``.
        targets: The items to be predicted, shape ``[T]``.
    """
    row = np.repeat(np.arange(len(hidden)), [len(items) for items in hidden])
    column = np.concatenate(hidden).astype(np.int64) if hidden else row
    kept = scores[target_rows, targets].clone()
    scores[torch.from_numpy(row), torch.from_numpy(column)] = -torch.inf
    scores[target_rows, targets] = kept


class HistoryMask:
    """Masks the history of each user in a full ranking.

    RecBole's sequential evaluation masks nothing but the padding item, whereas many published tables mask the history.
    The samples of a data set come in their order, every ``world``-th of them in each of ``world`` processes.

    Args:
        earlier: RecBole data sets of the earlier parts of the split, in order (train; or train and valid).
        dataset: RecBole data set that is evaluated.
        rank: Number of this process.
        world: Number of processes.
    """

    def __init__(self, earlier: Sequence[Any], dataset: Any, rank: int = 0, world: int = 1) -> None:
        self._user, self._item = dataset.uid_field, dataset.iid_field
        length = getattr(dataset, "item_list_length_field", None)
        self._sequential = length is not None and length in dataset.inter_feat
        self._steps = range(rank, len(dataset), world)
        self._met = 0
        self._held = find_held(dataset)
        if self._held is not None:
            return
        if self._sequential and dataset.benchmark_filename_list is not None:
            self._histories = None  # samples of benchmark files are independent; each has its own history
            self._list = self._list_of(dataset)
            return
        events = [self._events(part) for part in earlier]
        # Samples contain targets; a user's first item occurs only in the list of the user's first sample.
        if length is not None and self._sequential:
            first_items = self._first_items([*earlier, dataset], length)
            before = [first_items, *events]
            events = [*before, self._events(dataset)]
            seen = np.bincount(np.concatenate([users for users, _ in before]), minlength=dataset.user_num)
            users = events[-1][0]
            self._before = seen[users] + count_earlier(users)
        users, items = (np.concatenate(columns) for columns in zip(*events, strict=True))
        self._histories = Histories.group_events(users, items, dataset.user_num)

    def _events(self, part: Any) -> tuple[np.ndarray, np.ndarray]:
        return part.inter_feat[self._user].numpy(), part.inter_feat[self._item].numpy()

    def _list_of(self, part: Any) -> str:
        return getattr(part, f"{self._item}_list_field")

    def _first_items(self, parts: Sequence[Any], length: str) -> tuple[np.ndarray, np.ndarray]:
        users, items = [], []
        for part in parts:
            first = (part.inter_feat[length] == 1).numpy()
            users.append(part.inter_feat[self._user].numpy()[first])
            lists = self._list_of(part)
            if lists in part.inter_feat:
                items.append(part.inter_feat[lists][:, 0].numpy()[first])
            else:  # the part for packed training
                items.append(part.find_items_before(first))
        # If lists have one item, every sample has length 1; a user's first sample is the earliest one.
        known, earliest = np.unique(np.concatenate(users), return_index=True)
        return known, np.concatenate(items)[earliest]

    def apply(self, scores: torch.Tensor, interaction: Any, positive_u: torch.Tensor, positive_i: torch.Tensor) -> None:
        """Mask the histories of the next batch in its scores, shape ``[B, items]``; targets always stay."""
        mask_items(scores, self.find(interaction), positive_u.cpu().numpy(), positive_i.cpu().numpy())

    def find(self, interaction: Any) -> list[np.ndarray]:
        """Find the items before the targets of each sample of the next batch."""
        users = interaction[self._user].cpu().numpy()
        if self._held is not None:
            return [self._held.find_history(sample) for sample in self._next_samples(len(users))]
        if self._histories is None:
            return [items[items > 0] for items in interaction[self._list].cpu().numpy()]
        if self._sequential:
            numbers = self._next_samples(len(users))
            return [self._histories.find(u, self._before[n]) for u, n in zip(users, numbers, strict=True)]
        return [self._histories.find(user) for user in users]

    def _next_samples(self, number: int) -> range:
        """Return the numbers of the next samples."""
        samples = self._steps[self._met : self._met + number]
        self._met = (self._met + number) % len(self._steps)
        return samples


def count_earlier(values: np.ndarray) -> np.ndarray:
    """Count how often each value occurred before: ``[7, 7, 3, 7]`` gives ``[0, 1, 0, 2]``."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(values) else np.array([], dtype=int)
    counts = np.empty(len(values), dtype=np.int64)
    counts[order] = np.arange(len(values)) - np.repeat(starts, np.diff(np.r_[starts, len(values)]))
    return counts
