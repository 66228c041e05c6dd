"""The sequences of the training part, whether it holds RecBole's row for each prefix or each event once.

Both kinds of data give the same rows. Nothing of the validation or the test part is in them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_samrec.data.packed_dataset import PackedDataset
from recbole_samrec.utils.random import below


@dataclass(frozen=True)
class TrainingRows:
    """Rows of items, each a stretch of one flat list, put together when they are asked for.

    Args:
        items: The flat list, shape ``[N]``.
        starts: Where each row begins, shape ``[R]``.
        ends: Where each row ends, one place after its last item, shape ``[R]``.
        targets: The item that follows each row, shape ``[R]``, where the rows are training examples.
    """

    items: Tensor
    starts: Tensor
    ends: Tensor
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Some rows, left-aligned and 0 after their ends, as wide as the longest ``[n, L]``, and lengths ``[n]``."""
        starts, lengths = self.starts[which], self.ends[which] - self.starts[which]
        place = torch.arange(int(lengths.max()), device=starts.device)
        inside = place < lengths.unsqueeze(1)
        return self.items[(starts.unsqueeze(1) + place) * inside] * inside, lengths

    def as_packed(self, which: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Some rows with as many items before their ends as packed training gives to targets.

        A target far from its user's beginning stands at any place of the second half of a row of ``length``, not
        always at the last one. Rows that are always full would have the last position learn from them alone.

        Args:
            which: Numbers of rows, shape ``[n]``.
            length: Most items of a row, ``L``; a row of so many loses up to half of them, at its beginning.

        Returns:
            As indexing does.
        """
        full = self.ends[which] - self.starts[which] == length
        skipped = below(torch.full_like(which, length // 2 + 1)) * full
        chosen = replace(self, starts=self.starts[which] + skipped, ends=self.ends[which])
        return chosen[torch.arange(len(which), device=which.device)]


def of_users(dataset: Any, length: int, device: torch.device | str = "cpu") -> TrainingRows:
    """The last items of each user's training part, of users in ascending order.

    Args:
        dataset: RecBole's data set of the training part.
        length: Most items of a row.
        device: Where the rows shall lie.
    """
    if isinstance(dataset, PackedDataset):
        targets = dataset.targets()
        user = np.searchsorted(dataset.offsets, targets, side="right") - 1
        last = np.flatnonzero(np.diff(user, append=-1))
        ends, first = targets[last] + 1, dataset.offsets[user[last]]
        items = dataset.events[dataset.iid_field]
    else:
        table, ends = _with_targets(dataset, _last_rows(dataset))
        first = np.arange(len(table)) * table.size(1)
        items, ends = table.flatten(), first + ends
    return _on(device, items, np.maximum(first, ends - length), ends)


def of_targets(dataset: Any, length: int, device: torch.device | str = "cpu") -> TrainingRows:
    """What came before each target of the training part, with the targets.

    Args:
        dataset: RecBole's data set of the training part.
        length: Most items of a row.
        device: Where the rows shall lie.
    """
    if isinstance(dataset, PackedDataset):
        ends = dataset.targets()
        first = dataset.offsets[np.searchsorted(dataset.offsets, ends, side="right") - 1]
        items = dataset.events[dataset.iid_field]
        targets = items[torch.from_numpy(ends)]
    else:
        rows = dataset.inter_feat
        table, targets = rows[_list_field(dataset)], rows[dataset.iid_field]
        first = np.arange(len(table)) * table.size(1)
        items, ends = table.flatten(), first + rows[dataset.item_list_length_field].numpy()
    return _on(device, items, np.maximum(first, ends - length), ends, targets)


def _last_rows(dataset: Any) -> Tensor:
    """Where each user's last row stands, of users in ascending order; rows of a user are in the order of time."""
    users = dataset.inter_feat[dataset.uid_field].numpy()
    _, from_behind = np.unique(users[::-1], return_index=True)
    return torch.from_numpy(len(users) - 1 - from_behind)


def _with_targets(dataset: Any, which: Tensor) -> tuple[Tensor, np.ndarray]:
    """Some of RecBole's rows with their targets after their last items ``[n, L + 1]``, and lengths ``[n]``."""
    rows = dataset.inter_feat
    table = torch.nn.functional.pad(rows[_list_field(dataset)][which], (0, 1))
    lengths = rows[dataset.item_list_length_field][which]
    table[torch.arange(len(table)), lengths] = rows[dataset.iid_field][which]
    return table, lengths.numpy() + 1


def _list_field(dataset: Any) -> str:
    return getattr(dataset, f"{dataset.iid_field}_list_field")


def _on(
    device: torch.device | str, items: Tensor, starts: np.ndarray, ends: np.ndarray, targets: Tensor | None = None
) -> TrainingRows:
    there = None if targets is None else targets.to(device)
    places = (torch.from_numpy(starts).to(device), torch.from_numpy(ends).to(device))
    return TrainingRows(items.to(device), *places, there)
