"""The SAM family on plain torch parameters: which gradient an optimizer is to step with.

Each class holds the parameters of one optimizer, whose ``.grad`` is that of the loss at the weights, and replaces it.
Where that takes a second gradient, the caller hands over a function that computes it at the weights as they are then::

    variant = GSAM(parameters, moved, settings)
    loss(w).backward()
    variant.replace(rho, second=lambda: (optimizer.zero_grad(), loss(w).backward()))
    optimizer.step()

Departures from the papers, the same for all: a parameter that SAM does not move still takes part in what is done to
whole gradients; and the moving average of gradients is kept here with a factor of its own, so that it does not depend
on the optimizer, sees no weight decay, no clipping and no bias correction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from recbole_samrec.optim.perturbation import SavedWeights, ascent, displaced, gradient_norm, shift, worst_neighbour
from recbole_samrec.optim.schedule import SAMSettings


class SAM:
    """SAM (2010.01412) and ASAM (2102.11600): the gradient at the worst neighbour.

    Args:
        parameters: All parameters of one optimizer.
        moved: Those of them that SAM moves.
        settings: SAM's settings.
    """

    remembers = False
    """Whether it keeps vectors as long as the weights, for which gradients must be dense."""

    def __init__(self, parameters: Sequence[Tensor], moved: Sequence[Tensor], settings: SAMSettings) -> None:
        self.parameters, self.moved, self.settings = list(parameters), list(moved), settings
        self.row_radius: Mapping[Tensor, Tensor] = {}

    def wants_second(self) -> bool:
        """Whether the next step takes a second gradient."""
        return True

    def displace(self, rho: float) -> None:
        """Move the weights before the first gradient is taken, if that is to be."""

    def settle(self) -> None:
        """Put the weights back to where they were before :meth:`displace`."""

    def replace(self, rho: float, second: Callable[[], Any]) -> None:
        """Make the gradients those to step with.

        Args:
            rho: Radius of the neighbourhood, above 0.
            second: Replaces all gradients by those at the weights as they are when it is called.
        """
        adaptive = self.settings.variant == "asam"
        with worst_neighbour(self.moved, rho, adaptive, self.settings.eta, self.row_radius):
            second()

    def state_dict(self) -> dict[str, Any]:
        """What must survive an interruption."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that :meth:`state_dict` returned."""


class GSAM(SAM):
    """GSAM (2203.08065, algorithm 1): also lowers the gap between the neighbour's loss and the loss.

    The step is ``h - alpha * (g - <g, h> / <h, h> * h)`` with the gradient ``g`` at the weights and ``h`` at the
    neighbour: the part of ``g`` that is orthogonal to ``h`` is climbed, which leaves the neighbour's loss as it is.
    Departure: rho follows its own schedule, not that of the learning rate.
    """

    def replace(self, rho: float, second: Callable[[], Any]) -> None:
        """Step with the neighbour's gradient and against the orthogonal part of the first one."""
        first = [p.grad for p in self.parameters]
        super().replace(rho, second)
        both = [(p, g) for p, g in zip(self.parameters, first, strict=True) if g is not None and p.grad is not None]
        rest = orthogonal([g for _, g in both], [p.grad for p, _ in both])
        for (parameter, _), part in zip(both, rest, strict=True):
            parameter.grad = parameter.grad - self.settings.gsam_alpha * part


class _AveragingSAM(SAM):
    """What the variants that keep a moving average of the moved parameters' gradients have in common."""

    remembers = True

    def __init__(self, parameters: Sequence[Tensor], moved: Sequence[Tensor], settings: SAMSettings) -> None:
        super().__init__(parameters, moved, settings)
        self.average = GradientAverage(self.moved, settings.momentum)

    def state_dict(self) -> dict[str, Any]:
        """The average."""
        return {"average": self.average.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the average."""
        self.average.load(state.get("average"))


class FriendlySAM(_AveragingSAM):
    """Friendly SAM (2403.12350, algorithm 1): the neighbour lies in the direction of the gradient's noise.

    The average is ``m = momentum * m + (1 - momentum) * g``, from 0; the neighbour lies in the direction of
    ``g - sigma * m``.
    """

    def replace(self, rho: float, second: Callable[[], Any]) -> None:
        """Step with the gradient at the neighbour in the direction of the noise."""
        self.average.update()
        moved, averages = self.average.known(lambda p: p.grad is not None)
        noise = [p.grad - self.settings.fsam_sigma * m for p, m in zip(moved, averages, strict=True)]
        with displaced(moved, ascent(moved, rho, directions=noise, row_radius=self.row_radius) if moved else []):
            second()


class MomentumSAM(_AveragingSAM):
    """Momentum SAM (2401.12033, algorithm 1): a neighbour that costs nothing.

    The only gradient of a step is taken at ``w - rho * m / |m|``, with the average ``m`` of the gradients before it:
    where the momentum is about to go. The first step is a plain one. The weights are away only from the loss to the
    step, so that whatever is measured or saved between steps has the weights themselves; the training loss is that of
    the neighbour.
    """

    def __init__(self, parameters: Sequence[Tensor], moved: Sequence[Tensor], settings: SAMSettings) -> None:
        super().__init__(parameters, moved, settings)
        self._saved: SavedWeights | None = None

    def wants_second(self) -> bool:
        """Never."""
        return False

    def displace(self, rho: float) -> None:
        """Move the weights to where the momentum is about to go."""
        self.settle()
        moved, averages = self.average.known()
        if moved:
            steps = ascent(moved, -rho, directions=averages, row_radius=self.row_radius)
            self._saved = SavedWeights(moved, steps)
            shift(moved, steps)

    def settle(self) -> None:
        """Put the weights back, bit for bit."""
        if self._saved is not None:
            self._saved.restore()
            self._saved = None

    def replace(self, rho: float, second: Callable[[], Any]) -> None:
        """Leave the gradient, which is the neighbour's, and add it to the average."""
        self.average.update()


class LookSAM(SAM):
    """LookSAM (2203.02714, algorithm 1): SAM in every k-th step, its essence again in those between.

    SAM's gradient ``h`` has the part ``v = h - <h, g> / <g, g> * g`` orthogonal to the gradient ``g``. The next
    ``k - 1`` steps are taken with ``g + alpha * |g| / |v| * v`` of their own ``g``. A step that is left out, its
    gradient being inf or nan, is not counted.
    """

    remembers = True

    def __init__(self, parameters: Sequence[Tensor], moved: Sequence[Tensor], settings: SAMSettings) -> None:
        super().__init__(parameters, moved, settings)
        self._taken = 0
        self._part: list[Tensor | None] = [None] * len(self.parameters)

    def wants_second(self) -> bool:
        """In the first of k steps."""
        return self._taken % self.settings.looksam_k == 0

    def replace(self, rho: float, second: Callable[[], Any]) -> None:
        """Step with SAM's gradient and keep its orthogonal part, or add that to the gradient."""
        if not self.wants_second():
            self._add_part()
        elif not self._take_part(rho, second):
            return
        self._taken += 1

    def _take_part(self, rho: float, second: Callable[[], Any]) -> bool:
        first = [p.grad for p in self.parameters]
        super().replace(rho, second)
        both = [i for i, g in enumerate(first) if g is not None and self.parameters[i].grad is not None]
        parts = orthogonal([self.parameters[i].grad for i in both], [first[i] for i in both])
        norm = gradient_norm(parts)
        if not norm.isfinite():
            return False
        self._part = [None] * len(self.parameters)
        for i, part in zip(both, parts, strict=True):
            self._part[i] = torch.where(norm > 0, part / norm.to(part), 0.0)
        return True

    def _add_part(self) -> None:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        length = self.settings.looksam_alpha * gradient_norm(gradients)
        for parameter, part in zip(self.parameters, self._part, strict=True):
            if parameter.grad is not None and part is not None:
                parameter.grad = parameter.grad + length.to(part) * part

    def state_dict(self) -> dict[str, Any]:
        """The steps taken, and the part of SAM's gradient that is used again, of unit length."""
        return {"taken": self._taken, "part": self._part}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up steps and part."""
        if "part" in state:
            self._taken = state["taken"]
            self._part = [_like(t, p) for t, p in zip(state["part"], self.parameters, strict=True)]


CLASSES: dict[str, type[SAM]] = {
    "sam": SAM,
    "asam": SAM,
    "gsam": GSAM,
    "fsam": FriendlySAM,
    "msam": MomentumSAM,
    "looksam": LookSAM,
}


class GradientAverage:
    """The moving average of the gradients of some parameters, ``m = factor * m + (1 - factor) * g`` from 0.

    Args:
        parameters: The parameters; a step without a gradient of one leaves its average.
        factor: How much of the average remains, from 0 up to, but not, 1.
    """

    def __init__(self, parameters: Sequence[Tensor], factor: float) -> None:
        self._parameters, self._factor = list(parameters), factor
        self.values: list[Tensor | None] = [None] * len(self._parameters)

    def update(self) -> None:
        """Take in the gradients that are there now, in at least single precision."""
        for i, parameter in enumerate(self._parameters):
            if parameter.grad is None:
                continue
            gradient = parameter.grad.detach().to(torch.promote_types(parameter.grad.dtype, torch.float32))
            if self.values[i] is None:
                self.values[i] = torch.zeros_like(gradient)
            self.values[i].lerp_(gradient, 1 - self._factor)

    def known(self, wanted: Callable[[Tensor], bool] = lambda p: True) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters that have an average, and their averages."""
        pairs = [(p, m) for p, m in zip(self._parameters, self.values, strict=True) if m is not None and wanted(p)]
        return [p for p, _ in pairs], [m for _, m in pairs]

    def load(self, values: Sequence[Tensor | None] | None) -> None:
        """Take up averages of the same parameters; None leaves them as they are."""
        if values is not None:
            self.values = [_like(m, p) for m, p in zip(values, self._parameters, strict=True)]


def orthogonal(vectors: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """The part of a vector that is orthogonal to another one, ``a - <a, b> / <b, b> * b``.

    Args:
        vectors: The vector ``a`` in pieces of any shapes, dense or sparse.
        others: The vector ``b`` in the same pieces; where it is 0, ``a`` itself comes out.
    """
    square = _dot(others, others)
    share = torch.where(square == 0, 0.0, _dot(vectors, others) / square)
    return [a - share.to(a) * b for a, b in zip(vectors, others, strict=True)]


def _dot(vectors: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """The inner product of two vectors in pieces, in at least single precision, on the device of the first piece."""
    products = [_inner(a, b) for a, b in zip(vectors, others, strict=True)]
    return torch.stack([product.to(products[0]) for product in products]).sum()


def _inner(a: Tensor, b: Tensor) -> Tensor:
    if a.is_sparse:
        product = (a.coalesce() * b.coalesce()).coalesce().values()
        return product.sum(dtype=torch.promote_types(product.dtype, torch.float32))
    kind = torch.promote_types(a.dtype, torch.float32)
    return torch.dot(a.flatten().to(kind), b.flatten().to(kind))


def _like(stored: Tensor | None, parameter: Tensor) -> Tensor | None:
    """A tensor from a checkpoint on the device of its parameter."""
    return stored if stored is None else stored.to(parameter.device, copy=True)
