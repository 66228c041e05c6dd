"""The SAM family on plain torch parameters: computes the gradient with which an optimizer steps.

Use a variant through :class:`recbole_samrec.SAM`, such as ``SAM(optimizer, rho=0.05, variant="gsam", gsam_alpha=0.4)``.
The classes in this module are the building blocks. Each has the parameters of one optimizer, whose ``.grad`` is the
gradient of the loss at the weights, and replaces that gradient. If it needs a second gradient, the caller passes a
function that computes the gradient at the current (perturbed) weights::

    variant = GSAM(parameters, moved, settings)
    loss(w).backward()
    variant.replace(rho, second=lambda: (optimizer.zero_grad(), loss(w).backward()))
    variant.end(good=True)                  # False if a gradient is inf or nan and the step is skipped
    optimizer.step()

A caller that cannot pass a function calls :meth:`SAMVariant.ascend` after the first gradient, and after the second one
:meth:`SAMVariant.settle`, :meth:`SAMVariant.combine` and :meth:`SAMVariant.end`.

Departures from the papers, common to all variants: operations on whole gradients include parameters that SAM does not
move; and the moving average of gradients has its own factor, so that it is independent of the optimizer, of weight
decay, clipping and bias correction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from recbole_samrec.optim import foreach
from recbole_samrec.optim.directions import draw_directions
from recbole_samrec.optim.perturbation import SavedWeights, compute_ascent, compute_norm, shift
from recbole_samrec.optim.schedule import SAMSettings


class SAMVariant:
    """SAM (2010.01412, algorithm 1) and ASAM (2102.11600, algorithm 1): step with the perturbed weights' gradient.

    Args:
        parameters: All parameters of one optimizer.
        moved: The parameters among them that SAM moves.
        settings: SAM's settings.
    """

    keeps_vectors = False
    """True if the variant keeps vectors as long as the weights, for which gradients must be dense."""
    ascends_by_gradient = True
    """True if every step moves the weights between a first and a second gradient."""

    def __init__(self, parameters: Sequence[Tensor], moved: Sequence[Tensor], settings: SAMSettings) -> None:
        self.parameters, self.moved, self.settings = list(parameters), list(moved), settings
        self.row_radius: Mapping[Tensor, Tensor] = {}
        self.copies_first = False
        """True if a first gradient that is kept is copied, because the second may be written into its memory."""
        self._saved: SavedWeights | None = None

    def extend(self, parameters: Sequence[Tensor], moved: Sequence[Tensor]) -> None:
        """Add parameters of the optimizer; see the class for the arguments."""
        self.parameters.extend(parameters)
        self.moved.extend(moved)

    def needs_second(self) -> bool:
        """Return True if the next step takes a second gradient."""
        return True

    def displace(self, rho: float) -> None:
        """Move the weights before the first gradient is taken, if the variant does so."""

    def ascend(self, rho: float) -> None:
        """Move the weights by the ascent step, between the two gradients.

        Args:
            rho: Radius, above 0.
        """
        moved = [p for p in self.moved if p.grad is not None]
        if moved:
            self._move(moved, self._compute_ascent(moved, rho))

    def _compute_ascent(self, moved: Sequence[Tensor], rho: float) -> list[Tensor]:
        adaptive = self.settings.variant == "asam"
        return compute_ascent(moved, rho, adaptive, self.settings.eta, row_radius=self.row_radius)

    def _keep_gradients(self) -> list[Tensor | None]:
        gradients = [p.grad for p in self.parameters]
        return _clone_each(gradients) if self.copies_first else gradients

    def _move(self, moved: Sequence[Tensor], steps: Sequence[Tensor]) -> None:
        self.settle()
        self._saved = SavedWeights(moved, steps)
        shift(moved, steps)

    def settle(self) -> None:
        """Restore weights that :meth:`displace` or :meth:`ascend` moved, bit for bit."""
        if self._saved is not None:
            self._saved.restore()
            self._saved = None

    def combine(self) -> None:
        """Combine the gradients into that of the step, after the last gradient of a step."""

    def end(self, good: bool) -> None:
        """Update the state that later steps need.

        Gradients are checked once, at the end of a step, so that the host waits for the device only once. Until then a
        variant keeps its previous state.

        Args:
            good: False if a gradient of the step was inf or nan; the state is then the one before the step.
        """

    def replace(self, rho: float, second: Callable[[], object]) -> None:
        """Replace the gradients by that of the step, computing the second gradient where one is needed.

        The weights are restored bit for bit, even if ``second`` raises.

        Args:
            rho: Radius, above 0.
            second: Replaces all gradients by those at the weights at the time of the call.
        """
        if self.needs_second():
            try:
                self.ascend(rho)
                second()
            finally:
                self.settle()
        self.combine()

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state that :meth:`state_dict` returned."""


class GSAM(SAMVariant):
    """GSAM (2203.08065, algorithm 1): also lowers the gap between the perturbed loss and the loss.

    The step is ``h - alpha * (g - <g, h> / <h, h> * h)`` with the gradient ``g`` at the weights and ``h`` at the
    perturbed weights: the step ascends along the part of ``g`` that is orthogonal to ``h``, which does not change the
    perturbed loss to first order. Departure: rho follows its own schedule, not that of the learning rate. See
    :class:`SAMVariant` for the arguments.
    """

    def __init__(self, parameters: Sequence[Tensor], moved: Sequence[Tensor], settings: SAMSettings) -> None:
        super().__init__(parameters, moved, settings)
        self._first: list[Tensor | None] = []

    def ascend(self, rho: float) -> None:
        """Move the weights by SAM's ascent step and keep the first gradient."""
        self._first = self._keep_gradients()
        super().ascend(rho)

    def combine(self) -> None:
        """Step with the second gradient and against the orthogonal part of the first one."""
        both = _pair_gradients(self.parameters, self._first)
        self._first = []
        parts = compute_orthogonal_parts([g for _, g, _ in both], [h for _, _, h in both]) if both else []
        steps = _add_scaled([h for _, _, h in both], parts, -self.settings.gsam_alpha)
        for (parameter, _, _), step in zip(both, steps, strict=True):
            parameter.grad = step


class _AveragingSAM(SAMVariant):
    """Base of the variants that keep a moving average of the moved parameters' gradients."""

    keeps_vectors = True

    def __init__(self, parameters: Sequence[Tensor], moved: Sequence[Tensor], settings: SAMSettings) -> None:
        super().__init__(parameters, moved, settings)
        self.average = GradientAverage(self.moved, settings.momentum)

    def extend(self, parameters: Sequence[Tensor], moved: Sequence[Tensor]) -> None:
        """Add parameters of the optimizer, without an average yet; see the class for the arguments."""
        super().extend(parameters, moved)
        self.average.extend(moved)

    def end(self, good: bool) -> None:
        """Keep the average of this step, or restore the previous one."""
        self.average.end(good)

    def state_dict(self) -> dict[str, Any]:
        """Return the average."""
        return {"average": self.average.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the average."""
        self.average.load(state.get("average"))


class FriendlySAM(_AveragingSAM):
    """Friendly SAM (2403.12350, algorithm 1): the perturbation follows the gradient's noise.

    The average is ``m = momentum * m + (1 - momentum) * g``, from 0; the ascent step has the direction
    ``g - sigma * m``.
    """

    def ascend(self, rho: float) -> None:
        """Add the first gradient to the average and move the weights in the direction of the noise."""
        self.average.update()
        super().ascend(rho)

    def _compute_ascent(self, moved: Sequence[Tensor], rho: float) -> list[Tensor]:
        pairs = [(p.grad, m) for p, m in self.average.known() if p.grad is not None]
        noise = _add_scaled([g for g, _ in pairs], [m for _, m in pairs], -self.settings.fsam_sigma)
        return compute_ascent(moved, rho, directions=noise, row_radius=self.row_radius)


class MomentumSAM(_AveragingSAM):
    """Momentum SAM (2401.12033, algorithm 1): a perturbation that costs no second gradient.

    The only gradient of a step is computed at ``w - rho * m / |m|`` with the average ``m`` of the previous gradients,
    which is where the momentum will move the weights. The first step is a plain one. The weights are perturbed only
    from the loss to the step, so that measurements and checkpoints between steps contain the weights themselves; the
    training loss is that of the perturbed weights.
    """

    ascends_by_gradient = False

    def needs_second(self) -> bool:
        """Return False: no step takes a second gradient."""
        return False

    def displace(self, rho: float) -> None:
        """Move the weights to where the momentum will take them."""
        self.settle()
        known = self.average.known()
        if known:
            moved, averages = [p for p, _ in known], [m for _, m in known]
            self._move(moved, compute_ascent(moved, -rho, directions=averages, row_radius=self.row_radius))

    def combine(self) -> None:
        """Keep the gradient, which is that of the perturbed weights, and add it to the average."""
        self.average.update()


class LookSAM(SAMVariant):
    """LookSAM (2203.02714, algorithm 1): SAM in every k-th step, whose orthogonal part is reused in between.

    SAM's gradient ``h`` has the part ``v = h - <h, g> / <g, g> * g`` orthogonal to the gradient ``g``. The next
    ``k - 1`` steps use ``g + alpha * |g| / |v| * v`` with their own ``g``. A step that is skipped because its gradient
    is inf or nan is not counted. See :class:`SAMVariant` for the arguments.
    """

    keeps_vectors = True
    ascends_by_gradient = False

    def __init__(self, parameters: Sequence[Tensor], moved: Sequence[Tensor], settings: SAMSettings) -> None:
        super().__init__(parameters, moved, settings)
        self._taken = 0
        self._first: list[Tensor | None] = []
        self._part: list[Tensor | None] = [None] * len(self.parameters)
        self._new_part: list[Tensor | None] | None = None

    def extend(self, parameters: Sequence[Tensor], moved: Sequence[Tensor]) -> None:
        """Add parameters of the optimizer, without an orthogonal part yet; see the class for the arguments."""
        super().extend(parameters, moved)
        self._part += [None] * len(parameters)

    def needs_second(self) -> bool:
        """Return True if the next step is the first of k steps."""
        return self._taken % self.settings.looksam_k == 0

    def ascend(self, rho: float) -> None:
        """Move the weights by SAM's ascent step and keep the first gradient."""
        self._first = self._keep_gradients()
        super().ascend(rho)

    def combine(self) -> None:
        """Step with SAM's gradient and keep its orthogonal part, or add that part to the gradient."""
        if self.needs_second():
            self._keep_part()
        else:
            self._add_part()

    def _keep_part(self) -> None:
        """Compute the part of the second gradient that is orthogonal to the first, scaled to unit length.

        It is 0 if it is inf or nan.
        """
        both = _pair_gradients(self.parameters, self._first)
        self._first = []
        if not both:
            return
        parts = compute_orthogonal_parts([h for _, _, h in both], [g for _, g, _ in both])
        norm = compute_norm(parts)
        usable = (norm > 0) & (norm < torch.inf)
        units = foreach.scale_or_clear_all(parts, lambda flat: flat.div_(norm.to(flat)), usable)
        known = {id(p): unit for (p, _, _), unit in zip(both, units, strict=True)}
        self._new_part = [known.get(id(p)) for p in self.parameters]

    def end(self, good: bool) -> None:
        """Count a good step, and store the orthogonal part if the step computed one."""
        if good and (self._new_part is not None or not self.needs_second()):
            self._part = self._part if self._new_part is None else self._new_part
            self._taken += 1
        self._new_part = None

    def _add_part(self) -> None:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if not gradients:
            return
        length = self.settings.looksam_alpha * compute_norm(gradients)
        pairs = zip(self.parameters, self._part, strict=True)
        both = [(p, p.grad, part) for p, part in pairs if p.grad is not None and part is not None]
        steps = _add_scaled([g for _, g, _ in both], [part for _, _, part in both], length)
        for (parameter, _, _), step in zip(both, steps, strict=True):
            parameter.grad = step

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps taken, and the reused part of SAM's gradient, of unit length."""
        return {"taken": self._taken, "part": self._part}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the number of steps and the part."""
        if "part" in state:
            self._taken = state["taken"]
            self._part = [_copy_like(part, p) for part, p in zip(state["part"], self.parameters, strict=True)]


class RandomPerturbation(SAMVariant):
    """A control for SAM with the same number of gradients: the weights move in a random direction instead of uphill.

    Each step draws a Gaussian vector over the weights that SAM would move, and scales it to the length of SAM's ascent
    step. The first gradient is computed and discarded, as in SAM; only weights with a gradient are moved. A gain of SAM
    over this control is due to the direction of the gradient.

    The draws depend only on the seed and the number of the step, not on the random numbers of the training, so that
    all processes draw the same vectors, and a resumed run continues with the same draws. See :class:`SAMVariant` for
    the arguments.
    """

    def __init__(self, parameters: Sequence[Tensor], moved: Sequence[Tensor], settings: SAMSettings) -> None:
        super().__init__(parameters, moved, settings)
        self._taken = 0

    def _compute_ascent(self, moved: Sequence[Tensor], rho: float) -> list[Tensor]:
        gradients = [p.grad for p in moved if p.grad is not None]
        directions = draw_directions(gradients, self.settings.seed, self._taken)
        return compute_ascent(moved, rho, directions=directions, row_radius=self.row_radius)

    def end(self, good: bool) -> None:
        """Count a good step; after a skipped step the same direction is used again."""
        self._taken += good

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps taken."""
        return {"taken": self._taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the number of steps taken."""
        self._taken = state.get("taken", 0)


CLASSES: dict[str, type[SAMVariant]] = {
    "sam": SAMVariant,
    "asam": SAMVariant,
    "gsam": GSAM,
    "fsam": FriendlySAM,
    "msam": MomentumSAM,
    "looksam": LookSAM,
    "random": RandomPerturbation,
}
"""The class of each variant in :data:`recbole_samrec.optim.schedule.VARIANTS`."""


class GradientAverage:
    """The moving average of the gradients of some parameters, ``m = factor * m + (1 - factor) * g`` from 0.

    Args:
        parameters: The parameters; a step without a gradient of one leaves its average.
        factor: The share of the average that remains, in [0, 1).
    """

    def __init__(self, parameters: Sequence[Tensor], factor: float) -> None:
        self._parameters, self._factor = list(parameters), factor
        self.values: list[Tensor | None] = [None] * len(self._parameters)
        self._before: list[Tensor | None] | None = None

    def extend(self, parameters: Sequence[Tensor]) -> None:
        """Add parameters, without an average yet."""
        self._parameters.extend(parameters)
        self.values += [None] * len(parameters)

    def update(self) -> None:
        """Add the current gradients, in at least single precision; :meth:`end` keeps or reverts this."""
        self._before, self.values = self.values, list(self.values)
        there = [i for i, p in enumerate(self._parameters) if p.grad is not None]
        gradients = foreach.widen_all([cast(Tensor, self._parameters[i].grad) for i in there])
        averages = [self.values[i] for i in there]
        known = [torch.zeros_like(g) if m is None else m for g, m in zip(gradients, averages, strict=True)]
        for i, average in zip(there, foreach.interpolate_all(known, gradients, 1 - self._factor), strict=True):
            self.values[i] = average

    def end(self, good: bool) -> None:
        """Keep the last update, or revert it if its gradients were inf or nan."""
        if not good and self._before is not None:
            self.values = self._before
        self._before = None

    def known(self) -> list[tuple[Tensor, Tensor]]:
        """Return each parameter that has an average, with its average."""
        return [(p, m) for p, m in zip(self._parameters, self.values, strict=True) if m is not None]

    def load(self, values: Sequence[Tensor | None] | None) -> None:
        """Load averages of the same parameters; None leaves them as they are."""
        if values is not None:
            self.values = [_copy_like(m, p) for m, p in zip(values, self._parameters, strict=True)]


def compute_orthogonal_parts(vectors: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """Compute the part of a vector that is orthogonal to another one, ``a - <a, b> / <b, b> * b``.

    Args:
        vectors: The vector ``a`` in pieces of any shapes, dense or sparse.
        others: The vector ``b`` in the same pieces; where it is 0, the result is ``a`` itself.

    Returns:
        The part in the same pieces.
    """
    square = _compute_inner(others, others)
    share = torch.where(square == 0, 0.0, _compute_inner(vectors, others) / square)
    return _add_scaled(vectors, others, -share)


def _compute_inner(vectors: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """Compute the inner product of two vectors in pieces, in at least single precision, on the first piece's device."""
    dense = [i for i, a in enumerate(vectors) if not a.is_sparse]
    products = foreach.compute_inner_products([vectors[i] for i in dense], [others[i] for i in dense])
    pairs = zip(vectors, others, strict=True)
    products += [_multiply_sparse(a, b) for a, b in pairs if a.is_sparse]
    return torch.stack([product.to(products[0]) for product in products]).sum()


def _multiply_sparse(a: Tensor, b: Tensor) -> Tensor:
    product = (a.coalesce() * b.coalesce()).coalesce().values()
    return product.sum(dtype=torch.promote_types(product.dtype, torch.float32))


def _add_scaled(tensors: Sequence[Tensor], others: Sequence[Tensor], factor: Tensor | float) -> list[Tensor]:
    """Compute ``tensor + factor * other`` of each pair, in the dtype of the other tensor; a pair may be sparse."""
    sums = list(tensors)
    dense = [i for i, a in enumerate(tensors) if not a.is_sparse]
    scaled = foreach.scale_all([others[i] for i in dense], factor)
    foreach.add_to_all(scaled, [tensors[i] for i in dense])
    for i, total in zip(dense, scaled, strict=True):
        sums[i] = total
    for i, (a, b) in enumerate(zip(tensors, others, strict=True)):
        if a.is_sparse:
            sums[i] = a + (factor.to(a) if isinstance(factor, Tensor) else factor) * b
    return sums


def _clone_each(gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
    clones = [g.clone() if g is not None and g.is_sparse else g for g in gradients]
    dense = [(i, g) for i, g in enumerate(gradients) if g is not None and not g.is_sparse]
    for (i, _), copy in zip(dense, foreach.copy_all([g for _, g in dense]), strict=True):
        clones[i] = copy
    return clones


def _pair_gradients(
    parameters: Sequence[Tensor], first: Sequence[Tensor | None]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return each parameter that has both gradients, with its first and its second one."""
    pairs = zip(parameters, first, strict=True)
    return [(p, g, p.grad) for p, g in pairs if g is not None and p.grad is not None]


def _copy_like(stored: Tensor | None, parameter: Tensor) -> Tensor | None:
    """Copy a tensor from a checkpoint to the device of its parameter."""
    return stored if stored is None else stored.to(parameter.device, copy=True)
