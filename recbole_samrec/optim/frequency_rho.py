"""A radius for every row of an item table, in proportion to how often the item occurs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FLOOR = 0.3
"""The smallest factor of a row, as in Helen's published code."""


def compute_frequency_factors(counts: Tensor, rows: int, floor: float = FLOOR) -> Tensor:
    """Compute the factor of each row's radius, ``max(n_i / max_j n_j, floor)``.

    The rows of frequent items have the sharpest curvature, so they are moved farthest. With SAM's step
    ``rho * g / |g|``, the row ``g_i`` of an item is moved by ``rho * factor_i * g_i / |g|``. The most frequent item and
    all other parameters are moved as by SAM; the factor of any item is at least ``floor``.

    The idea is from Helen (2403.00798), with two departures. Helen counts an item's occurrences in the batch; here they
    are counted in the training data. Helen divides the step of a table by the norm of the table's gradient; here
    ``|g|`` is the norm over all parameters, so that no step is longer than rho.

    Args:
        counts: Number of occurrences of each item ``[items]``, not all zero.
        rows: Number of rows of the table, at least the number of items; rows beyond the items, and rows of items that
            do not occur, get ``floor``.
        floor: The smallest factor, from 0 to 1.

    Returns:
        Factors ``[rows]`` in single precision.
    """
    factors = torch.full((rows,), floor, dtype=torch.float32)
    factors[: len(counts)] = (counts / counts.max()).float().clamp(min=floor).cpu()
    return factors


def find_item_tables(model: nn.Module, items: int) -> list[Tensor]:
    """Find the item embeddings: layers ``nn.Embedding`` with ``item`` in their names and a row for each item.

    Args:
        model: The model.
        items: Number of items; a table may have a few more rows, such as one for a mask.

    Returns:
        Their weights ``[rows, d]``, in the model's order.

    Raises:
        ValueError: The model has no such layer.
    """
    tables: list[Tensor] = [
        layer.weight
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Embedding) and "item" in name and layer.num_embeddings >= items
    ]
    if not tables:
        raise ValueError(f"{type(model).__name__} has no nn.Embedding for its items whose name contains 'item'")
    return tables
