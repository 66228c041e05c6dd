"""Random directions in the space of weights, determined by a seed and a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from recbole_samrec.optim import foreach
from recbole_samrec.optim.perturbation import replace_values


def draw_directions(gradients: Sequence[Tensor], seed: int, number: int) -> list[Tensor]:
    """Draw a standard Gaussian vector in pieces of the shapes of gradients, without using global random generators.

    Args:
        gradients: Tensors of any shapes, dense or sparse.
        seed: Seed of a sequence of vectors.
        number: Number of the vector in it, from 0.

    Returns:
        A tensor for each gradient in at least single precision, sparse where the gradient is, with the same rows.
    """
    gradients = [g.coalesce() if g.is_sparse else g for g in gradients]
    values = foreach.widen_all([g.values() if g.is_sparse else g for g in gradients])
    (word,) = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)

    def draw_group(group: list[Tensor]) -> list[Tensor]:
        generator = make_generator(group[0].device, int(word) >> 1)
        sizes = [value.numel() for value in group]
        flat = torch.randn(sum(sizes), generator=generator, device=group[0].device, dtype=group[0].dtype)
        return [piece.view(v.shape) for piece, v in zip(torch.split(flat, sizes), group, strict=True)]

    drawn = foreach.apply_to_groups(draw_group, values)
    return [replace_values(g, d) for g, d in zip(gradients, drawn, strict=True)]


def make_generator(device: torch.device, seed: int) -> torch.Generator:
    """Make a random generator on a device, with a seed."""
    return torch.Generator(device).manual_seed(seed)
