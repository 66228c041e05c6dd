"""Sequences of the training part, whether it contains RecBole's sample for each prefix or each event once.

Both kinds of data give the same sequences, without events of the validation and the test part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_samrec.data.packed_dataset import PackedDataset
from recbole_samrec.utils.random import draw_below


@dataclass(frozen=True)
class TrainingSamples:
    """Sequences of items, each a slice of one flat list, assembled on access.

    Args:
        items: The flat list, shape ``[N]``.
        starts: Start of each sequence, shape ``[S]``.
        ends: End of each sequence, one position after its last item, shape ``[S]``.
        targets: The item that follows each sequence, shape ``[S]``, where the sequences are prefixes.
        longest: Length of the longest sequence, if it is known; on a GPU sequences are padded to it, because asking
            for the longest of a few would wait for it.
    """

    items: Tensor
    starts: Tensor
    ends: Tensor
    targets: Tensor | None = None
    longest: int | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Return sequences ``[n, L]``, left-aligned and 0 after their ends, and lengths ``[n]``."""
        starts, lengths = self.starts[which], self.ends[which] - self.starts[which]
        width = int(lengths.max()) if lengths.is_cpu or self.longest is None else self.longest
        place = torch.arange(width, device=starts.device)
        inside = place < lengths.unsqueeze(1)
        return self.items[(starts.unsqueeze(1) + place) * inside] * inside, lengths

    def take_packed(self, which: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Return sequences with as much history as targets have in packed training.

        In packed training a target with a long history is at any position of the second half of a window of ``length``
        events, not always at the last. If sequences were always full, the last position would learn from them alone.

        Args:
            which: Indices of sequences, shape ``[n]``.
            length: Most items of a sequence, ``L``; one of this length loses up to half of its items, at its beginning.

        Returns:
            Sequences and lengths, as indexing returns them.
        """
        full = self.ends[which] - self.starts[which] == length
        skipped = draw_below(torch.full_like(which, length // 2 + 1)) * full
        chosen = replace(self, starts=self.starts[which] + skipped, ends=self.ends[which])
        return chosen[torch.arange(len(which), device=which.device)]


def collect_user_sequences(dataset: Any, length: int, device: torch.device | str = "cpu") -> TrainingSamples:
    """Collect the last items of each user's training part, users in ascending order.

    Args:
        dataset: RecBole's data set of the training part.
        length: Most items of a sequence.
        device: Device of the result.
    """
    if isinstance(dataset, PackedDataset):
        targets = dataset.list_targets()
        user = np.searchsorted(dataset.offsets, targets, side="right") - 1
        last = np.flatnonzero(np.diff(user, append=-1))
        ends, first = targets[last] + 1, dataset.offsets[user[last]]
        items = dataset.events[dataset.iid_field]
    else:
        table, ends = _append_targets(dataset, _find_last_samples(dataset))
        first = np.arange(len(table)) * table.size(1)
        items, ends = table.flatten(), first + ends
    return _move(device, items, np.maximum(first, ends - length), ends)


def collect_prefixes(dataset: Any, length: int, device: torch.device | str = "cpu") -> TrainingSamples:
    """Collect the history of each target of the training part, with the targets.

    Args:
        dataset: RecBole's data set of the training part.
        length: Most items of a prefix.
        device: Device of the result.
    """
    if isinstance(dataset, PackedDataset):
        ends = dataset.list_targets()
        first = dataset.offsets[np.searchsorted(dataset.offsets, ends, side="right") - 1]
        items = dataset.events[dataset.iid_field]
        targets = items[torch.from_numpy(ends)]
    else:
        samples = dataset.inter_feat
        table, targets = samples[_name_list_field(dataset)], samples[dataset.iid_field]
        first = np.arange(len(table)) * table.size(1)
        items, ends = table.flatten(), first + samples[dataset.item_list_length_field].numpy()
    return _move(device, items, np.maximum(first, ends - length), ends, targets)


def _find_last_samples(dataset: Any) -> Tensor:
    """Find each user's last sample, users in ascending order; samples of a user are in time order."""
    users = dataset.inter_feat[dataset.uid_field].numpy()
    _, from_end = np.unique(users[::-1], return_index=True)
    return torch.from_numpy(len(users) - 1 - from_end)


def _append_targets(dataset: Any, which: Tensor) -> tuple[Tensor, np.ndarray]:
    """Append the targets to the prefixes of RecBole's samples; return ``[n, L + 1]`` and lengths ``[n]``."""
    samples = dataset.inter_feat
    table = torch.nn.functional.pad(samples[_name_list_field(dataset)][which], (0, 1))
    lengths = samples[dataset.item_list_length_field][which]
    table[torch.arange(len(table)), lengths] = samples[dataset.iid_field][which]
    return table, lengths.numpy() + 1


def _name_list_field(dataset: Any) -> str:
    return getattr(dataset, f"{dataset.iid_field}_list_field")


def _move(
    device: torch.device | str, items: Tensor, starts: np.ndarray, ends: np.ndarray, targets: Tensor | None = None
) -> TrainingSamples:
    moved = None if targets is None else targets.to(device)
    bounds = (torch.from_numpy(starts).to(device), torch.from_numpy(ends).to(device))
    return TrainingSamples(items.to(device), *bounds, moved, int((ends - starts).max(initial=1)))
