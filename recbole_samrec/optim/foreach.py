"""Operations on lists of tensors in a few kernels: one for all tensors of a device and a dtype, not one per tensor.

On a GPU, the time of a step of SAM on small parameters is the launch time of its kernels. These functions use torch's
``_foreach`` operations for dense tensors and process sparse ones individually. Every element is computed exactly as
by the operation on its own tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

HALVES = (torch.float16, torch.bfloat16)


def group_alike(tensors: Sequence[Tensor], *others: Sequence[Tensor]) -> Iterator[list[int]]:
    """Group the indices of tensors that one operation can process together.

    Args:
        tensors: Tensors, whose device, type and layout decide.
        others: For each tensor more tensors that the operation takes with it, which decide as well.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, together in enumerate(zip(tensors, *others, strict=True)):
        groups.setdefault(tuple((t.device, t.dtype, t.layout) for t in together), []).append(number)
    yield from groups.values()


def apply_to_groups(
    operation: Callable[..., list[Tensor]], tensors: Sequence[Tensor], *others: Sequence[Tensor]
) -> list[Tensor]:
    """Apply an operation on lists of tensors to each group of them.

    Args:
        operation: Takes as many lists as are given here, and returns a list.
        tensors: Dense tensors.
        others: More lists of the same length.
    """
    results: list[Tensor] = list(tensors)
    for group in group_alike(tensors, *others):
        computed = operation(*([one[i] for i in group] for one in (tensors, *others)))
        for number, result in zip(group, computed, strict=True):
            results[number] = result
    return results


def compute_norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Compute the Euclidean norm of each dense tensor, whose types have at least single precision."""
    return apply_to_groups(lambda group: list(torch._foreach_norm(group)), tensors)


def copy_all(tensors: Sequence[Tensor], dtypes: Sequence[torch.dtype] | None = None) -> list[Tensor]:
    """Copy dense tensors, bit for bit or into other types.

    Args:
        tensors: The tensors.
        dtypes: A type for each copy; by default that of the tensor.
    """
    dtypes = [t.dtype for t in tensors] if dtypes is None else dtypes
    copies = [torch.empty_like(t, dtype=dtype) for t, dtype in zip(tensors, dtypes, strict=True)]
    overwrite_all(copies, tensors)
    return copies


@torch.no_grad()
def overwrite_all(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy the elements of dense tensors into other tensors of the same shapes."""
    for group in group_alike(targets, sources):
        torch._foreach_copy_([targets[i] for i in group], [sources[i] for i in group])


@torch.no_grad()
def add_to_all(targets: Sequence[Tensor], terms: Sequence[Tensor]) -> None:
    """Add dense tensors to others of the same shapes in place, after conversion into their types."""
    terms = convert_all(terms, [t.dtype for t in targets])
    for group in group_alike(targets, terms):
        torch._foreach_add_([targets[i] for i in group], [terms[i] for i in group])


def convert_all(tensors: Sequence[Tensor], dtypes: Sequence[torch.dtype]) -> list[Tensor]:
    """Convert dense tensors into dtypes; a tensor that already has its dtype is returned as it is."""
    converted = list(tensors)
    others = [i for i, dtype in enumerate(dtypes) if tensors[i].dtype != dtype]
    for number, copy in zip(others, copy_all([tensors[i] for i in others], [dtypes[i] for i in others]), strict=True):
        converted[number] = copy
    return converted


def widen_all(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Convert dense tensors in half precision to single precision and return the others as they are."""
    return convert_all(tensors, [torch.float32 if t.dtype in HALVES else t.dtype for t in tensors])


def scale_all(tensors: Sequence[Tensor], factor: Tensor | float) -> list[Tensor]:
    """Multiply dense tensors by a number, or by a scalar tensor, which is converted to their types."""
    return apply_to_groups(lambda group: list(torch._foreach_mul(group, _fit(factor, group[0]))), tensors)


def multiply_all(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """Multiply dense tensors element by element."""
    return apply_to_groups(lambda a, b: list(torch._foreach_mul(a, b)), tensors, others)


def add_all(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """Add dense tensors element by element."""
    return apply_to_groups(lambda a, b: list(torch._foreach_add(a, b)), tensors, others)


def subtract_all(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """Subtract dense tensors element by element."""
    return apply_to_groups(lambda a, b: list(torch._foreach_sub(a, b)), tensors, others)


def interpolate_all(tensors: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> list[Tensor]:
    """Compute ``tensor + weight * (end - tensor)`` of dense tensors."""
    return apply_to_groups(lambda a, b: list(torch._foreach_lerp(a, b, weight)), tensors, ends)


@torch.no_grad()
def move_all(targets: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """Move dense tensors in place by a share of the way to others, ``tensor + weight * (end - tensor)``."""
    for group in group_alike(targets, ends):
        torch._foreach_lerp_([targets[i] for i in group], [ends[i] for i in group], weight)


def scale_or_clear_all(tensors: Sequence[Tensor], scale: Callable[[Tensor], object], usable: Tensor) -> list[Tensor]:
    """Scale dense tensors, or replace them by zeros where an inf or nan makes the scale unusable.

    The choice is made on the device, so that the host does not wait. Multiplying by 0 is not enough: 0 times inf is
    nan, and with weights that are nan some models raise an error in the middle of a pass.

    Args:
        tensors: The tensors.
        scale: Scales a flat tensor in place.
        usable: A scalar, true or false.
    """

    def scale_group(group: list[Tensor]) -> list[Tensor]:
        flat = torch.cat([t.reshape(-1) for t in group])
        scale(flat)
        flat.masked_fill_(usable.logical_not().to(flat.device), 0)
        pieces = torch.split(flat, [t.numel() for t in group])
        return [piece.view(t.shape) for piece, t in zip(pieces, group, strict=True)]

    return apply_to_groups(scale_group, tensors)


def compute_inner_products(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """Compute inner products of dense tensors, in at least single precision, whose sum is that of all tensors.

    On a GPU there is one product for each group, of the tensors laid end to end; on a CPU one for each tensor, which
    copies nothing.
    """
    products: list[Tensor] = []
    for group in group_alike(tensors, others):
        left, right = ([one[i].reshape(-1) for i in group] for one in (tensors, others))
        if not tensors[group[0]].is_cpu:
            left, right = [torch.cat(left)], [torch.cat(right)]
        kind = torch.promote_types(left[0].dtype, torch.float32)
        products += [torch.dot(a.to(kind), b.to(kind)) for a, b in zip(left, right, strict=True)]
    return products


def _fit(factor: Tensor | float, tensor: Tensor) -> Tensor | float:
    return factor.to(tensor) if isinstance(factor, Tensor) else factor
