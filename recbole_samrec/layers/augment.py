"""Random augmentations of item sequences, on whole batches: crop, mask and reorder.

Sequences are left-aligned, ``[B, L]`` with 0 after their ends, and come with their lengths ``[B]``. Each sequence is
changed by its own draws from torch's default generator of its device.

Source: CL4SRec, Xie et al., arXiv 2010.14395, section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recbole_samrec.utils.random import draw_below


def crop(items: Tensor, lengths: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """Keep a part of each sequence, whose start is drawn uniformly.

    Args:
        items: Sequences of items, shape ``[B, L]``.
        lengths: Number of items of each sequence, shape ``[B]``, at least 1.
        rate: Share of the items that is kept, rounded down, but at least one item.

    Returns:
        Sequences ``[B, L]`` and their lengths ``[B]``.
    """
    kept = _share(lengths, rate).clamp(min=1)
    place = _positions(items)
    source = place + draw_below(lengths - kept + 1).unsqueeze(1)
    return items.gather(1, source.clamp(max=items.size(1) - 1)) * (place < kept.unsqueeze(1)), kept


def mask(items: Tensor, lengths: Tensor, rate: float, mask_item: int) -> tuple[Tensor, Tensor]:
    """Replace items of each sequence, drawn uniformly without replacement.

    Args:
        items: Sequences of items, shape ``[B, L]``.
        lengths: Number of items of each sequence, shape ``[B]``, at least 1.
        rate: Share of the items that is replaced, rounded down.
        mask_item: The item that replaces them.

    Returns:
        Sequences ``[B, L]`` and their unchanged lengths ``[B]``.
    """
    draws = torch.rand(items.shape, device=items.device)
    draws.masked_fill_(_positions(items) >= lengths.unsqueeze(1), 1.0)  # above every possible draw
    rank = draws.argsort(1).argsort(1)
    return items.masked_fill(rank < _share(lengths, rate).unsqueeze(1), mask_item), lengths


def reorder(items: Tensor, lengths: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """Shuffle a part of each sequence, whose start is drawn uniformly.

    Args:
        items: Sequences of items, shape ``[B, L]``.
        lengths: Number of items of each sequence, shape ``[B]``, at least 1.
        rate: Length of the part as a share of the sequence's, rounded down.

    Returns:
        Sequences ``[B, L]`` and their unchanged lengths ``[B]``.
    """
    size = _share(lengths, rate).unsqueeze(1)
    place = _positions(items)
    start = draw_below(lengths.unsqueeze(1) - size + 1)
    inside = (place >= start) & (place < start + size)
    draws = torch.rand(items.shape, device=items.device, dtype=torch.float64)
    order = torch.where(inside, start + draws * size, place.double()).argsort(dim=1, stable=True)
    return items.gather(1, order), lengths


def augment(
    items: Tensor, lengths: Tensor, *, crop_rate: float, mask_rate: float, reorder_rate: float, mask_item: int
) -> tuple[Tensor, Tensor]:
    """Augment each sequence in one of the three ways, drawn uniformly for each.

    Args:
        items: Sequences of items, shape ``[B, L]``.
        lengths: Number of items of each sequence, shape ``[B]``, at least 1.
        crop_rate: Share of the items that :func:`crop` keeps (the paper's eta).
        mask_rate: Share of the items that :func:`mask` replaces (gamma).
        reorder_rate: Share of the items that :func:`reorder` shuffles (beta).
        mask_item: The item that replaces a masked one.

    Returns:
        Sequences ``[B, L]`` and their lengths ``[B]``.
    """
    ways = [
        crop(items, lengths, crop_rate),
        mask(items, lengths, mask_rate, mask_item),
        reorder(items, lengths, reorder_rate),
    ]
    drawn = torch.randint(len(ways), lengths.shape, device=items.device)
    row = torch.arange(len(items), device=items.device)
    rows, sizes = (torch.stack(parts)[drawn, row] for parts in zip(*ways, strict=True))
    return rows, sizes


def _positions(items: Tensor) -> Tensor:
    """Return the positions in a sequence, shape ``[1, L]``."""
    return torch.arange(items.size(1), device=items.device).unsqueeze(0)


def _share(lengths: Tensor, rate: float) -> Tensor:
    """Compute a share of each length, rounded down; 0.29 of 100 is 29, which floating-point numbers barely miss."""
    return (lengths.double() * rate + 1e-9).floor().long()
