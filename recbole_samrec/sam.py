"""Sharpness-Aware Minimization on plain torch parameters.

One update with SAM takes two gradients: the first shows the direction in which the loss rises fastest, the second is
taken at the worst neighbour of the weights in that direction and is the one the optimizer uses::

    loss(w).backward()
    with worst_neighbour(parameters, rho=0.05):
        optimizer.zero_grad()
        loss(w).backward()
    optimizer.step()                       # w is back, its gradient is the neighbour's

Sources: SAM, Foret et al., arXiv 2010.01412, equations 2 and 3; ASAM, Kwon et al., arXiv 2102.11600, equation 9.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor


def select(named_parameters: Iterable[tuple[str, Tensor]], leave_out: Sequence[str] = ()) -> list[Tensor]:
    """Choose the parameters that SAM may move.

    Args:
        named_parameters: Pairs of name and parameter, as ``model.named_parameters()`` gives them.
        leave_out: Shell patterns (``*LayerNorm*``, ``item_embedding.weight``); a parameter whose name matches one of
            them stays where it is.

    Returns:
        The trainable parameters that no pattern matches, in order.

    Raises:
        ValueError: A pattern matches no parameter, or nothing is left to move.
    """
    named = [(name, parameter) for name, parameter in named_parameters if parameter.requires_grad]
    for pattern in leave_out:
        if not any(fnmatch.fnmatchcase(name, pattern) for name, _ in named):
            raise ValueError(f"no parameter is called {pattern!r}; there are: {', '.join(name for name, _ in named)}")
    chosen = [p for name, p in named if not any(fnmatch.fnmatchcase(name, pattern) for pattern in leave_out)]
    if not chosen:
        raise ValueError(f"the patterns {list(leave_out)} leave SAM no parameter to move")
    return chosen


def gradient_norm(gradients: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all gradients together, in at least single precision.

    Args:
        gradients: Dense or sparse tensors of any shapes.

    Returns:
        A scalar tensor on the device of the first gradient; inf or nan if one of the gradients is.
    """
    norms = [torch.linalg.vector_norm(_widened(g.coalesce().values() if g.is_sparse else g)) for g in gradients]
    kind = functools.reduce(torch.promote_types, [norm.dtype for norm in norms])
    return torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device, kind) for norm in norms]))


def ascent(parameters: Sequence[Tensor], rho: float, adaptive: bool = False, eta: float = 0.01) -> list[Tensor]:
    """The step from the weights to their worst neighbour, to first order.

    SAM's step is ``rho * g / |g|`` (2010.01412, equation 2). ASAM measures the neighbourhood in units of each weight,
    ``T = |w| + eta``, and takes ``rho * T^2 g / |T g|`` (2102.11600, equation 9, with its ``eta`` for stability, here
    for every parameter alike), so that rescaling weights without changing the function changes nothing.

    Args:
        parameters: Parameters whose ``.grad`` is set.
        rho: Radius of the neighbourhood.
        adaptive: ASAM instead of SAM.
        eta: Stability term of ASAM.

    Returns:
        One step for each parameter, in at least single precision. All are zero where the gradient is zero, and where
        one of them holds an inf or a nan.
    """
    gradients = [_widened(p.grad.coalesce() if p.grad.is_sparse else p.grad) for p in parameters]
    if adaptive:
        units = [_unit(p.detach(), g, eta) for p, g in zip(parameters, gradients, strict=True)]
        gradients = [_times(g, unit) for g, unit in zip(gradients, units, strict=True)]
    norm = gradient_norm(gradients)
    if adaptive:
        gradients = [_times(g, unit) for g, unit in zip(gradients, units, strict=True)]
    return [_scaled(g, rho, norm) for g in gradients]


@contextlib.contextmanager
def worst_neighbour(
    parameters: Iterable[Tensor], rho: float, adaptive: bool = False, eta: float = 0.01
) -> Iterator[list[Tensor]]:
    """Hold parameters at their worst neighbour for the duration of a ``with`` block.

    The weights come back bit for bit when the block ends, also by an exception: they are copied back from a clone,
    since subtracting the step again would lose bits.

    Args:
        parameters: Parameters to move by their ``.grad``; those without a gradient stay.
        rho: Radius of the neighbourhood, at least 0.
        adaptive: ASAM instead of SAM.
        eta: Stability term of ASAM.

    Yields:
        The parameters that were moved.

    Raises:
        ValueError: ``rho`` is negative or not a number.
    """
    if not rho >= 0:
        raise ValueError(f"rho must be at least 0, not {rho}")
    moved = [p for p in parameters if p.grad is not None and rho > 0]
    if not moved:
        yield moved
        return
    with torch.no_grad():
        steps = ascent(moved, rho, adaptive, eta)
        saved = [p.detach().clone() for p in moved]
    try:
        with torch.no_grad():
            for parameter, step in zip(moved, steps, strict=True):
                parameter.add_(step.to(parameter.dtype))
        del steps
        yield moved
    finally:
        with torch.no_grad():
            for parameter, weight in zip(moved, saved, strict=True):
                parameter.copy_(weight)


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _unit(weight: Tensor, gradient: Tensor, eta: float) -> Tensor:
    """ASAM's unit of each weight, for a sparse gradient only of the rows it has."""
    return _widened(weight[tuple(gradient.indices())] if gradient.is_sparse else weight).abs() + eta


def _times(gradient: Tensor, unit: Tensor) -> Tensor:
    return _with_values(gradient, _values(gradient) * unit)


def _scaled(gradient: Tensor, rho: float, norm: Tensor) -> Tensor:
    """``rho * gradient / norm``, or zero where the norm is zero, inf or nan; without waiting for a GPU."""
    norm = norm.to(gradient.device)
    usable = (norm > 0) & norm.isfinite()
    values = _values(gradient)
    return _with_values(gradient, torch.where(usable, values * (rho / norm).to(values.dtype), 0.0))


def _values(gradient: Tensor) -> Tensor:
    return gradient.values() if gradient.is_sparse else gradient


def _with_values(gradient: Tensor, values: Tensor) -> Tensor:
    if not gradient.is_sparse:
        return values
    return torch.sparse_coo_tensor(
        gradient.indices(), values, gradient.shape, is_coalesced=True, check_invariants=False
    )
