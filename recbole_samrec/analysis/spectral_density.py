"""Estimates of a spectrum from Lanczos matrices: its density, its negative part, and their convergence.

Sources: Ghorbani et al., arXiv 1901.10159, section 2 (stochastic Lanczos quadrature); Golub and Van Loan, "Matrix
Computations", 4th edition, section 10.1 (the residual of an eigenvalue of the Lanczos matrix).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recbole_samrec.analysis.lanczos import Array, Tridiagonal

APART = 0.1
"""Largest distance of a converged figure from that of two thirds of the steps, as a share of the figure ..."""
LEAST = 0.05
"""... or of this number, where the figure is smaller."""


@dataclass(frozen=True)
class Estimate:
    """A mean over random probes, its standard error (nan for a single probe), and the number of probes."""

    value: float
    standard_error: float
    probes: int

    @classmethod
    def from_samples(cls, samples: Array) -> Estimate:
        """Average the results of the probes ``[probes]``."""
        error = samples.std(ddof=1) / math.sqrt(len(samples)) if len(samples) > 1 else math.nan
        return cls(float(samples.mean()), float(error), len(samples))


@dataclass(frozen=True)
class Negative:
    """The part of a spectrum below 0.

    Attributes:
        share: The negative share of the absolute curvature: the sum of ``|value|`` over the eigenvalues below 0,
            divided by that over all of them; 0 where all are 0.
        share_converged: True if the first two thirds of the steps give the same share.
        ratio: The lowest eigenvalue over the top one; nan where none is above 0.
        ratio_error: Largest distance, by their residuals, of eigenvalues from the two of the ratio, as a share of the
            top one.
        ratio_converged: True if that is small, and the first two thirds of the steps give the same ratio.
    """

    share: Estimate
    share_converged: bool
    ratio: float
    ratio_error: float
    ratio_converged: bool


def compute_quadrature(matrices: Sequence[Tridiagonal], steps: int) -> tuple[Array, Array]:
    """Compute nodes and weights of the quadrature of a density, one row for each start vector.

    Args:
        matrices: The Lanczos matrix of each start vector.
        steps: Number of columns; a matrix that ended early has nodes and weights of 0 at its end.

    Returns:
        Nodes ``[probes, steps]`` and weights ``[probes, steps]``, which add up to 1 in each row.
    """
    nodes, weights = np.zeros((2, len(matrices), steps))
    for probe, matrix in enumerate(matrices):
        found, vectors = matrix.eigenvectors()
        nodes[probe, : len(found)], weights[probe, : len(found)] = found, vectors[0] ** 2
    return nodes, weights


def smooth_density(nodes: Array, weights: Array, grid: Array, width: float) -> Array:
    """Smooth nodes and weights into a density, with a normal distribution at each node; average over probes.

    Args:
        nodes: Nodes ``[probes, steps]``.
        weights: Their weights ``[probes, steps]``, which add up to 1 for each probe.
        grid: Values at which the density is computed ``[points]``.
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


def measure_negative(matrices: Sequence[Tridiagonal]) -> Negative:
    """Measure the negative part of a spectrum, and its convergence.

    The number of eigenvalues below 0 is not reported: most eigenvalues are close to 0, and the sign of their nodes is
    random. They contribute almost nothing to the absolute curvature on either side.

    Args:
        matrices: The Lanczos matrix of each start vector.

    Returns:
        The negative part.
    """
    fewer = [matrix.shorten(-(-2 * len(matrix.diagonal) // 3)) for matrix in matrices]
    (share, before), (ratio, ratio_before) = map(_share, (matrices, fewer)), map(_ratio, (matrices, fewer))
    ratio_error = _ratio_error(matrices)
    close = ratio_error <= APART * max(abs(ratio), LEAST)
    return Negative(share, _alike(share.value, before.value), ratio, ratio_error, close and _alike(ratio, ratio_before))


def _alike(figure: float, before: float) -> bool:
    return abs(figure - before) <= APART * max(abs(figure), LEAST)


def _share(matrices: Sequence[Tridiagonal]) -> Estimate:
    nodes, weights = compute_quadrature(matrices, max(len(matrix.diagonal) for matrix in matrices))
    absolute = weights * np.abs(nodes)
    below, whole = (absolute * (nodes < 0)).sum(axis=1), absolute.sum(axis=1)
    share, mean = below.sum() / (whole.sum() or 1.0), whole.mean() or 1.0
    error = Estimate.from_samples(below - share * whole).standard_error / mean  # of a ratio of means, to first order
    return Estimate(float(share), error, len(matrices))


def _ratio(matrices: Sequence[Tridiagonal]) -> float:
    (low, _), (high, _) = _ends(matrices)
    return low / high if high > 0 else math.nan


def _ratio_error(matrices: Sequence[Tridiagonal]) -> float:
    (low, low_residual), (high, high_residual) = _ends(matrices)
    return (low_residual + abs(low / high) * high_residual) / high if high > 0 else math.nan


def _ends(matrices: Sequence[Tridiagonal]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the lowest and the highest node of all, each with its residual."""
    found = [(matrix.eigenvectors()[0], matrix.residuals()) for matrix in matrices]
    ends = [(float(nodes[end]), float(residuals[end])) for nodes, residuals in found for end in (0, -1)]
    return min(ends), max(ends)
