"""Curvature of a loss at given parameters: eigenvalues, trace and spectral density of its Hessian.

All functions use Hessian-vector products only; the Hessian, which has a row for each weight, is never built.
The loss must return the same value at each call (no dropout) and must be twice differentiable: fused attention and
backward passes written by hand are not.

Accuracy: a product is computed in the dtype of the parameters, all other arithmetic in double precision. With single
precision parameters, a product has an error of about 1e-6 of the largest eigenvalue. Smaller eigenvalues are then
indistinguishable from zero, and tolerances below 1e-5 are not reached. For higher accuracy, convert parameters and loss
to double precision.

Sources: Hutchinson, "A stochastic estimator of the trace of the influence matrix", 1990; Ghorbani et al., arXiv
1901.10159, section 2 and appendix A (stochastic Lanczos quadrature, full re-orthogonalization); Pearlmutter, "Fast
exact multiplication by the Hessian", 1994.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from recbole_samrec.analysis.lanczos import Array, Eigen, Progress, SymmetricMatrix, find_outermost, run_lanczos
from recbole_samrec.analysis.spectral_density import (
    Estimate,
    Negative,
    compute_quadrature,
    measure_negative,
    smooth_density,
)
from recbole_samrec.optim.perturbation import displace


class ChunkedLoss:
    """A mean loss computed in chunks, with the graph of one chunk in memory at a time.

    The loss is ``sum(w_i * l_i) / sum(w_i)`` over the chunks.

    Args:
        chunks: Functions without arguments that return the mean loss of a chunk, a scalar tensor.
        weights: The weight of each chunk, such as its number of targets.

    Raises:
        ValueError: The number of weights differs from that of chunks, a weight is negative, or their sum is 0.
    """

    def __init__(self, chunks: Sequence[Callable[[], Tensor]], weights: Sequence[float]) -> None:
        self.chunks, self.weights = list(chunks), [float(weight) for weight in weights]
        if len(self.chunks) != len(self.weights):
            raise ValueError(f"{len(self.chunks)} chunks need as many weights, not {len(self.weights)}")
        total = sum(self.weights)
        if not (min(self.weights, default=-1) >= 0 and 0 < total < math.inf):
            raise ValueError("the weights of chunks must be at least 0 and have a finite sum above 0")
        self.shares = [weight / total for weight in self.weights]

    def __iter__(self) -> Iterator[tuple[float, Callable[[], Tensor]]]:
        """Iterate over the chunks, as pairs of the share of the loss and the function."""
        return iter(zip(self.shares, self.chunks, strict=True))


Loss = Callable[[], Tensor] | ChunkedLoss


@dataclass(frozen=True)
class Density:
    """The distribution of a Hessian's eigenvalues.

    Attributes:
        nodes: The nodes of each probe's quadrature ``[probes, steps]``.
        weights: Their weights ``[probes, steps]``; each row adds up to 1, and a probe that ended early has weights of 0
            at its end.
        grid: Values at which the density is given ``[points]``.
        density: The density there ``[points]``, smoothed by a normal distribution; its integral is 1.
        width: Standard deviation of that normal distribution.
        negative: The negative part of the spectrum.
        products: Number of Hessian-vector products computed.
    """

    nodes: Array
    weights: Array
    grid: Array
    density: Array
    width: float
    negative: Negative
    products: int


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """Concatenate all elements of dense or sparse tensors into one vector.

    Args:
        tensors: Tensors of any shapes, with n elements together.

    Returns:
        A vector ``[n]``.
    """
    return torch.cat([(t.to_dense() if t.is_sparse else t).reshape(-1) for t in tensors])


def unflatten(vector: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Split a vector into pieces with the shapes, dtypes and devices of the parameters.

    Args:
        vector: A vector ``[n]``.
        parameters: Tensors of n elements together.

    Returns:
        A tensor for each parameter.

    Raises:
        ValueError: The vector does not have as many elements as the parameters.
    """
    sizes = [p.numel() for p in parameters]
    if vector.shape != (sum(sizes),):
        raise ValueError(f"a vector of {sum(sizes)} elements is needed, not one of shape {tuple(vector.shape)}")
    pieces = torch.split(vector, sizes)
    return [piece.view(p.shape).to(p) for piece, p in zip(pieces, parameters, strict=True)]


@torch.no_grad()
def compute_loss(loss: Loss) -> float:
    """Compute the loss, adding its chunks in double precision.

    Args:
        loss: The loss.

    Returns:
        Its value at the current weights.
    """
    return sum(share * float(chunk()) for share, chunk in _shares(loss))


def compute_gradient(loss: Loss, parameters: Sequence[Tensor]) -> Tensor:
    """Compute the gradient of a loss, chunk by chunk; no ``.grad`` is read or written.

    Args:
        loss: The loss.
        parameters: Parameters that require a gradient; those that the loss does not use have a gradient of zero.

    Returns:
        A vector ``[n]`` of the parameters' type.

    Raises:
        ValueError: The loss depends on nothing that requires a gradient.
        FloatingPointError: The gradient is not finite.
    """
    return _accumulated(loss, parameters, lambda chunk: _chunk_gradient(chunk, parameters), "gradient")


def compute_hvp(loss: Loss, parameters: Sequence[Tensor], vector: Tensor) -> Tensor:
    """Compute the product of a loss's Hessian and a vector, chunk by chunk, by differentiating ``g @ v`` (Pearlmutter).

    Args:
        loss: The loss, twice differentiable.
        parameters: Parameters that require a gradient; those that the loss does not use have zeros for second
            derivatives.
        vector: A vector ``[n]`` of any floating type.

    Returns:
        A vector ``[n]`` of the parameters' type.

    Raises:
        ValueError: The loss depends on nothing that requires a gradient, or the vector is of another size.
        FloatingPointError: The product is not finite.
    """
    pieces = unflatten(vector, parameters)
    return _accumulated(loss, parameters, lambda chunk: _chunk_product(chunk, parameters, pieces), "product")


def measure_product_error(loss: Loss, parameters: Sequence[Tensor], seed: int = 0) -> float:
    """Measure the relative error of a Hessian-vector product against the central difference of gradients.

    A backward pass that was written by hand, and cannot be differentiated itself, gives a wrong product without any
    error; the difference is right. The vector is random and equally long in each parameter, so that small layers count
    like large ones. It is 0 where the gradient is, as in rows of padding, whose gradient is always withheld. The best
    of three steps counts: a long one meets kinks and higher derivatives, a short one rounding.

    Args:
        loss: The loss.
        parameters: Parameters that require a gradient.
        seed: Seed of the vector.

    Returns:
        The distance as a share of the larger of both: rounding, some thousandths, if the product is right.

    Raises:
        ValueError: The loss depends on nothing that requires a gradient.
        RuntimeError: torch reports that the loss cannot be differentiated twice.
        FloatingPointError: A gradient or the product is not finite.
    """
    slope = compute_gradient(loss, parameters)
    vector = _even(slope, parameters, seed)
    product = compute_hvp(loss, parameters, vector).double()
    length = float(flatten([p.detach() for p in parameters]).double().norm()) or 1.0
    noise = 10 * torch.finfo(slope.dtype).eps * float(slope.double().norm())
    errors = []
    for step in (1e-2 * length, 1e-3 * length, 1e-4 * length):
        ahead, behind = (_gradient_at(loss, parameters, sign * step * vector) for sign in (1, -1))
        difference = (ahead - behind) / (2 * step)
        larger = max(float(product.norm()), float(difference.norm()))
        apart = max(float((product - difference).norm()) - noise / step, 0.0)
        errors.append(apart / larger if larger else 0.0)
    return min(errors)


def find_top_eigenvalues(
    loss: Loss,
    parameters: Sequence[Tensor],
    k: int,
    *,
    smallest: bool = False,
    tolerance: float = 1e-3,
    max_products: int = 300,
    seed: int = 0,
    progress: Progress | None = None,
) -> Eigen:
    """Find the largest eigenvalues of the Hessian by the implicitly restarted Lanczos method of ARPACK.

    An eigenvalue that occurs several times is found as often; see
    :func:`recbole_samrec.analysis.lanczos.find_outermost`.
    Memory: ``3 * max(20, 2 * k + 1)`` vectors in double precision.

    Args:
        loss: The loss, twice differentiable.
        parameters: Parameters that require a gradient, n elements together.
        k: Number of eigenvalues, from 1 to n.
        smallest: The smallest ones, which are the most negative, instead of the largest.
        tolerance: Largest residual, relative to the largest absolute eigenvalue, of a value that counts as converged.
        max_products: Largest number of Hessian-vector products, but never less than what
            :func:`recbole_samrec.analysis.lanczos.find_outermost` needs, 72 and k up to k = 9.
        seed: Seed of the start vectors.
        progress: Called after each product.

    Returns:
        Values, vectors, residuals and the convergence of each.

    Raises:
        ValueError: k is out of its range, or see :func:`compute_hvp`.
        FloatingPointError: A product is not finite.
    """
    hessian = _hessian(loss, parameters, max_products, progress)
    return find_outermost(hessian, k, smallest, tolerance, max_products, seed)


def estimate_trace(
    loss: Loss, parameters: Sequence[Tensor], probes: int = 30, seed: int = 0, progress: Progress | None = None
) -> Estimate:
    """Estimate the trace of the Hessian as the mean of ``z @ H @ z`` over random sign vectors z (Hutchinson).

    Args:
        loss: The loss, twice differentiable.
        parameters: Parameters that require a gradient.
        probes: Number of random vectors, each of one product.
        seed: Their seed.
        progress: Called after each product.

    Returns:
        The trace and its standard error, which is 0 for a diagonal Hessian.

    Raises:
        ValueError: There is no probe, or see :func:`compute_hvp`.
    """
    hessian, random = _hessian(loss, parameters, probes, progress), np.random.default_rng(seed)
    signs = (_signs(random, hessian.size) for _ in range(_at_least_one("probes", probes)))
    return Estimate.from_samples(np.array([z @ hessian(z) for z in signs]))


def estimate_density(
    loss: Loss,
    parameters: Sequence[Tensor],
    *,
    steps: int = 80,
    probes: int = 4,
    seed: int = 0,
    grid: Sequence[float] | Array | None = None,
    width: float | None = None,
    progress: Progress | None = None,
) -> Density:
    """Estimate the density of the Hessian's eigenvalues by stochastic Lanczos quadrature (1901.10159, algorithm 1).

    Each probe, a vector of random signs, gives by ``steps`` products the nodes and weights of a Gaussian quadrature of
    the density, which are exact if that many steps span an invariant subspace. Memory: ``steps`` vectors in double
    precision.

    Args:
        loss: The loss, twice differentiable.
        parameters: Parameters that require a gradient.
        steps: Lanczos steps of each probe; no more than the number of weights are taken.
        probes: Number of random vectors.
        seed: Their seed.
        grid: Values at which the density is wanted, otherwise 1001 that span the nodes.
        width: Standard deviation of the normal distribution that smooths, otherwise a hundredth of the nodes' span.
        progress: Called after each product.

    Returns:
        Nodes, weights, density and its negative part.

    Raises:
        ValueError: There is no probe or no step, or see :func:`compute_hvp`.
    """
    steps, probes = _at_least_one("steps", steps), _at_least_one("probes", probes)
    hessian, random = _hessian(loss, parameters, steps * probes, progress), np.random.default_rng(seed)
    steps = min(steps, hessian.size)
    starts = (_signs(random, hessian.size) for _ in range(probes))
    matrices = [run_lanczos(hessian, start, steps, hessian.precision)[1] for start in starts]
    nodes, weights = compute_quadrature(matrices, steps)
    low, high = nodes[weights > 0].min(), nodes[weights > 0].max()
    if width is None:
        width = max(high - low, max(abs(low), abs(high)) / 100) / 100 or 0.01
    grid = np.linspace(low - 5 * width, high + 5 * width, 1001) if grid is None else np.asarray(grid, dtype=float)
    density = smooth_density(nodes, weights, grid, width)
    return Density(nodes, weights, grid, density, float(width), measure_negative(matrices), hessian.products)


def _hessian(loss: Loss, parameters: Sequence[Tensor], total: int, progress: Progress | None) -> SymmetricMatrix:
    """Wrap the Hessian as a matrix that :mod:`recbole_samrec.analysis.lanczos` works on."""
    size = sum(p.numel() for p in parameters)
    if not size:
        raise ValueError("there are no parameters to differentiate by")
    precision = torch.finfo(functools.reduce(torch.promote_types, [p.dtype for p in parameters])).eps

    def product(vector: Array) -> Array:
        image = compute_hvp(loss, parameters, torch.from_numpy(np.ascontiguousarray(vector))).double().cpu()
        return cast(Array, image.numpy())

    return SymmetricMatrix(product, size, precision, total, progress)


def _shares(loss: Loss) -> Iterator[tuple[float, Callable[[], Tensor]]]:
    """Iterate over the chunks of a loss and their shares; a plain function is one chunk."""
    return iter(loss) if isinstance(loss, ChunkedLoss) else iter([(1.0, loss)])


def _accumulated(
    loss: Loss, parameters: Sequence[Tensor], part: Callable[[Callable[[], Tensor]], Tensor], name: str
) -> Tensor:
    """Compute the weighted sum of a vector over chunks, in double precision."""
    if not parameters:
        raise ValueError("there are no parameters to differentiate by")
    total: Tensor | None = None
    for share, chunk in _shares(loss):
        vector = part(chunk)
        kind, vector = vector.dtype, vector.double() * share
        total = vector if total is None else total.add_(vector)
    assert total is not None  # a ChunkedLoss has at least one chunk
    if not total.isfinite().all():
        raise FloatingPointError(f"the {name} is not finite; the weights or the loss hold an inf or a nan")
    return total.to(kind)


def _chunk_gradient(chunk: Callable[[], Tensor], parameters: Sequence[Tensor]) -> Tensor:
    return _flat(_gradients(chunk, parameters, twice=False), parameters)


def _chunk_product(chunk: Callable[[], Tensor], parameters: Sequence[Tensor], vectors: Sequence[Tensor]) -> Tensor:
    gradients = _gradients(chunk, parameters, twice=True)
    # A constant gradient has no graph; its part of the product is zero.
    pairs = [(g, v) for g, v in zip(gradients, vectors, strict=True) if g is not None and g.requires_grad]
    if not pairs:
        return _flat([None] * len(gradients), parameters)
    outputs, factors = zip(*pairs, strict=True)
    return _flat(torch.autograd.grad(outputs, parameters, factors, allow_unused=True), parameters)


def _gradients(chunk: Callable[[], Tensor], parameters: Sequence[Tensor], twice: bool) -> tuple[Tensor | None, ...]:
    with torch.enable_grad():
        value = chunk()
        if not value.requires_grad:
            raise ValueError("the loss depends on nothing that requires a gradient, so it has no curvature")
        return torch.autograd.grad(value, parameters, create_graph=twice, allow_unused=True)


def _flat(pieces: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> Tensor:
    """Concatenate pieces into one vector; None stands for zeros."""
    pairs = zip(pieces, parameters, strict=True)
    return flatten([torch.zeros_like(p) if piece is None else piece for piece, p in pairs]).detach()


def _even(slope: Tensor, parameters: Sequence[Tensor], seed: int) -> Tensor:
    """Draw a vector in double precision with equal norm in each parameter; 0 where the gradient is 0."""
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(len(slope), generator=generator, dtype=torch.float64).to(slope.device) * (slope != 0)
    pieces = torch.split(random, [p.numel() for p in parameters])
    return torch.cat([piece / (float(piece.norm()) or 1.0) for piece in pieces]) / math.sqrt(len(pieces))


def _gradient_at(loss: Loss, parameters: Sequence[Tensor], step: Tensor) -> Tensor:
    """Compute the gradient after a step, in double precision, and restore the weights."""
    with displace(parameters, unflatten(step, parameters)):
        return compute_gradient(loss, parameters).double()


def _signs(random: np.random.Generator, size: int) -> Array:
    """Draw a random sign vector."""
    return random.integers(0, 2, size) * 2.0 - 1.0


def _at_least_one(name: str, number: int) -> int:
    if number < 1:
        raise ValueError(f"{name} must be at least 1, not {number}")
    return number
