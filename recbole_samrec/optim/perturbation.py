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
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn


def select(model: nn.Module, wanted: str | Sequence[str] = "all") -> dict[str, Tensor]:
    """Choose the parameters that SAM may move.

    Args:
        model: The model whose trainable parameters are chosen from.
        wanted: ``all``; ``norm``, those of layers whose class is called a norm, such as ``LayerNorm`` (SAM-ON,
            2306.04226); ``embedding``, the tables of ``nn.Embedding``; or shell patterns of names (``*LayerNorm*``,
            ``item_embedding.weight``).

    Returns:
        The trainable parameters that are wanted, by name, in order.

    Raises:
        ValueError: A pattern matches no parameter, or the model has no layer of the kind.
    """
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if wanted == "all":
        return named
    if wanted in ("norm", "embedding"):
        inside = {id(p) for layer in model.modules() if _is_a(layer, wanted) for p in layer.parameters(recurse=False)}
        chosen = {name: parameter for name, parameter in named.items() if id(parameter) in inside}
        if not chosen:
            raise ValueError(f"the model has no {wanted} layer to move")
        return chosen
    names = matching(named, [wanted] if isinstance(wanted, str) else wanted)
    return {name: parameter for name, parameter in named.items() if name in names}


def _is_a(layer: nn.Module, kind: str) -> bool:
    return isinstance(layer, (nn.Embedding, nn.EmbeddingBag)) if kind == "embedding" else "Norm" in type(layer).__name__


def matching(names: Iterable[str], patterns: Sequence[str]) -> set[str]:
    """The names that match one of some shell patterns.

    Raises:
        ValueError: A pattern matches none of them.
    """
    names = list(names)
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"no parameter is called {pattern!r}; there are: {', '.join(names)}")
    return {name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)}


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


def ascent(
    parameters: Sequence[Tensor],
    rho: float,
    adaptive: bool = False,
    eta: float = 0.01,
    directions: Sequence[Tensor] | None = None,
    row_radius: Mapping[Tensor, Tensor] | None = None,
) -> list[Tensor]:
    """The step from the weights to their worst neighbour, to first order.

    SAM's step is ``rho * g / |g|`` (2010.01412, equation 2). ASAM measures the neighbourhood in units of each weight,
    ``T = |w| + eta``, and takes ``rho * T^2 g / |T g|`` (2102.11600, equation 9, with its ``eta`` for stability, here
    for every parameter alike), so that rescaling weights without changing the function changes nothing.

    Args:
        parameters: Parameters whose ``.grad`` is set.
        rho: Radius of the neighbourhood.
        adaptive: ASAM instead of SAM.
        eta: Stability term of ASAM.
        directions: What takes the place of the gradients ``g``, one tensor for each parameter, dense or sparse.
        row_radius: For some parameters, a factor for the step of each of their rows ``[rows]``; ``|g|`` stays that of
            the whole gradient.

    Returns:
        One step for each parameter, in at least single precision, sparse where the gradient is. All are zero where the
        gradient is zero, and where one of them holds an inf or a nan.
    """
    directions = [p.grad for p in parameters] if directions is None else directions
    gradients = [_widened(g.coalesce() if g.is_sparse else g) for g in directions]
    if adaptive:
        units = [_unit(p.detach(), g, eta) for p, g in zip(parameters, gradients, strict=True)]
        gradients = [_times(g, unit) for g, unit in zip(gradients, units, strict=True)]
    norm = gradient_norm(gradients)
    if adaptive:
        gradients = [_times(g, unit) for g, unit in zip(gradients, units, strict=True)]
    usable = (norm > 0) & norm.isfinite()
    factor = torch.where(usable, rho / norm, 0.0)
    steps = [_scaled(g, factor, usable) for g in gradients]
    if not row_radius:
        return steps
    return [_by_row(s, row_radius[p]) if p in row_radius else s for p, s in zip(parameters, steps, strict=True)]


class SavedWeights:
    """Copies of the weights that steps are about to change: of whole parameters, or of the rows of a sparse step.

    Args:
        parameters: Parameters to be copied.
        steps: A step for each, as :func:`ascent` returns them.
    """

    def __init__(self, parameters: Sequence[Tensor], steps: Sequence[Tensor]) -> None:
        self._copies = [(p, _rows(s), _copy(p.detach(), _rows(s))) for p, s in zip(parameters, steps, strict=True)]

    def restore(self) -> None:
        """Put the weights back, bit for bit."""
        with torch.no_grad():
            for parameter, rows, weights in self._copies:
                if rows is None:
                    parameter.copy_(weights)
                else:
                    parameter.index_put_(rows, weights)


@torch.no_grad()
def shift(parameters: Sequence[Tensor], steps: Sequence[Tensor]) -> None:
    """Add a step to each parameter; of a sparse step only its rows are read and written."""
    for parameter, step in zip(parameters, steps, strict=True):
        rows, values = _rows(step), _values(step).to(parameter.dtype)
        if rows is None:
            parameter.add_(values)
        else:
            parameter.index_put_(rows, parameter[rows] + values)


@contextlib.contextmanager
def displaced(parameters: Sequence[Tensor], steps: Sequence[Tensor]) -> Iterator[None]:
    """Hold parameters at a distance from their weights for the duration of a ``with`` block.

    The weights come back bit for bit when the block ends, also by an exception: they are copied back, since
    subtracting the step again would lose bits.

    Args:
        parameters: Parameters to move.
        steps: A step for each; of a sparse one only its rows are copied, moved and written.
    """
    saved = SavedWeights(parameters, steps)
    try:
        shift(parameters, steps)
        del steps
        yield
    finally:
        saved.restore()


@contextlib.contextmanager
def worst_neighbour(
    parameters: Iterable[Tensor],
    rho: float,
    adaptive: bool = False,
    eta: float = 0.01,
    row_radius: Mapping[Tensor, Tensor] | None = None,
) -> Iterator[list[Tensor]]:
    """Hold parameters at their worst neighbour for the duration of a ``with`` block.

    Args:
        parameters: Parameters to move by their ``.grad``; those without a gradient stay, and of those with a sparse
            gradient the rows that it does not have.
        rho: Radius of the neighbourhood, at least 0.
        adaptive: ASAM instead of SAM.
        eta: Stability term of ASAM.
        row_radius: Factors of the steps of rows, as in :func:`ascent`.

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
    with displaced(moved, ascent(moved, rho, adaptive, eta, row_radius=row_radius)):
        yield moved


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _unit(weight: Tensor, gradient: Tensor, eta: float) -> Tensor:
    """ASAM's unit of each weight, for a sparse gradient only of the rows it has."""
    return _widened(weight if not gradient.is_sparse else weight[_rows(gradient)]).abs() + eta


def _times(gradient: Tensor, unit: Tensor) -> Tensor:
    return _with_values(gradient, _values(gradient) * unit)


def _scaled(gradient: Tensor, factor: Tensor, usable: Tensor) -> Tensor:
    """``factor * gradient``, or zero where the factor is of no use; without waiting for a GPU."""
    values = _values(gradient)
    factor, usable = factor.to(values), usable.to(values.device)
    return _with_values(gradient, torch.where(usable, values * factor, 0.0))


def _by_row(step: Tensor, radius: Tensor) -> Tensor:
    """A step whose rows are each multiplied by their factor."""
    factors = radius[step.indices()[0]] if step.is_sparse else radius
    values = _values(step)
    return _with_values(step, values * factors.to(values.dtype).view(-1, *[1] * (values.dim() - 1)))


def _rows(step: Tensor) -> tuple[Tensor, ...] | None:
    """The index of what a sparse step changes in its parameter; None if the step is dense."""
    return tuple(step.indices()) if step.is_sparse else None


def _copy(weights: Tensor, rows: tuple[Tensor, ...] | None) -> Tensor:
    return weights.clone() if rows is None else weights[rows]


def _values(gradient: Tensor) -> Tensor:
    return gradient.values() if gradient.is_sparse else gradient


def _with_values(gradient: Tensor, values: Tensor) -> Tensor:
    if not gradient.is_sparse:
        return values
    return torch.sparse_coo_tensor(
        gradient.indices(), values, gradient.shape, is_coalesced=True, check_invariants=False
    )
