"""Random integers below given limits, from torch's default generators."""

from __future__ import annotations

import torch
from torch import Tensor

MANY = 1 << 62
"""Bound far above any limit, so that the remainder of a number drawn below it is practically uniform."""


def draw_below(limits: Tensor) -> Tensor:
    """Draw an integer uniformly from ``[0, limit)`` for each limit.

    Args:
        limits: Integers above 0, of any shape.

    Returns:
        Integers of the same shape, on the same device, drawn from that device's default generator.
    """
    return torch.randint(MANY, limits.shape, device=limits.device) % limits
