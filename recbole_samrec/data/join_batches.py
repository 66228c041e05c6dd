"""Join batches of training data, so that a GPU computes their loss in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_samrec.data.packed_loader import TARGET_POSITIONS


def join_batches(batches: Sequence[Any]) -> Interaction:
    """Join batches of packed sequences or of RecBole's samples into one batch.

    Args:
        batches: Batches with the same fields. Sequences are padded with 0 to the longest.
    """
    joined = {}
    for field in batches[0].columns:
        if field != TARGET_POSITIONS:
            joined[field] = _concatenate([batch[field] for batch in batches])
    if TARGET_POSITIONS in batches[0]:
        joined[TARGET_POSITIONS] = _shift_positions(batches, joined)
    return Interaction(joined)


def _concatenate(parts: Sequence[Tensor]) -> Tensor:
    if parts[0].dim() < 2:
        return torch.cat(list(parts))
    width = max(part.size(1) for part in parts)
    return torch.cat([F.pad(part, (0, 0) * (part.dim() - 2) + (0, width - part.size(1))) for part in parts])


def _shift_positions(batches: Sequence[Any], joined: dict[str, Tensor]) -> Tensor:
    """Return the positions of targets in the flattened joined sequences, as one row."""
    sequences = next(name for name, values in joined.items() if values.dim() == 2)
    width, first, shifted = joined[sequences].size(1), 0, []
    for batch in batches:
        rows, own_width = batch[sequences].shape
        row = torch.div(batch[TARGET_POSITIONS], own_width, rounding_mode="floor")
        shifted.append((row + first) * width + batch[TARGET_POSITIONS] - row * own_width)
        first += rows
    return torch.cat(shifted, dim=1)
