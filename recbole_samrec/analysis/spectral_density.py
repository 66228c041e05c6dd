"""What Lanczos's matrices say of a spectrum: its density, how much of it is negative, and whether the steps sufficed.

Sources: Ghorbani et al., arXiv 1901.10159, section 2 (stochastic Lanczos quadrature); Golub and Van Loan, "Matrix
Computations", 4th edition, section 10.1 (the residual of an eigenvalue of Lanczos's matrix).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recbole_samrec.analysis.lanczos import Tridiagonal

APART = 0.1
"""A figure has converged if that of two thirds of the steps is no further from it, as a share of the figure ..."""
LEAST = 0.05
"""... or of this, where the figure is smaller."""


@dataclass(frozen=True)
class Estimate:
    """A mean over random probes, its standard error (nan of a single probe), and how many probes there were."""

    value: float
    standard_error: float
    probes: int

    @classmethod
    def of(cls, samples: np.ndarray) -> Estimate:
        """The mean of what each probe gave ``[probes]``."""
        error = samples.std(ddof=1) / math.sqrt(len(samples)) if len(samples) > 1 else math.nan
        return cls(float(samples.mean()), float(error), len(samples))


@dataclass(frozen=True)
class Negative:
    """How much of a spectrum lies below 0.

    Attributes:
        share: The negative share of the absolute curvature: the sum of ``|value|`` over the eigenvalues below 0,
            divided by that over all of them; 0 where all are 0.
        share_converged: Whether the first two thirds of the steps give the same share.
        ratio: The lowest eigenvalue over the top one; nan where none is above 0.
        ratio_error: How far, by their residuals, eigenvalues may be from the two that the ratio is made of, as a share
            of the top one.
        ratio_converged: Whether that is little, and the first two thirds of the steps give the same ratio.
    """

    share: Estimate
    share_converged: bool
    ratio: float
    ratio_error: float
    ratio_converged: bool


def quadrature(matrices: Sequence[Tridiagonal], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the quadrature of a density, those of each start vector in a row.

    Args:
        matrices: Lanczos's matrix of each start vector.
        steps: Columns; a matrix that ended early has nodes and weights of 0 at its end.

    Returns:
        Nodes ``[probes, steps]`` and weights ``[probes, steps]``, which add up to 1 in each row.
    """
    nodes, weights = np.zeros((2, len(matrices), steps))
    for probe, matrix in enumerate(matrices):
        found, vectors = matrix.eigenvectors()
        nodes[probe, : len(found)], weights[probe, : len(found)] = found, vectors[0] ** 2
    return nodes, weights


def smoothed(nodes: np.ndarray, weights: np.ndarray, grid: np.ndarray, width: float) -> np.ndarray:
    """A density of nodes and weights, each node spread to a normal distribution; the mean over probes.

    Args:
        nodes: Nodes ``[probes, steps]``.
        weights: Their weights ``[probes, steps]``, which add up to 1 for each probe.
        grid: Where the density is wanted ``[points]``.
        width: Standard deviation of the normal distribution.

    Returns:
        The density ``[points]``.

    Raises:
        ValueError: The width is not above 0.
    """
    if not width > 0:
        raise ValueError(f"the width of a density must be above 0, not {width}")
    density = np.zeros(len(grid))
    for node, weight in zip(nodes.ravel(), weights.ravel(), strict=True):
        density += weight * np.exp(-(((grid - node) / width) ** 2) / 2)
    return density / (len(nodes) * width * math.sqrt(2 * math.pi))


def negative(matrices: Sequence[Tridiagonal]) -> Negative:
    """How much of a spectrum is negative, and whether the steps sufficed to tell.

    The number of eigenvalues below 0 is not told: the most by far are near 0, and on which side of it a node for them
    comes to lie is chance. What they add to the absolute curvature is next to nothing on either side.

    Args:
        matrices: Lanczos's matrix of each start vector.
    """
    fewer = [matrix.shortened(-(-2 * len(matrix.diagonal) // 3)) for matrix in matrices]
    (share, before), (ratio, ratio_before) = map(_share, (matrices, fewer)), map(_ratio, (matrices, fewer))
    ratio_error = _ratio_error(matrices)
    close = ratio_error <= APART * max(abs(ratio), LEAST)
    return Negative(share, _alike(share.value, before.value), ratio, ratio_error, close and _alike(ratio, ratio_before))


def _alike(figure: float, before: float) -> bool:
    return abs(figure - before) <= APART * max(abs(figure), LEAST)


def _share(matrices: Sequence[Tridiagonal]) -> Estimate:
    nodes, weights = quadrature(matrices, max(len(matrix.diagonal) for matrix in matrices))
    absolute = weights * np.abs(nodes)
    below, whole = (absolute * (nodes < 0)).sum(axis=1), absolute.sum(axis=1)
    share, mean = below.sum() / (whole.sum() or 1.0), whole.mean() or 1.0
    error = Estimate.of(below - share * whole).standard_error / mean  # of a ratio of means, to first order
    return Estimate(float(share), error, len(matrices))


def _ratio(matrices: Sequence[Tridiagonal]) -> float:
    (low, _), (high, _) = _ends(matrices)
    return low / high if high > 0 else math.nan


def _ratio_error(matrices: Sequence[Tridiagonal]) -> float:
    (low, low_residual), (high, high_residual) = _ends(matrices)
    return (low_residual + abs(low / high) * high_residual) / high if high > 0 else math.nan


def _ends(matrices: Sequence[Tridiagonal]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The lowest and the highest node of all, each with its residual."""
    found = [(matrix.eigenvectors()[0], matrix.residuals()) for matrix in matrices]
    ends = [(float(nodes[end]), float(residuals[end])) for nodes, residuals in found for end in (0, -1)]
    return min(ends), max(ends)
