"""Find out whether a model's scores are dot products of vectors of users and items, and extract the vectors.

The products of matrices that a model computes while it scores all items are recorded. If the last of them, or a sum of
the last ones, gives the scores up to a factor and a bias for each item, their factors are the vectors; the scores of
every batch are compared. Nothing is assumed of the model, which may be a user's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

TOLERANCE, ROUNDING = 1e-4, 1e-6
"""Largest deviation of a score, relative to the range of a batch's scores, and to the largest of them (float32)."""


class _Products(TorchDispatchMode):
    """Records the factors of products with a row for each sample and a column for each item."""

    def __init__(self, samples: int, items: int) -> None:
        super().__init__()
        self._shape = (samples, items)
        self.found: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("mm", "addmm", "bmm", "baddbmm"):
            left, right = (one.squeeze(0) if one.dim() == 3 else one for one in args[-2:])
            if left.dim() == right.dim() == 2 and not left.is_sparse and not right.is_sparse:
                self._add(left, right)
        return result

    def _add(self, left: Tensor, right: Tensor) -> None:
        if (len(left), right.size(1)) == self._shape:
            self.found.append((left, right.T))
        elif (right.size(1), len(left)) == self._shape:
            self.found.append((right.T, left))


@dataclass(frozen=True)
class DotProduct:
    """Scores as a dot product, ``users @ items.T + biases``.

    Args:
        items: Vectors of all items, padding included, shape ``[items, D]``.
        biases: A bias for each item, shape ``[items]``; None if there is none.
        products: Number of products that are summed, whose vectors are concatenated.
    """

    items: Tensor
    biases: Tensor | None
    products: int

    def read_users(self, score: Callable[[], Tensor], samples: int) -> Tensor | None:
        """Score a batch and return the vectors of its samples, shape ``[B, D]``; None if they do not give the scores.

        Args:
            score: Returns the scores, shape ``[B, items]``.
            samples: Number of samples, ``B``.
        """
        scores, found = _record(score, samples, len(self.items))
        if len(found) < self.products:
            return None
        users = torch.cat([left for left, _ in found[-self.products :]], dim=1).clone()
        return users if _is_close(self._score(users), scores) else None

    def _score(self, users: Tensor) -> Tensor:
        scores = users @ self.items.T
        return scores if self.biases is None else scores + self.biases


def find_dot_product(score: Callable[[], Tensor], samples: int, items: int) -> DotProduct | None:
    """Find the vectors behind the scores of a batch.

    Args:
        score: Returns the scores, shape ``[B, items]``; those of padding are ignored.
        samples: Number of samples ``B``; with one sample, a bias cannot be distinguished from other terms.
        items: Number of items, padding included.

    Returns:
        None if the scores are no dot product.
    """
    scores, found = _record(score, samples, items)
    for number in range(1, min(len(found), 8) + 1):
        fitted = _fit(scores, found[-number:])
        users = torch.cat([left for left, _ in found[-number:]], dim=1)
        if _is_close(fitted._score(users), scores):
            return fitted
    return None


def _record(score: Callable[[], Tensor], samples: int, items: int) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    with _Products(samples, items) as products:
        scores = score()
    return scores, products.found


def _fit(scores: Tensor, products: list[tuple[Tensor, Tensor]]) -> DotProduct:
    """Fit a factor for each product and a bias for each item, which is the same for all samples."""
    real = slice(1, None)  # item 0 is padding
    values = torch.stack([(left.double() @ right.double().T)[:, real] for left, right in products])
    wanted = scores[:, real].double()
    centered = (values - values.mean(1, keepdim=True)).flatten(1)
    factors = torch.ones(len(products), dtype=torch.float64, device=scores.device)
    if len(wanted) > 1 and (centered.square().sum(1) > 0).all():
        differences = (wanted - wanted.mean(0)).flatten()
        factors = torch.linalg.lstsq(centered.T, differences.unsqueeze(1)).solution.squeeze(1)
        factors = torch.where((factors - 1).abs() < 1e-5, torch.ones_like(factors), factors)
    vectors = torch.cat(
        [right * factor.to(right.dtype) for (_, right), factor in zip(products, factors, strict=True)], dim=1
    )
    rest = (wanted - (factors[:, None, None] * values).sum(0)).mean(0)
    if len(wanted) == 1 or rest.abs().max() <= 1e-6 * wanted.abs().max():
        return DotProduct(vectors.clone(), None, len(products))
    biases = torch.cat((rest.new_zeros(1), rest)).to(scores.dtype)
    return DotProduct(vectors.clone(), biases, len(products))


def _is_close(found: Tensor, scores: Tensor) -> bool:
    found, scores = found[:, 1:], scores[:, 1:]
    allowed = TOLERANCE * (scores.amax() - scores.amin()) + ROUNDING * scores.abs().amax()
    return bool(((found - scores).abs().amax() <= allowed).item())
