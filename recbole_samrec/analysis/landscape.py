"""Loss surfaces: the loss along lines and over planes through the weights, on plain torch parameters.

One random direction, the loss along it, and the loss over a plane::

    first, second = (draw_direction(parameters, seed) for seed in (1, 2))
    along = compute_line(loss, parameters, first, make_positions(reach=1, count=51))
    over = compute_surface(loss, parameters, (first, second), make_positions(1, 51), make_positions(1, 51))

A *loss* is a callable without arguments, or a :class:`recbole_samrec.analysis.hessian.ChunkedLoss`, that computes the
loss of the current weights; every call uses the same sample and no dropout. *Parameters* are tensors by name, as
returned by :func:`recbole_samrec.optim.perturbation.select_parameters`. A *direction* has one tensor for each
parameter, in the same order; it may be random or an eigenvector. Weights are modified in place and restored bit for
bit, even after an exception or Ctrl-C. At position 0 nothing is added, so the loss there is exactly that of the
weights. No autograd graph is kept.

A picture shows a slice of a space with very many dimensions: a minimum that looks flat in two random directions may be
sharp in others. Filter normalization makes the slices of two models comparable if they differ only in the scale of
their rows.

Source: Li et al., Visualizing the Loss Landscape of Neural Nets, arXiv 1712.09913.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from recbole_samrec.analysis.hessian import Loss, compute_loss
from recbole_samrec.analysis.lanczos import Array

Parameters = Mapping[str, Tensor]
Direction = Sequence[Tensor]
Save = Callable[[Array], object]
Progress = Callable[[int, int], object]


def make_positions(reach: float, count: int) -> Array:
    """Make evenly spaced positions from ``-reach`` to ``reach``, symmetric bit for bit, with an exact 0 in the middle.

    Args:
        reach: The outermost position, above 0.
        count: An odd number of positions, at least 3.

    Returns:
        Shape ``[count]``, ascending.

    Raises:
        ValueError: The reach is not above 0, or the count is even or too small.
    """
    if not reach > 0 or count < 3 or count % 2 == 0:
        raise ValueError(f"positions need a reach above 0 and an odd count of at least 3, not {reach} and {count}")
    right = np.linspace(0, reach, count // 2 + 1)
    return np.concatenate([-right[:0:-1], right])


def draw_direction(
    parameters: Parameters,
    seed: int,
    *,
    normalize: str = "filter",
    vectors: str = "ignore",
    orthogonal_to: Direction | None = None,
) -> list[Tensor]:
    """Draw a Gaussian direction with the norms of the weights, filter by filter.

    A filter consists of the weights of one output: a row of a matrix, or the embedding of one item. With ``d`` drawn
    from the standard normal distribution, the direction is ``d / |d| * |w|`` for each filter ``w`` (1712.09913, section
    4). A filter of zeros, such as the embedding of a padding item, does not move.

    Two directions with different seeds are independent, and therefore nearly orthogonal in many dimensions.
    ``orthogonal_to`` makes them orthogonal up to rounding, with little effect on the norms of the filters.

    Args:
        parameters: The weights, by name.
        seed: Seed of the draws, which are made on the CPU and are therefore the same on every device.
        normalize: ``filter``, or ``layer`` for the norm of each whole parameter.
        vectors: ``ignore`` does not move biases and the weights of normalization layers, as in the paper; ``scale``
            treats each as one filter.
        orthogonal_to: Another direction; the projection on it is subtracted.

    Returns:
        One tensor for each parameter, of its shape, type and device.

    Raises:
        ValueError: An option has another value, or the other direction does not fit.
    """
    if normalize not in ("filter", "layer") or vectors not in ("ignore", "scale"):
        raise ValueError(f"normalize is filter or layer and vectors ignore or scale, not {normalize} and {vectors}")
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for weight in parameters.values():
        noise = torch.randn(weight.shape, generator=generator, dtype=_at_least_single(weight)).to(weight.device)
        if weight.dim() < 2 and vectors == "ignore":
            drawn.append(torch.zeros_like(weight))
        else:
            whole = weight.dim() < 2 or normalize == "layer"
            drawn.append(_scale_to_norm(weight.detach(), noise, whole).to(weight.dtype))
    return drawn if orthogonal_to is None else _project_out(drawn, _fit_tensors(parameters, orthogonal_to))


def compute_line(
    loss: Loss,
    parameters: Parameters,
    direction: Direction,
    steps: Sequence[float] | Array,
    *,
    done: Array | None = None,
    save: Save | None = None,
    progress: Progress | None = None,
) -> Array:
    """Compute the loss at ``weights + step * direction`` for each step.

    Args:
        loss: Computes the loss of the current weights.
        parameters: The weights, by name.
        direction: One tensor for each of them.
        steps: Positions on the line ``[S]``; 0 is the weights.
        done: The array that an earlier call saved, with NaN where nothing is computed yet.
        save: Called with the array after each step and on an error.
        progress: Called with the number of points done and of all points.

    Returns:
        Losses ``[S]`` in double precision; inf where the loss is not a number.

    Raises:
        ValueError: The direction does not fit the parameters, or ``done`` the steps.
    """
    return _compute_grid(loss, parameters, [(direction, steps)], done, save, progress)


def compute_surface(
    loss: Loss,
    parameters: Parameters,
    directions: Sequence[Direction],
    xs: Sequence[float] | Array,
    ys: Sequence[float] | Array,
    *,
    done: Array | None = None,
    save: Save | None = None,
    progress: Progress | None = None,
) -> Array:
    """Compute the loss at ``weights + x * directions[0] + y * directions[1]`` for each x and y, row by row.

    To resume an interrupted grid, pass the array that ``save`` received last as ``done``.

    Args:
        loss: Computes the loss of the current weights.
        parameters: The weights, by name.
        directions: Two directions.
        xs: Positions along the first ``[X]``.
        ys: Positions along the second ``[Y]``.
        done: The array that an earlier call saved, with NaN where nothing is computed yet.
        save: Called with the array after each row and on an error within a row.
        progress: Called with the number of points done and of all points.

    Returns:
        Losses ``[Y, X]`` in double precision; inf where the loss is not a number.

    Raises:
        ValueError: A direction does not fit the parameters, or ``done`` the positions.
    """
    first, second = directions
    return _compute_grid(loss, parameters, [(second, ys), (first, xs)], done, save, progress)


def interpolate_loss(
    loss: Loss,
    parameters: Parameters,
    first: Parameters,
    second: Parameters,
    where: Sequence[float] | Array,
    *,
    done: Array | None = None,
    save: Save | None = None,
    progress: Progress | None = None,
) -> Array:
    """Compute the loss on the straight line between two sets of weights.

    Only the parameters are interpolated; other state, such as the statistics of batch normalization, is the model's.

    Args:
        loss: Computes the loss of the current weights.
        parameters: The parameters that the weights are written to, by name; their own values do not matter.
        first: Weights by name, at position 0; other names are ignored.
        second: Weights by name, at position 1.
        where: Positions on the line ``[S]``; those outside 0 to 1 lie beyond the two.
        done: The array that an earlier call saved, with NaN where nothing is computed yet.
        save: Called with the array after each position and on an error.
        progress: Called with the number of points done and of all points.

    Returns:
        Losses ``[S]`` in double precision, at 0 and 1 exactly those of the two sets; inf where the loss is not a
        number.

    Raises:
        ValueError: A set lacks a parameter or has it in another shape, or ``done`` does not fit the positions.
    """
    where = np.asarray(where, dtype=np.float64)
    starts, ends = (_fit_tensors(parameters, _pick_by_name(parameters, weights)) for weights in (first, second))

    def place(index: tuple[int, ...]) -> None:
        # lerp starts from the nearer end, so that both ends are exact
        for weight, start, end in zip(parameters.values(), starts, ends, strict=True):
            weight.copy_(torch.lerp(start, end, float(where[index])))

    values = _start_values(where.shape, done)
    with _restore_after(parameters):
        _fill(values, loss, place, save, progress)
    return values


def _compute_grid(
    loss: Loss,
    parameters: Parameters,
    axes: Sequence[tuple[Direction, Sequence[float] | Array]],
    done: Array | None,
    save: Save | None,
    progress: Progress | None,
) -> Array:
    """Compute the loss over the grid of positions along some directions, one axis of the array per direction."""
    directions = [_fit_tensors(parameters, direction) for direction, _ in axes]
    steps = [np.asarray(steps, dtype=np.float64) for _, steps in axes]
    values = _start_values(tuple(len(s) for s in steps), done)
    with _restore_after(parameters) as weights:

        def place(index: tuple[int, ...]) -> None:
            for parameter, weight in zip(parameters.values(), weights, strict=True):
                parameter.copy_(weight)
            for direction, step in zip(directions, (s[i] for s, i in zip(steps, index, strict=True)), strict=True):
                if step:
                    for parameter, change in zip(parameters.values(), direction, strict=True):
                        parameter.add_(change, alpha=float(step))

        _fill(values, loss, place, save, progress)
    return values


@torch.no_grad()
def _fill(
    values: Array,
    loss: Loss,
    place: Callable[[tuple[int, ...]], None],
    save: Save | None,
    progress: Progress | None,
) -> None:
    """Compute each value that is NaN; save the values after each row, and when a row is interrupted."""
    missing = [tuple(map(int, index)) for index in np.argwhere(np.isnan(values))]
    done = values.size - len(missing)
    for _, row in itertools.groupby(missing, key=lambda index: index[0]):
        try:
            for index in row:
                place(index)
                value = compute_loss(loss)
                values[index] = math.inf if math.isnan(value) else value  # NaN marks values that are not computed yet
                done += 1
                if progress:
                    progress(done, values.size)
        finally:
            if save:
                save(values)


def _start_values(shape: tuple[int, ...], done: Array | None) -> Array:
    if done is None:
        return np.full(shape, np.nan)
    if np.shape(done) != shape:
        raise ValueError(f"the losses computed before are of shape {np.shape(done)}, the positions of {shape}")
    return np.array(done, dtype=np.float64)


@contextlib.contextmanager
def _restore_after(parameters: Parameters) -> Iterator[list[Tensor]]:
    """Yield copies of the weights, and restore the weights at the end, even after an error."""
    weights = [parameter.detach().clone() for parameter in parameters.values()]
    try:
        yield weights
    finally:
        with torch.no_grad():
            for parameter, weight in zip(parameters.values(), weights, strict=True):
                parameter.copy_(weight)


def _pick_by_name(parameters: Parameters, weights: Parameters) -> list[Tensor]:
    for name in parameters:
        if name not in weights:
            raise ValueError(f"one of the two sets of weights lacks {name}")
    return [weights[name] for name in parameters]


def _fit_tensors(parameters: Parameters, tensors: Direction) -> list[Tensor]:
    """Convert tensors to the parameters' dtypes and devices, without sharing memory with the parameters."""
    if len(tensors) != len(parameters):
        raise ValueError(f"{len(parameters)} parameters need as many tensors, not {len(tensors)}")
    fitting = []
    for (name, parameter), tensor in zip(parameters.items(), tensors, strict=True):
        if tensor.shape != parameter.shape:
            raise ValueError(f"{name} is {list(parameter.shape)}, the tensor given for it {list(tensor.shape)}")
        shared = tensor.untyped_storage().data_ptr() == parameter.untyped_storage().data_ptr()
        fitting.append(tensor.detach().to(parameter.device, parameter.dtype, copy=shared))
    return fitting


def _at_least_single(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


def _scale_to_norm(weight: Tensor, noise: Tensor, whole: bool) -> Tensor:
    """Scale noise to the norm of the weight, as a whole or for each entry of its first dimension."""
    shape = (1, -1) if whole else (len(weight), -1)
    rows, wanted = noise.reshape(shape), weight.to(noise.dtype).reshape(shape)
    drawn = rows.norm(dim=1, keepdim=True).clamp(min=torch.finfo(noise.dtype).tiny)  # a zero may be drawn
    scaled: Tensor = rows * (wanted.norm(dim=1, keepdim=True) / drawn)
    return scaled.reshape(weight.shape)


def _project_out(direction: Direction, other: Direction) -> list[Tensor]:
    """Subtract from a direction its projection onto another one."""
    along = sum(float((d.double() * o.double()).sum()) for d, o in zip(direction, other, strict=True))
    length = sum(float(o.double().square().sum()) for o in other)
    if not length:
        return list(direction)
    return [d - (along / length) * o for d, o in zip(direction, other, strict=True)]
