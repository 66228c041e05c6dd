"""The optimizer step with SAM: a hook on any torch optimizer that takes the gradient at the worst neighbour.

:class:`SAMStep` sits beside the optimizer, not around it. RecBole's loop computes the loss and its gradient as always
and calls ``optimizer.step()``; just before the optimizer moves, the hook moves the weights to their worst neighbour,
computes the same batch's loss again under the same random draws, and puts the weights back. The optimizer then steps
with the neighbour's gradient. Weight decay lives in the optimizer, so SAM's neighbour does not see it.

Which neighbour, and what is made of the two gradients, is for the classes of ``sam_variants.py`` to say.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from recbole_samrec.optim.frequency_rho import frequency_factors, item_tables
from recbole_samrec.optim.perturbation import gradient_norm, matching, select
from recbole_samrec.optim.schedule import SAMSettings
from recbole_samrec.optim.state_snapshot import ModelState, RandomState
from recbole_samrec.optim.variants import CLASSES, SAM
from recbole_samrec.utils.errors import ConfigError, TrainingError


@dataclass
class SAMStep:
    """SAM's second gradient as a pre-hook on ``optimizer.step()``, and the guard against bad gradients.

    Args:
        model: The model whose loss is minimised.
        settings: SAM's settings; with ``rho`` 0 the hook only clips and guards.
        clip: Arguments of ``clip_grad_norm_``, or None. Clipping sees true gradients, never scaled ones.
        autocast: Makes the autocast context of the training loop.
        rearm: Called before the second backward pass; what it returns is added to the loss (DDP needs both).
        scaler: A ``GradScaler`` of the second pass under fp16, or None.
        patience: So many steps in a row with an inf or nan gradient end training.
        skipped: Steps left out because of such a gradient.
        skipped_in_a_row: Those since the last good one.
        extra_passes: Second gradients that were taken.
        on_step: Called after every step, also one that was left out.
    """

    model: nn.Module
    settings: SAMSettings
    clip: dict[str, Any] | None = None
    autocast: Callable[[], Any] = contextlib.nullcontext
    rearm: Callable[[], Any] = lambda: 0
    scaler: torch.amp.GradScaler | None = None
    patience: int = 20
    skipped: int = 0
    skipped_in_a_row: int = 0
    extra_passes: int = 0
    on_step: Callable[[], None] = lambda: None
    _volatile: set[tuple[int, str]] | None = field(default=None, repr=False)
    _batch: tuple[Callable[[Any], Any], Any, dict[str, Any], ModelState] | None = field(default=None, repr=False)
    _awaited: bool = field(default=False, repr=False)
    _variants: list[SAM] = field(default_factory=list, repr=False)
    _clock: tuple[int, float, int] = field(default=(0, math.inf, 0), repr=False)
    _rho: float = field(default=0.0, repr=False)
    _row_radius: dict[Tensor, Tensor] | None = field(default=None, repr=False)

    def begin_epoch(self, epoch: int, steps: int, item_counts: Callable[[], Tensor]) -> None:
        """Set the clock that the schedule of rho goes by.

        Args:
            epoch: Number of the epoch, from 0. A model that goes through its data several times an epoch begins it as
                often, and each time goes through that epoch's part of the schedule.
            steps: Batches in it.
            item_counts: Counts how often each item occurs in the training data ``[items]``.

        Raises:
            ConfigError: Rows are to have a radius by frequency, and the model has no table of items.
        """
        self._clock = (epoch, max(steps, 1), 0)
        if self.settings.rho and self.settings.item_rho == "frequency" and self._row_radius is None:
            self._row_radius = self._by_frequency(item_counts())
            for variant in self._variants:
                variant.row_radius = self._row_radius

    def _by_frequency(self, counts: Tensor) -> dict[Tensor, Tensor]:
        try:
            tables = item_tables(self.model, len(counts))
        except ValueError as error:
            raise ConfigError(f"sam_item_rho=frequency: {error}; choose uniform") from error
        return {table: frequency_factors(counts, len(table)).to(table.device) for table in tables}

    def recorded(self, loss_func: Callable[[Any], Any], second: Callable[[Any], Any] | None = None):
        """A loss function that does what ``loss_func`` does and remembers batch and random state for the second pass.

        Args:
            loss_func: Maps a batch to a loss or a tuple of losses.
            second: The loss of the second pass where the loop changes what ``loss_func`` returns.
        """
        if not self.settings.rho:
            return loss_func

        def loss_of(batch: Any) -> Any:
            self.settle()
            self._rho = self._tick()
            if self._rho:
                if any(variant.wants_second() for variant in self._variants):
                    state = ModelState(self.model, self._volatile)
                    self._batch = (second or loss_func, batch, RandomState.get(), state)
                for variant in self._variants:
                    variant.displace(self._rho)
            return loss_func(batch)

        return loss_of

    def _tick(self) -> float:
        """The radius of the step that begins."""
        epoch, steps, taken = self._clock
        self._clock = (epoch, steps, taken + 1)
        return self.settings.radius(epoch + min(taken / steps, 1.0))

    def settle(self) -> None:
        """Put back weights that are away, as they are from a loss to its step; nothing else should ever see them."""
        for variant in self._variants:
            variant.settle()

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Hook onto an optimizer."""
        owned = [p for group in optimizer.param_groups for p in group["params"]]
        chosen = self._chosen() if self.settings.rho else set()
        moved = [p for p in owned if id(p) in chosen]
        variant = CLASSES[self.settings.variant](owned, moved, self.settings) if moved else None
        if variant is not None:
            self._variants.append(variant)
        optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: self._before_step(optimizer, owned, variant))

    def _chosen(self) -> set[int]:
        """The parameters that SAM moves, whichever of the model's optimizers owns them."""
        key = "sam_params"
        try:
            wanted = select(self.model, self.settings.params)
            key = "sam_exclude"
            left_out = matching(select(self.model), self.settings.exclude)
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from error
        chosen = {id(parameter) for name, parameter in wanted.items() if name not in left_out}
        if not chosen:
            raise ConfigError(f"sam_exclude: {list(self.settings.exclude)} leave SAM no parameter to move")
        return chosen

    def watch(self, scaler: torch.amp.GradScaler) -> None:
        """Count also the steps that a scaler leaves out itself, so that the optimizer's hook never sees them."""
        step = scaler.step

        def counted(optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> Any:
            self._awaited = True
            result = step(optimizer, *args, **kwargs)
            if self._awaited:
                self._done()
                self._count_skipped()
                self.on_step()
            return result

        scaler.step = counted

    def _before_step(self, optimizer: torch.optim.Optimizer, owned: Sequence[Tensor], variant: SAM | None) -> None:
        self._awaited = False
        _check_sparse(optimizer, owned, self.clip)
        good, rho = self._finite(owned), self._rho
        self.settle()
        if good and rho and variant is not None:
            self._check_memory(owned, variant)
            variant.replace(rho, second=lambda: self._second_gradient(optimizer))
            good = self._finite(owned)
        self._done()
        if good:
            self.skipped_in_a_row = 0
            if self.clip:
                nn.utils.clip_grad_norm_([p for p in owned if p.grad is not None], **self.clip)
        else:
            self._skip(owned)
        self.on_step()

    def _done(self) -> None:
        """Forget the step that is over."""
        self.settle()
        self._batch, self._rho = None, 0.0

    def _check_memory(self, owned: Sequence[Tensor], variant: SAM) -> None:
        if variant.remembers and any(p.grad.is_sparse for p in owned if p.grad is not None):
            raise ConfigError(
                f"sam_variant={self.settings.variant}: it keeps a vector as long as all weights, which sparse "
                "gradients are there to avoid; choose sam, asam or gsam"
            )

    def _second_gradient(self, optimizer: torch.optim.Optimizer) -> None:
        """Replace every gradient by the one at the weights as they are, under the first pass's draws and state."""
        loss_func, batch, random_before, model_before = self._batch
        self._volatile = (self._volatile or set()) | model_before.changed_in_place()
        random_after, model_after = RandomState.get(), ModelState(self.model, self._volatile)
        self.extra_passes += 1
        try:
            optimizer.zero_grad()
            RandomState.set(random_before)
            model_before.restore()
            extra = self.rearm()
            with self.autocast():
                losses = loss_func(batch)
            loss = (sum(losses) if isinstance(losses, tuple) else losses) + extra
            self._backward(loss, optimizer)
        finally:
            RandomState.set(random_after)
            model_after.restore()

    def _backward(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        if self.scaler is None or not self.scaler.is_enabled():
            loss.backward()
            return
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(optimizer)
        self.scaler.update()

    def _finite(self, owned: Sequence[Tensor]) -> bool:
        for parameter in owned:
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()  # once, for all that will read it
        gradients = [p.grad for p in owned if p.grad is not None]
        return not gradients or bool(gradient_norm(gradients).isfinite())

    def _skip(self, owned: Sequence[Tensor]) -> None:
        """Make the step empty: a hook cannot cancel it, but an optimizer passes over parameters without gradient."""
        for parameter in owned:
            parameter.grad = None
        self._count_skipped()

    def _count_skipped(self) -> None:
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= self.patience:
            raise TrainingError(
                f"{self.skipped_in_a_row} steps in a row had a gradient that is inf or nan; lower learning_rate or "
                "sam_rho, or set clip_grad_norm; the last good checkpoint is kept"
            )

    def state_dict(self) -> dict[str, Any]:
        """What must survive an interruption."""
        return {
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "extra_passes": self.extra_passes,
            "scaler": self.scaler.state_dict() if self.scaler is not None else {},
            "variants": [variant.state_dict() for variant in self._variants],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that :meth:`state_dict` returned."""
        self.skipped, self.skipped_in_a_row = state["skipped"], state["skipped_in_a_row"]
        self.extra_passes = state.get("extra_passes", 0)
        if self.scaler is not None and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        for variant, stored in zip(self._variants, state.get("variants", ()), strict=False):
            variant.load_state_dict(stored)


def _check_sparse(optimizer: torch.optim.Optimizer, owned: Sequence[Tensor], clip: Any) -> None:
    """Refuse gradients that torch would refuse in the middle of the step, in many more words."""
    sparse = [p.grad.is_sparse for p in owned if p.grad is not None]
    if isinstance(optimizer, torch.optim.SparseAdam) and not all(sparse):
        raise ConfigError(
            "learner=sparse_adam: this model's gradients are dense (only nn.Embedding(sparse=True) gives sparse "
            "ones); choose adam"
        )
    if clip and any(sparse):
        raise ConfigError("clip_grad_norm: torch cannot clip sparse gradients; leave it out")
