"""Random whole numbers below limits of their own, from torch's default generators."""

from __future__ import annotations

import torch
from torch import Tensor

MANY = 1 << 62
"""Far above any limit, so that the remainder of a number drawn below it is as good as uniform."""


def draw_below(limits: Tensor) -> Tensor:
    """A whole number from 0 up to, but not, each limit, drawn uniformly.

    Args:
        limits: Whole numbers above 0, of any shape.

    Returns:
        Of the same shape, on the same device, whose generator it draws from.
    """
    return torch.randint(MANY, limits.shape, device=limits.device) % limits
