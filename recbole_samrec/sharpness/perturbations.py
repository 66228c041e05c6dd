"""Changes of histories: events are dropped, replaced, swapped or cut off, as may happen in practice."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Change = Callable[[Tensor, int, float, torch.Generator], tuple[Tensor, Tensor]]


def drop_events(lengths: Tensor, width: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Drop each event with a probability; the last one stays if all others are dropped.

    Args:
        lengths: Number of events of each left-aligned sequence, at least 1, shape ``[B]``.
        width: Number of places of a sequence, L.
        share: The probability.
        generator: Source of the draws.

    Returns:
        Places of the new sequences' events in the old ones, shape ``[B, L]``, and the new lengths, shape ``[B]``.
    """
    place = torch.arange(width).expand(len(lengths), width)
    there = place < lengths.unsqueeze(1)
    kept = there & (torch.rand(place.shape, generator=generator) >= share)
    last = place == lengths.unsqueeze(1) - 1
    kept |= last & ~kept.any(1, keepdim=True)
    return (~kept).to(torch.int8).argsort(dim=1, stable=True), kept.sum(1)


def swap_events(lengths: Tensor, width: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Swap neighbors: each event, with a probability, with the one after it; arguments as in :func:`drop_events`."""
    order = torch.arange(width).repeat(len(lengths), 1)
    drawn = torch.rand(order.shape, generator=generator) < share
    for place in range(width - 1):
        swap = drawn[:, place] & (place + 1 < lengths)
        pair = order[:, place : place + 2]
        order[:, place : place + 2] = torch.where(swap.unsqueeze(1), pair.flip(1), pair)
    return order, lengths.clone()


def cut_events(lengths: Tensor, width: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Keep the last part of each history, at least one event; ``share`` of it is cut off. Nothing is drawn."""
    left = torch.ceil(lengths * (1 - share)).long().clamp(min=1)
    order = (torch.arange(width).unsqueeze(0) + (lengths - left).unsqueeze(1)).clamp(max=width - 1)
    return order, left


def replace_items(items: Tensor, lengths: Tensor, share: float, n_items: int, generator: torch.Generator) -> Tensor:
    """Replace each item with a probability by another one, drawn uniformly.

    Args:
        items: Left-aligned sequences, 0 after their ends, shape ``[B, L]``.
        lengths: Number of events of each, shape ``[B]``.
        share: The probability.
        n_items: Number of items, with the padding item 0.
        generator: Source of the draws.

    Returns:
        New sequences, shape ``[B, L]``.
    """
    there = torch.arange(items.size(1)) < lengths.unsqueeze(1)
    drawn = torch.rand(items.shape, generator=generator) < share
    others = torch.randint(1, n_items, items.shape, generator=generator)
    return torch.where(there & drawn, others, items)


CHANGES: dict[str, Change] = {"dropped": drop_events, "swapped": swap_events, "cut off": cut_events}
"""Changes that move events; :func:`replace_items` changes their items."""
