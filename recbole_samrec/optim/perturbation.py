"""Sharpness-Aware Minimization on plain torch parameters.

SAM minimizes the largest loss within a radius rho of the weights, ``max over |e| <= rho of L(w + e)``. To first order,
``L(w + e) = L(w) + <g, e>`` with the gradient ``g`` at ``w``, and the largest value is reached by the ascent step
``e = rho * g / |g|`` (Foret et al., arXiv 2010.01412, equations 1 and 2). The optimizer then steps from ``w`` with the
gradient at ``w + e``, second-order terms dropped (equation 3). One update therefore takes two gradients::

    loss(w).backward()
    with perturb(parameters, rho=0.05):
        optimizer.zero_grad()
        loss(w).backward()
    optimizer.step()                       # w is restored; its gradient is that of the perturbed weights

ASAM measures the radius in units of each weight (Kwon et al., arXiv 2102.11600, equation 9).
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from recbole_samrec.optim import foreach


def select_parameters(model: nn.Module, wanted: str | Sequence[str] = "all") -> dict[str, Tensor]:
    """Choose the parameters that SAM may move.

    Args:
        model: The model whose trainable parameters are chosen from.
        wanted: ``all``; ``norm``, those of layers whose class is called a norm, such as ``LayerNorm`` (SAM-ON,
            2306.04226); ``embedding``, the tables of ``nn.Embedding``; or shell patterns of names (``*LayerNorm*``,
            ``item_embedding.weight``).

    Returns:
        The chosen parameters by name, in the model's order.

    Raises:
        ValueError: A pattern matches no parameter, or the model has no layer of the kind.
    """
    named: dict[str, Tensor] = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if wanted == "all":
        return named
    if wanted in ("norm", "embedding"):
        layers = [layer for layer in model.modules() if _is_a(layer, wanted)]
        inside = {id(parameter) for layer in layers for parameter in layer.parameters(recurse=False)}
        chosen = {name: parameter for name, parameter in named.items() if id(parameter) in inside}
        if not chosen:
            raise ValueError(f"the model has no {wanted} layer to move")
        return chosen
    names = match_names(named, [wanted] if isinstance(wanted, str) else wanted)
    return {name: parameter for name, parameter in named.items() if name in names}


def _is_a(layer: nn.Module, kind: str) -> bool:
    return isinstance(layer, (nn.Embedding, nn.EmbeddingBag)) if kind == "embedding" else "Norm" in type(layer).__name__


def match_names(names: Iterable[str], patterns: Sequence[str]) -> set[str]:
    """Find the names that match at least one shell pattern.

    Args:
        names: The names.
        patterns: The patterns.

    Returns:
        The matching names.

    Raises:
        ValueError: A pattern matches no name.
    """
    names = list(names)
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"no parameter is called {pattern!r}; there are: {', '.join(names)}")
    return {name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)}


def compute_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Compute the Euclidean norm of tensors, taken together as one vector, in at least single precision.

    Args:
        tensors: Dense or sparse tensors of any shapes.

    Returns:
        A scalar tensor on the device of the first tensor; inf or nan if an element is.
    """
    norms = foreach.compute_norms(foreach.widen_all([t.coalesce().values() if t.is_sparse else t for t in tensors]))
    kind = functools.reduce(torch.promote_types, [norm.dtype for norm in norms])
    total: Tensor = torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device, kind) for norm in norms]))
    return total


def compute_ascent(
    parameters: Sequence[Tensor],
    rho: float,
    adaptive: bool = False,
    eta: float = 0.01,
    directions: Sequence[Tensor] | None = None,
    row_radius: Mapping[Tensor, Tensor] | None = None,
) -> list[Tensor]:
    """Compute the ascent step, the perturbation within the radius that raises the loss most, to first order.

    SAM's step is ``rho * g / |g|`` (2010.01412, equation 2). ASAM measures the radius in units of each weight,
    ``T = |w| + eta``, and takes ``rho * T^2 g / |T g|`` (2102.11600, equation 9, with its ``eta`` for stability, here
    for every parameter alike), so that rescaling weights without changing the function changes nothing.

    Args:
        parameters: Parameters whose ``.grad`` is set.
        rho: Radius.
        adaptive: ASAM instead of SAM.
        eta: Stability term of ASAM.
        directions: Replace the gradients ``g``: one tensor for each parameter, dense or sparse.
        row_radius: For some parameters, a factor for the step of each of their rows ``[rows]``; ``|g|`` stays that of
            the whole gradient.

    Returns:
        One step for each parameter, in at least single precision, sparse if the gradient is. All steps are zero if the
        gradient is zero or contains an inf or nan.
    """
    directions = [p.grad for p in parameters if p.grad is not None] if directions is None else directions
    gradients = [g.coalesce() if g.is_sparse else g for g in directions]
    values = foreach.widen_all([_values(g) for g in gradients])
    if adaptive:
        units = _weight_units([p.detach() for p in parameters], gradients, eta)
        values = foreach.multiply_all(values, units)
    norm = compute_norm(values)
    if adaptive:
        values = foreach.multiply_all(values, units)
    factor, usable = rho / norm, (norm > 0) & (norm < torch.inf)
    values = foreach.scale_or_clear_all(values, lambda flat: flat.mul_(factor.to(flat)), usable)
    steps = [replace_values(g, v) for g, v in zip(gradients, values, strict=True)]
    if not row_radius:
        return steps
    return [_scale_rows(s, row_radius[p]) if p in row_radius else s for p, s in zip(parameters, steps, strict=True)]


class SavedWeights:
    """Copies of the weights that steps are about to change: whole parameters, or the rows of a sparse step.

    Args:
        parameters: Parameters to copy.
        steps: A step for each, as :func:`compute_ascent` returns them.
    """

    def __init__(self, parameters: Sequence[Tensor], steps: Sequence[Tensor]) -> None:
        pairs = list(zip(parameters, steps, strict=True))
        self._dense = [p for p, step in pairs if not step.is_sparse]
        self._copies = foreach.copy_all([p.detach() for p in self._dense])
        moved_rows = [(p, _rows(step)) for p, step in pairs if step.is_sparse]
        self._rows = [(p, rows, p.detach()[rows]) for p, rows in moved_rows]

    @torch.no_grad()
    def restore(self) -> None:
        """Restore the weights, bit for bit."""
        foreach.overwrite_all(self._dense, self._copies)
        for parameter, rows, weights in self._rows:
            parameter.index_put_(rows, weights)


@torch.no_grad()
def shift(parameters: Sequence[Tensor], steps: Sequence[Tensor]) -> None:
    """Add a step to each parameter.

    Args:
        parameters: Parameters, changed in place.
        steps: A step for each; of a sparse step only its rows are read and written.
    """
    pairs = list(zip(parameters, steps, strict=True))
    dense = [(p, step) for p, step in pairs if not step.is_sparse]
    foreach.add_to_all([p for p, _ in dense], [step for _, step in dense])
    for parameter, step in pairs:
        if step.is_sparse:
            rows = _rows(step)
            parameter.index_put_(rows, parameter[rows] + step.values().to(parameter.dtype))


@contextlib.contextmanager
def displace(parameters: Sequence[Tensor], steps: Sequence[Tensor]) -> Iterator[None]:
    """Add a step to each parameter for the duration of a ``with`` block.

    The weights are restored bit for bit when the block ends, even after an exception: they are copied back, since
    subtracting the step would lose bits.

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
def perturb(
    parameters: Iterable[Tensor],
    rho: float,
    adaptive: bool = False,
    eta: float = 0.01,
    row_radius: Mapping[Tensor, Tensor] | None = None,
) -> Iterator[list[Tensor]]:
    """Move parameters by the ascent step for the duration of a ``with`` block.

    Args:
        parameters: Parameters to move by their ``.grad``; parameters, and rows of sparse gradients, without a gradient
            are not moved.
        rho: Radius, at least 0.
        adaptive: ASAM instead of SAM.
        eta: Stability term of ASAM.
        row_radius: Factors of the steps of rows, as in :func:`compute_ascent`.

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
    with displace(moved, compute_ascent(moved, rho, adaptive, eta, row_radius=row_radius)):
        yield moved


def _weight_units(weights: Sequence[Tensor], gradients: Sequence[Tensor], eta: float) -> list[Tensor]:
    """Compute ASAM's unit of each weight, ``|w| + eta``; for a sparse gradient, of its rows only."""
    pairs = zip(weights, gradients, strict=True)
    read = foreach.widen_all([w[_rows(g)] if g.is_sparse else w for w, g in pairs])
    return foreach.apply_to_groups(lambda group: list(torch._foreach_add(torch._foreach_abs(group), eta)), read)


def _scale_rows(step: Tensor, radius: Tensor) -> Tensor:
    """Multiply each row of a step by its factor."""
    factors = radius[step.indices()[0]] if step.is_sparse else radius
    values = _values(step)
    return replace_values(step, values * factors.to(values.dtype).view(-1, *[1] * (values.dim() - 1)))


def _rows(step: Tensor) -> tuple[Tensor, ...]:
    """Return the index of the rows that a sparse step changes in its parameter."""
    return tuple(step.indices())


def _values(gradient: Tensor) -> Tensor:
    return gradient.values() if gradient.is_sparse else gradient


def replace_values(gradient: Tensor, values: Tensor) -> Tensor:
    """Return a tensor like a gradient with other values.

    Args:
        gradient: A dense tensor, or a coalesced sparse one.
        values: The values: a dense tensor, or those of the rows of a sparse one.

    Returns:
        The values themselves, or a sparse tensor of them with the gradient's rows.
    """
    if not gradient.is_sparse:
        return values
    return torch.sparse_coo_tensor(
        gradient.indices(), values, gradient.shape, is_coalesced=True, check_invariants=False
    )
