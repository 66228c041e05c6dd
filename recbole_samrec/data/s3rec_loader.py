"""Batches that S3Rec is pre-trained on: users' training sequences, left-aligned, with items and segments masked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_samrec.data.batches import POOL
from recbole_samrec.data.packed_dataset import PackedDataset
from recbole_samrec.data.sequences import align_left
from recbole_samrec.data.windows import cut_windows
from recbole_samrec.utils.errors import ConfigError

ATTEMPTS = 100
"""Number of redraws of a negative item that is in the sequence; a sequence of nearly all items may get none."""


def corrupt(
    items: Tensor, lengths: Tensor, users: Tensor, n_items: int, mask_ratio: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Mask items and a segment of each sequence, and draw negative items and segments.

    Args:
        items: Left-aligned sequences of items, 0 after their ends, shape ``[B, L]``.
        lengths: Number of items of each sequence, shape ``[B]``.
        users: User of each sequence, shape ``[B]``.
        n_items: Number of items including the padding item 0; it is also the mask token, which follows the items.
        mask_ratio: Probability that an item is masked.
        generator: Source of all random draws.

    Returns:
        ``items``; ``masked``, the sequences with the mask token in place of some items; ``negatives``, for each of
        these an item that is not in the sequence, 0 elsewhere; and the fields of :func:`draw_segments`.
    """
    chosen = (torch.rand(items.shape, generator=generator) < mask_ratio) & (items > 0)
    return {
        "items": items,
        "masked": items.masked_fill(chosen, n_items),
        "negatives": draw_unseen(items, chosen, n_items, generator),
        **draw_segments(items, lengths, users, n_items, generator),
    }


def find_positions(batch: dict[str, Tensor], mask_token: int) -> dict[str, Tensor]:
    """Find the positions that the objectives read, on the CPU, since a GPU would have to be waited for.

    Args:
        batch: The fields of :func:`corrupt`.
        mask_token: Number of the mask token.

    Returns:
        Each as one row ``[1, n]``: ``where``, the positions of events in the flattened sequences; among these
        ``shown``, which are not masked, ``hidden``, which are, and ``tested``, which have a negative item as well; and
        ``pairs``, the sequences with a segment.
    """
    masked = batch["masked"].flatten()
    where = masked.nonzero().squeeze(1)
    hidden = masked[where] == mask_token
    tested = hidden & (batch["negatives"].flatten()[where] > 0)
    marks = {"shown": ~hidden, "hidden": hidden, "tested": tested, "pairs": batch["usable"]}
    return {"where": where.unsqueeze(0), **{name: mark.nonzero().T for name, mark in marks.items()}}


def draw_unseen(items: Tensor, where: Tensor, n_items: int, generator: torch.Generator) -> Tensor:
    """Draw one item for each of some positions, uniformly from the items that are not in the sequence.

    Args:
        items: Sequences of items, shape ``[B, L]``.
        where: Mask of the positions, shape ``[B, L]``.
        n_items: Number of items including the padding item 0.
        generator: Source of the draws.

    Returns:
        Items, shape ``[B, L]``, 0 at the other positions and where no such item was found.
    """
    seen = torch.zeros(len(items), n_items, dtype=torch.bool).scatter_(1, items, True)
    sequences = where.nonzero()[:, 0]
    drawn = torch.randint(1, n_items, sequences.shape, generator=generator)
    for _ in range(ATTEMPTS):
        again = seen[sequences, drawn].nonzero().squeeze(1)
        if not len(again):
            break
        drawn[again] = torch.randint(1, n_items, again.shape, generator=generator)
    drawn[seen[sequences, drawn]] = 0
    return torch.zeros_like(items).masked_scatter_(where, drawn)


def draw_segments(
    items: Tensor, lengths: Tensor, users: Tensor, mask_token: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Draw a segment of each sequence, up to half of it, and one of the same length from another user's sequence.

    Args:
        items: Left-aligned sequences of items, 0 after their ends, shape ``[B, L]``.
        lengths: Number of items of each sequence, shape ``[B]``.
        users: User of each sequence, shape ``[B]``.
        mask_token: Number of the mask token.
        generator: Source of all random draws.

    Returns:
        ``context``, the sequences with the segment masked; ``segment``, the segment with all else masked; ``other``,
        the other user's segment at the same positions, all ``[B, L]``; ``lengths``; and ``usable`` ``[B]``, True if the
        sequence has two items and another user of the batch has a sequence that is long enough.
    """
    size = 1 + _draw_below(lengths // 2, generator)
    start = _draw_below(lengths - size + 1, generator)
    fits = (users[:, None] != users) & (lengths >= size[:, None])
    usable = fits.any(1) & (lengths > 1)
    partner = torch.multinomial((fits | ~usable[:, None]).float(), 1, generator=generator).squeeze(1)
    there = _draw_below(lengths[partner] - size + 1, generator)
    place = torch.arange(items.size(1))
    inside = (place >= start[:, None]) & (place < (start + size)[:, None])
    blank = items.masked_fill(items > 0, mask_token)
    moved = (place + (there - start)[:, None]).clamp(0, items.size(1) - 1)
    return {
        "context": items.masked_fill(inside, mask_token),
        "segment": torch.where(inside, items, blank),
        "other": torch.where(inside, items[partner].gather(1, moved), blank),
        "lengths": lengths,
        "usable": usable,
    }


def _draw_below(bounds: Tensor, generator: torch.Generator) -> Tensor:
    """Draw an integer uniformly from ``[0, bound)`` for each bound; 0 where the bound is not above 0."""
    return (torch.rand(bounds.shape, generator=generator) * bounds.clamp(min=1)).long()


class PretrainingLoader:
    """Loader of corrupted sequences for RecBole's trainer; an epoch contains every training event about once.

    A sequence contains a user's training events, including the last target, and nothing of validation and test. A
    history longer than ``MAX_ITEM_LIST_LENGTH`` is cut into windows of that length. Sequences begin at position 0, as
    in fine-tuning.

    Args:
        config: RecBole's configuration; ``pretrain_batch_size`` counts sequences.
        dataset: The training part of a :class:`PackedDataset`.
        sampler: RecBole's sampler of negative items, which is not used.
        shuffle: Whether a new order is drawn for each epoch.

    Raises:
        ConfigError: The data set is not packed.
    """

    def __init__(self, config: Any, dataset: PackedDataset, sampler: Any = None, shuffle: bool = False) -> None:
        if not isinstance(dataset, PackedDataset):
            raise ConfigError("pretraining=users needs packed data; add --training=packed, or --pretraining=recbole")
        self.config, self._dataset, self.shuffle = config, dataset, shuffle
        self.generator = torch.Generator().manual_seed(config["seed"])
        self._share = (0, 1)
        if not config["single_spec"]:
            self._share = torch.distributed.get_rank(), torch.distributed.get_world_size()
        length = config["MAX_ITEM_LIST_LENGTH"]
        history = max(length - 1, 1)  # a sequence contains its last target too
        windows = cut_windows(dataset.offsets, dataset.list_targets(), history, stride=history)
        ends = windows.targets[windows.bounds[1:] - 1] + 1
        self.starts = torch.from_numpy(np.maximum(windows.starts, ends - length))
        self.lengths = torch.from_numpy(ends) - self.starts
        self.users = torch.from_numpy(dataset.users[windows.users])
        self._items = dataset.events[dataset.iid_field]

    @property
    def dataset(self) -> PackedDataset:
        """Training part of the data."""
        return self._dataset

    @property
    def sampler(self) -> PretrainingLoader:
        """The loader itself; RecBole passes the epoch to the samplers of its loaders."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Ignore the epoch's number: all processes draw the same from generators in the same state."""

    def __len__(self) -> int:
        return -(-len(self.starts) // self.config["pretrain_batch_size"])

    def __iter__(self) -> Iterator[Interaction]:
        for which in self._order():
            items, lengths = self.take_sequences(which)
            data, rest = self._dataset, (self.config["mask_ratio"], self.generator)
            batch = corrupt(items, lengths, self.users[which], data.item_num, *rest)
            rank, world = self._share
            mine = slice(rank % len(which), None, world)
            batch = {name: values[mine] for name, values in batch.items()}
            yield Interaction({**batch, **find_positions(batch, data.item_num)})

    def take_sequences(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Return sequences of items ``[n, L]``, left-aligned and 0 after their ends, and their lengths ``[n]``."""
        lengths = self.lengths[which]
        inside, events = align_left(self.starts[which], lengths, int(lengths.max()))
        return torch.zeros(inside.shape, dtype=torch.int64).masked_scatter_(inside, self._items[events]), lengths

    def _order(self) -> list[Tensor]:
        """Draw the sequences of each batch, of similar lengths: shuffled, then sorted within pools of some batches."""
        number, steps = len(self.starts), len(self)
        drawn = torch.randperm(number, generator=self.generator) if self.shuffle else torch.arange(number)
        pool = np.arange(number) // (POOL * self.config["pretrain_batch_size"])
        drawn = drawn[np.lexsort((self.lengths[drawn].numpy(), pool))]
        batches = drawn.tensor_split(steps)
        order = torch.randperm(steps, generator=self.generator).tolist() if self.shuffle else range(steps)
        return [batches[step] for step in order]
