"""Batches of whole sequences from one flat array of events: planned once per epoch, gathered one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from recbole_samrec.data.windows import Windows, cut_windows

POOL = 16
"""Number of batches, drawn at random, within which windows of similar length are grouped."""
MORE_STEPS = 0.04
"""Largest share of additional steps that may be spent on keeping windows whole."""


@dataclass(frozen=True)
class EpochPlan:
    """Sequences of an epoch's batches: windows, or parts of a window that crosses the border of two batches.

    Args:
        users: Number of each sequence's user, shape ``[S]``.
        starts: First event of each sequence, shape ``[S]``.
        lengths: Number of events that each sequence encodes, shape ``[S]``.
        skips: Positions before each sequence's first target, shape ``[S]``.
        bounds: Share ``i`` has the sequences ``bounds[i]`` to ``bounds[i + 1] - 1``; a batch has one share for each
            process, one after the other, shape ``[steps * world + 1]``.
        sizes: Number of targets of each batch, shape ``[steps]``.
        positions: Positions of all targets in the flattened sequences ``[B * L]`` of their shares, shape ``[T]``.
        cuts: Share ``i`` has the positions ``cuts[i]`` to ``cuts[i + 1] - 1``, shape ``[steps * world + 1]``.
        order: Order of the batches, shape ``[steps]``.
    """

    users: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    skips: np.ndarray
    bounds: np.ndarray
    sizes: np.ndarray
    positions: np.ndarray
    cuts: np.ndarray
    order: np.ndarray


def count_steps(targets: int, batch_size: int, longest: int) -> int:
    """Count the batches of an epoch; all epochs have the same number.

    A few more batches than necessary allow most of them to end where a window ends.

    Args:
        targets: Number of targets of the epoch.
        batch_size: Most targets of a batch.
        longest: Most targets of a window.
    """
    fewest = -(-targets // batch_size)
    roomy = -(-targets // max(1, batch_size - longest))
    return max(fewest, min(roomy, int(fewest * (1 + MORE_STEPS)), targets))


def plan_epoch(
    windows: Windows, batch_size: int, *, generator: torch.Generator | None = None, world: int = 1
) -> EpochPlan:
    """Distribute windows over batches with about equal numbers of targets, windows of similar length together.

    A batch ends where a window ends if one ends nearby; otherwise the window is cut in two, both of which encode all
    events that the window's targets had as history.

    Args:
        windows: The windows of all users.
        batch_size: Most targets of a batch, in all processes together.
        generator: Draws the order of the windows and of the batches; without it, the order is always the same.
        world: Number of processes that share each batch.
    """
    total = int(windows.bounds[-1])
    steps = count_steps(total, batch_size, int(windows.counts.max(initial=0)))
    taken = _group_by_length(windows.lengths, max(1, round(steps / POOL)), generator)
    ends = np.concatenate([[0], np.cumsum(windows.counts[taken])])
    borders = _place_borders(total, steps, batch_size, ends)
    cuts = _split_shares(borders, world, ends)
    edges = np.union1d(ends, cuts)
    window = np.searchsorted(ends, edges[:-1], side="right") - 1
    first = windows.bounds[taken[window]] + edges[:-1] - ends[window]
    starts = windows.starts[taken[window]]
    lengths, bounds = windows.targets[first + np.diff(edges) - 1] - starts, np.searchsorted(edges, cuts)
    return EpochPlan(
        users=windows.users[taken[window]],
        starts=starts,
        lengths=lengths,
        skips=windows.targets[first] - starts - 1,
        bounds=bounds,
        sizes=np.diff(borders),
        positions=_locate_targets(windows.targets, first, starts, lengths, edges, bounds),
        cuts=cuts,
        order=_draw_order(steps, generator),
    )


def _locate_targets(
    targets: np.ndarray,
    first: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    edges: np.ndarray,
    bounds: np.ndarray,
) -> np.ndarray:
    """Locate the targets of an epoch in the flattened sequences of each share, in the order of the sequences.

    Sequence ``s`` has the targets ``targets[first[s] : first[s] + edges[s + 1] - edges[s]]``.
    """
    share = np.searchsorted(bounds, np.arange(len(starts)), side="right") - 1
    widths = np.zeros(len(bounds), dtype=np.int64)
    np.maximum.at(widths, share, lengths)
    begin = (np.arange(len(starts)) - bounds[share]) * widths[share] - starts - 1
    number = np.arange(edges[-1])
    counts = np.diff(edges)
    return targets[number + np.repeat(first - edges[:-1], counts)] + np.repeat(begin, counts)


def _draw_order(number: int, generator: torch.Generator | None) -> np.ndarray:
    return np.arange(number) if generator is None else torch.randperm(number, generator=generator).numpy()


def _group_by_length(lengths: np.ndarray, pools: int, generator: torch.Generator | None) -> np.ndarray:
    """Shuffle the windows into pools that are sorted by length, ascending and descending in turn."""
    drawn = _draw_order(len(lengths), generator)
    pool = np.arange(len(lengths)) * pools // max(len(lengths), 1)
    by_length = np.where(pool % 2, -lengths[drawn], lengths[drawn])
    return drawn[np.lexsort((by_length, pool))]


def _place_borders(total: int, steps: int, batch_size: int, ends: np.ndarray) -> np.ndarray:
    """Place the borders of batches, counted in targets, shape ``[steps + 1]``, at the ends of windows where possible.

    Each batch takes whole windows up to about an equal part of the remaining targets, at most ``batch_size``. It ends
    inside a window only if the remaining batches would otherwise be too full or too few.
    """
    borders = np.zeros(steps + 1, dtype=np.int64)
    for step in range(steps):
        taken, left = borders[step], steps - step - 1
        least, most = max(total - left * batch_size, taken + 1), min(taken + batch_size, total - left)
        wanted = taken + (total - taken) // (left + 1)
        after = np.searchsorted(ends, wanted)
        near = [end for end in ends[max(after - 1, 0) : after + 1] if least <= end <= most]
        borders[step + 1] = min(near, key=lambda end: abs(end - wanted)) if near else np.clip(wanted, least, most)
    return borders


def _split_shares(borders: np.ndarray, world: int, ends: np.ndarray) -> np.ndarray:
    """Divide each batch into about equal shares for the processes; their ends have shape ``[steps * world + 1]``."""
    if world == 1 or len(borders) < 2:
        return borders
    sizes = np.diff(borders)
    inner = borders[:-1, None] + sizes[:, None] * np.arange(1, world) // world
    inner = _snap(inner.ravel(), ends, int(sizes.min()) // world // 16).reshape(inner.shape)
    return np.append(np.column_stack([borders[:-1], inner]).ravel(), borders[-1])


def _snap(cuts: np.ndarray, ends: np.ndarray, reach: int) -> np.ndarray:
    """Move each border to the nearest end of a window within reach."""
    after = np.searchsorted(ends, cuts)
    before = np.maximum(after - 1, 0)
    nearest = np.where(cuts - ends[before] < ends[after] - cuts, ends[before], ends[after])
    return np.where(np.abs(nearest - cuts) <= reach, nearest, cuts)


@dataclass(frozen=True)
class Batch:
    """Left-aligned sequences of items, 0 after their ends.

    Args:
        users: Number of each sequence's user, shape ``[B]``.
        items: Items that are encoded, shape ``[B, L]``, L being the longest sequence's length.
        lengths: Number of items of each sequence, shape ``[B]``.
        targets: The target at each position, 0 for none, shape ``[B, L]``.
        positions: Positions of the targets in the flattened sequences, ascending, shape ``[n]``: those of the targets
            that are not 0, which a GPU would have to be asked for.
        size: Number of targets of the whole batch, of which this may be one process's share.
    """

    users: torch.Tensor
    items: torch.Tensor
    lengths: torch.Tensor
    targets: torch.Tensor
    positions: torch.Tensor
    size: int


class PackedBatches:
    """Batches of whole sequences; every epoch contains each target once, in a new order.

    Args:
        items: Items of all events in time order, users one after the other, shape ``[N]``. No item is 0.
        offsets: User ``u`` has the events ``offsets[u]`` to ``offsets[u + 1] - 1``, shape ``[users + 1]``.
        targets: Events to predict, ascending, shape ``[T]``; by default every event except each user's first.
        length: Most events of a sequence.
        batch_size: Most targets of a batch, in all processes together.
        stride: Most targets of a window after a user's first one; see :func:`~recbole_samrec.data.windows.cut_windows`.
        generator: Draws the order of an epoch when it begins.
        shuffle: Whether the order is drawn; otherwise it is always the same.
        device: Device of the events and batches.
        rank: Number of this process.
        world: Number of processes that share each batch.
    """

    def __init__(
        self,
        items: np.ndarray,
        offsets: np.ndarray,
        targets: np.ndarray | None = None,
        *,
        length: int,
        batch_size: int,
        stride: int | None = None,
        generator: torch.Generator | None = None,
        shuffle: bool = True,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if targets is None:
            targets = np.delete(np.arange(len(items)), offsets[:-1])
        self.windows = cut_windows(offsets, targets, length, stride, batch_size)
        self.batch_size, self.shuffle = batch_size, shuffle
        self.generator = generator or torch.Generator()
        self.rank, self.world = rank, world
        # Each sequence is read with the length of the longest one, possibly beyond the last event.
        self._items = torch.zeros(len(items) + length + 1, dtype=torch.int32)
        self._items[: len(items)] = torch.from_numpy(items)
        self._labels = torch.zeros_like(self._items)
        self._labels[torch.from_numpy(targets)] = self._items[torch.from_numpy(targets)]
        self._items, self._labels = self._items.to(device), self._labels.to(device)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for pickling, with tensors on the CPU: the file may be read where there is no GPU."""
        return {name: value.cpu() if isinstance(value, torch.Tensor) else value for name, value in vars(self).items()}

    def __len__(self) -> int:
        return count_steps(len(self.windows.targets), self.batch_size, int(self.windows.counts.max(initial=0)))

    def __iter__(self) -> Iterator[Batch]:
        generator = self.generator if self.shuffle else None
        return self._batches(plan_epoch(self.windows, self.batch_size, generator=generator, world=self.world))

    def _batches(self, plan: EpochPlan) -> Iterator[Batch]:
        columns = (plan.users, plan.starts, plan.lengths, plan.skips)
        sequences = [torch.from_numpy(column).to(self._items.device) for column in columns]
        positions = torch.from_numpy(plan.positions.astype(np.int32)).to(self._items.device)
        for step in plan.order:
            share = step * self.world + self.rank
            first, last = plan.bounds[share], plan.bounds[share + 1]
            idle = first == last  # fewer targets than processes, which must all take the step: use one without targets
            if idle:
                first = plan.bounds[step * self.world]
                last = first + 1
            users, starts, lengths, skips = (column[first:last] for column in sequences)
            width = int(plan.lengths[first:last].max())
            items, targets = self._gather(starts, lengths, lengths if idle else skips, width)
            where = positions[plan.cuts[share] : plan.cuts[share + 1]].long()
            yield Batch(users, items, lengths, targets, where, int(plan.sizes[step]))

    def _gather(
        self, starts: torch.Tensor, lengths: torch.Tensor, skips: torch.Tensor, width: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Gather items and targets of sequences, each of shape ``[B, width]``."""
        place = torch.arange(width, device=starts.device)
        event = starts[:, None] + place
        outside = place >= lengths[:, None]
        items = self._items[event].masked_fill_(outside, 0)
        targets = self._labels[event + 1].masked_fill_(outside | (place < skips[:, None]), 0)
        return items.long(), targets.long()
