"""Agreement of two orders of models: Kendall's tau between their means, with a bootstrap over users and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

DRAWS = 2_000
"""Draws of a bootstrap: the ends of a 95 % interval are then the 50th and the 1950th value."""
_CELLS = 2**23
"""Numbers of a block of draws, which take 64 MB."""


def kendall_tau(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Compute Kendall's tau-b between two sequences of numbers, which corrects for ties (Kendall 1945).

    Args:
        one: Shape ``[..., M]``.
        other: Of the same shape.

    Returns:
        Shape ``[...]``; NaN where all numbers of a row are equal.
    """
    first, second = np.triu_indices(np.shape(one)[-1], 1)
    signs = [np.sign(row[..., second] - row[..., first]) for row in (np.asarray(one), np.asarray(other))]
    agreement = (signs[0] * signs[1]).sum(-1)
    untied = np.sqrt((signs[0] != 0).sum(-1) * (signs[1] != 0).sum(-1, dtype=np.float64))
    return np.divide(agreement, untied, out=np.full(np.shape(untied), np.nan), where=untied > 0)


def bootstrap_means(values: Sequence[np.ndarray], draws: int = DRAWS, seed: int | Sequence[int] = 0) -> np.ndarray:
    """Draw users and seeds with replacement, and compute the mean of each entry in each draw.

    All entries have the same users, which are drawn together; the seeds of each entry are drawn separately.

    Args:
        values: For each entry, the metric of each user by each seed, shape ``[U, n]``.
        draws: Number of draws.
        seed: Seed of the draws; with the same seed, numbers of users and numbers of seeds the draws are the same.

    Returns:
        Shape ``[draws, entries]``.
    """
    of_users, of_seeds = (np.random.default_rng([*np.atleast_1d(seed), number]) for number in (0, 1))
    users, means, done = len(values[0]), np.empty((draws, len(values))), 0
    for size in _split_draws(draws, users):
        weights = of_users.multinomial(users, np.full(users, 1 / users), size).astype(np.float64) / users
        for entry, of_entry in enumerate(values):
            of_seed = weights @ of_entry
            chosen = of_seeds.integers(of_entry.shape[1], size=of_seed.shape)
            means[done : done + size, entry] = np.take_along_axis(of_seed, chosen, axis=1).mean(axis=1)
        done += size
    return means


def _split_draws(draws: int, users: int) -> Iterator[int]:
    size = max(1, _CELLS // max(users, 1))
    for start in range(0, draws, size):
        yield min(size, draws - start)
