"""Measures of sharpness: the rise of the loss when the weights are perturbed.

Measures on raw weights can mislead. In a network of ReLU layers, one layer can be multiplied by a factor and the next
one divided by it: the function stays the same, while the plain rise, the norm of the gradient and the eigenvalues and
trace of the Hessian become arbitrarily large (Dinh et al., arXiv 1703.04933). The adaptive measures scale each weight's
perturbation by ``|w|`` and are invariant to such rescaling: the adaptive forms in this module with ``eta = 0``,
:func:`measure_random_rises` with ``adaptive``, and :func:`maximize_adaptive_rise`. They are not invariant to all
changes of weights that preserve the function, and no measure alone predicts how well a model generalizes
(Andriushchenko et al., arXiv 2302.07011).

The loss must return the same value at each call (no dropout). With single precision weights, a rise below about 1e-6 of
the loss is rounding. The weights are restored bit for bit, even after an exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from recbole_samrec.analysis.hessian import Loss, compute_gradient, compute_loss, flatten, unflatten
from recbole_samrec.analysis.lanczos import Array, Progress
from recbole_samrec.optim.perturbation import compute_ascent, displace


@dataclass(frozen=True)
class Slope:
    """The norms of one gradient, and the rise of the loss along it.

    Attributes:
        loss: The loss itself.
        norm: The norm of the gradient; a step of length rho raises a linear loss by ``rho * norm``.
        adaptive_norm: The norm in units of the weights, with ``eta = 0``.
        rises: The rise after SAM's step for each radius ``[r]``.
        adaptive_rises: The rise after ASAM's step with ``eta = 0`` for each adaptive radius ``[a]``.
    """

    loss: float
    norm: float
    adaptive_norm: float
    rises: Array
    adaptive_rises: Array


@dataclass(frozen=True)
class RandomRises:
    """Rises of the loss in random directions.

    Attributes:
        rhos: Radii ``[r]``.
        rises: The rise for each radius and direction ``[r, draws]``; the directions are the same for all radii.
    """

    rhos: Array
    rises: Array

    @property
    def worst(self) -> Array:
        """The largest rise at each radius ``[r]``."""
        return cast(Array, self.rises.max(axis=1))

    @property
    def mean(self) -> Array:
        """The mean rise at each radius ``[r]``."""
        return cast(Array, self.rises.mean(axis=1))

    @property
    def standard_error(self) -> Array:
        """The standard error of the mean rise at each radius ``[r]``; nan for a single draw."""
        draws = self.rises.shape[1]
        return self.rises.std(axis=1, ddof=1) / np.sqrt(draws) if draws > 1 else np.full(len(self.rises), np.nan)


def measure_gradient_norm(
    loss: Loss, parameters: Sequence[Tensor], *, adaptive: bool = False, eta: float = 0.01
) -> float:
    """Measure the Euclidean norm of the gradient ``g``, or of ``(|w| + eta) * g`` in the adaptive form.

    Args:
        loss: The loss.
        parameters: Parameters that require a gradient.
        adaptive: Multiply each element of the gradient by its weight's unit.
        eta: Added to each weight's absolute value; the adaptive norm is invariant to rescaling with 0.

    Returns:
        The norm.

    Raises:
        ValueError: The loss depends on nothing that requires a gradient.
        FloatingPointError: The gradient is not finite.
    """
    return float(_scaled_gradient(loss, parameters, adaptive, eta).norm())


def measure_gradient_norms(
    loss: Loss, named: Mapping[str, Tensor], *, adaptive: bool = False, eta: float = 0.01
) -> dict[str, float]:
    """Measure the norm of each parameter's part of the gradient.

    Args:
        loss: The loss.
        named: Parameters that require a gradient, by name.
        adaptive: As in :func:`measure_gradient_norm`.
        eta: As in :func:`measure_gradient_norm`.

    Returns:
        The norms by name.
    """
    scaled = _scaled_gradient(loss, list(named.values()), adaptive, eta)
    parts = torch.split(scaled, [p.numel() for p in named.values()])
    return {name: float(part.norm()) for name, part in zip(named, parts, strict=True)}


def measure_ascent_rise(
    loss: Loss, parameters: Sequence[Tensor], rhos: Sequence[float], *, adaptive: bool = False, eta: float = 0.01
) -> Array:
    """Measure the rise of the loss after SAM's ascent step, ``L(w + rho * g / |g|) - L(w)``.

    The adaptive form takes ASAM's step ``rho * T^2 g / |T g|`` with ``T = |w| + eta`` (2102.11600, equation 9; SAM:
    2010.01412, equation 2). To first order no other step of its length raises the loss more; where the gradient is
    zero there is no step, and the rise is 0.

    Args:
        loss: The loss.
        parameters: Parameters that require a gradient.
        rhos: Radii ``[r]``.
        adaptive: ASAM's step instead of SAM's.
        eta: ASAM's stability term; the rise is invariant to rescaling with 0.

    Returns:
        The rise at each radius ``[r]``.

    Raises:
        ValueError: The loss depends on nothing that requires a gradient.
        FloatingPointError: The gradient is not finite.
    """
    directions, start = unflatten(compute_gradient(loss, parameters), parameters), compute_loss(loss)
    return np.array([_rise(loss, parameters, directions, start, rho, adaptive, eta) for rho in rhos])


def measure_slope(
    loss: Loss,
    parameters: Sequence[Tensor],
    rhos: Sequence[float],
    adaptive_rhos: Sequence[float],
    progress: Progress | None = None,
) -> Slope:
    """Measure the norm of the gradient and the rises along it, plain and adaptive, from one gradient.

    Args:
        loss: The loss.
        parameters: Parameters that require a gradient.
        rhos: Radii ``[r]`` of SAM's step.
        adaptive_rhos: Radii ``[a]`` of ASAM's step.
        progress: Called after each evaluation of the loss.

    Returns:
        The loss, both norms and the rises.

    Raises:
        ValueError: The loss depends on nothing that requires a gradient.
        FloatingPointError: The gradient is not finite.
    """
    steps = [(rho, False) for rho in rhos] + [(rho, True) for rho in adaptive_rhos]
    vector, start = compute_gradient(loss, parameters), compute_loss(loss)
    directions, rises = unflatten(vector, parameters), []
    for rho, adaptive in steps:
        rises.append(_rise(loss, parameters, directions, start, rho, adaptive, 0.0))
        if progress is not None:
            progress(len(rises), len(steps))
    norm, adaptive_norm = (float((vector.double() * unit).norm()) for unit in (1.0, _units(parameters, 0.0)))
    return Slope(start, norm, adaptive_norm, np.array(rises[: len(rhos)]), np.array(rises[len(rhos) :]))


def measure_random_rises(
    loss: Loss,
    parameters: Sequence[Tensor],
    rhos: Sequence[float],
    draws: int = 10,
    seed: int = 0,
    *,
    adaptive: bool = False,
) -> RandomRises:
    """Measure the rise of the loss after steps of length rho in directions drawn uniformly from the sphere.

    Args:
        loss: The loss.
        parameters: The weights that are moved.
        rhos: Radii ``[r]``.
        draws: Number of directions.
        seed: Their seed; the same on every device.
        adaptive: Multiply each element of a step by its weight's absolute value ``|w|``.

    Returns:
        All rises; ``worst`` is the largest and ``mean`` the mean at each radius.

    Raises:
        ValueError: There is no draw.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}")
    generator = torch.Generator().manual_seed(seed)
    unit, start = _units(parameters, 0.0) if adaptive else 1.0, compute_loss(loss)
    rises = np.empty((len(rhos), draws))
    for draw in range(draws):
        direction = _random_direction(parameters, generator) * unit
        for i, rho in enumerate(rhos):
            rises[i, draw] = _value_at(loss, parameters, unflatten(rho * direction, parameters)) - start
    return RandomRises(np.asarray(rhos, dtype=float), rises)


def maximize_adaptive_rise(
    loss: Loss, parameters: Sequence[Tensor], rhos: Sequence[float], *, steps: int = 20, seed: int = 0
) -> Array:
    """Maximize the rise within ``|d / |w||_2 <= rho`` by projected gradient ascent (2302.07011, section 2).

    The norm is the Euclidean norm over all weights, each perturbation divided by its weight; a weight of zero is not
    perturbed. With ``d = |w| * e``, each step follows the gradient with respect to ``e`` and is projected back into the
    ball; the first step has length ``rho``, and the length decreases from step to step. The first step is therefore
    ASAM's with ``eta = 0``, and the result is never below its rise. Departure from the paper: there Auto-PGD chooses
    the lengths of the steps.

    Args:
        loss: The loss.
        parameters: Parameters that require a gradient.
        rhos: Radii ``[r]``.
        steps: Number of steps for each radius, of one gradient each.
        seed: Seed of the first direction at weights where the gradient is zero.

    Returns:
        The largest rise found at each radius ``[r]``, at least 0.

    Raises:
        ValueError: The loss depends on nothing that requires a gradient.
        FloatingPointError: A gradient is not finite.
    """
    start = compute_loss(loss)
    return np.array([_climb(loss, parameters, rho, steps, seed) - start for rho in rhos])


def _climb(loss: Loss, parameters: Sequence[Tensor], rho: float, steps: int, seed: int) -> float:
    """Return the largest loss on the path of :func:`maximize_adaptive_rise`."""
    units = _units(parameters, 0.0)
    moves = torch.zeros_like(units)
    best = compute_loss(loss)
    for step in range(steps):
        with displace(parameters, unflatten(units * moves, parameters)):
            uphill = units * compute_gradient(loss, parameters).double()
        if not uphill.any():
            uphill = _random_direction(parameters, torch.Generator().manual_seed(seed))
        moves = moves + rho * (1 - step / steps) * uphill / uphill.norm()
        moves = moves * min(1.0, rho / max(float(moves.norm()), 1e-300))
        best = max(best, _value_at(loss, parameters, unflatten(units * moves, parameters)))
    return best


def _rise(
    loss: Loss,
    parameters: Sequence[Tensor],
    directions: Sequence[Tensor],
    start: float,
    rho: float,
    adaptive: bool,
    eta: float,
) -> float:
    """Measure the rise after one ascent step along a gradient, from the loss at its start."""
    return _value_at(loss, parameters, compute_ascent(parameters, rho, adaptive, eta, directions)) - start


def _value_at(loss: Loss, parameters: Sequence[Tensor], steps: Sequence[Tensor]) -> float:
    """Compute the loss after a step, and restore the weights."""
    with displace(parameters, steps):
        return compute_loss(loss)


def _scaled_gradient(loss: Loss, parameters: Sequence[Tensor], adaptive: bool, eta: float) -> Tensor:
    vector = compute_gradient(loss, parameters).double()
    return vector * _units(parameters, eta) if adaptive else vector


def _units(parameters: Sequence[Tensor], eta: float) -> Tensor:
    """Return each weight's absolute value plus eta, as a vector in double precision."""
    units: Tensor = flatten([p.detach() for p in parameters]).double().abs() + eta
    return units


def _random_direction(parameters: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    """Draw a vector of length 1 in double precision, on the device of the first parameter."""
    direction = torch.randn(sum(p.numel() for p in parameters), generator=generator, dtype=torch.float64)
    unit: Tensor = direction / direction.norm()
    return unit.to(parameters[0].device)
