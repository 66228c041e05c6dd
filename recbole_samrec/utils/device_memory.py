"""Memory of a GPU that one calculation may use, so that it is split into as few parts as fit."""

from __future__ import annotations

import functools

import torch

LARGEST_FREE_SHARE = 0.25
"""Share of the free memory that a calculation takes at most."""


@functools.lru_cache
def measure_budget(device: torch.device, share: float) -> int | None:
    """Measure how many bytes a calculation may take on a device.

    The budget is a share of all memory, rounded down to a power of two and measured once, so that a repeated run on the
    same kind of GPU uses the same parts: sums over parts of other sizes are rounded differently. It is limited to a
    quarter of the free memory if other processes use the GPU.

    Args:
        device: The device.
        share: Share of all memory, from 0 to 1.

    Returns:
        The bytes, or None on a device other than a CUDA GPU.
    """
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    wanted = max(int(min(total * share, free * LARGEST_FREE_SHARE)), 1)
    return 1 << (wanted.bit_length() - 1)
