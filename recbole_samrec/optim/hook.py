"""SAM in RecBole's loop: a hook on any torch optimizer that replaces the gradient just before the optimizer steps.

:class:`SAMHook` is attached to the optimizer and does not wrap it. RecBole's loop computes the loss and its gradient as
always and calls ``optimizer.step()``; just before the optimizer moves, the hook moves the weights by the ascent step,
computes the same batch's loss again under the same random draws, and restores the weights. The optimizer then steps
with the gradient of the perturbed weights. The optimizer applies weight decay, which therefore does not affect the
perturbation.

The step itself is :class:`recbole_samrec.optim.two_pass.TwoPass`; the classes of :mod:`recbole_samrec.optim.variants`
choose the perturbation and combine the two gradients.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from recbole_samrec.optim.frequency_rho import compute_frequency_factors, find_item_tables
from recbole_samrec.optim.pass_counter import PassCounter
from recbole_samrec.optim.perturbation import match_names, select_parameters
from recbole_samrec.optim.schedule import SAMSettings
from recbole_samrec.optim.state_snapshot import Replay
from recbole_samrec.optim.two_pass import TwoPass
from recbole_samrec.optim.variants import CLASSES
from recbole_samrec.utils.errors import ConfigError, TrainingError

LossFunction = Callable[[Any], Any]
"""From a batch to a loss or a tuple of losses."""


@dataclass
class SAMHook:
    """SAM's second gradient as a pre-hook on ``optimizer.step()``, and the guard against bad gradients.

    Args:
        model: The model whose loss is minimized.
        settings: SAM's settings; with ``rho`` 0 the hook only clips and guards.
        clip: Arguments of ``clip_grad_norm_``, or None. Clipping sees true gradients, never scaled ones.
        autocast: Makes the autocast context of the training loop.
        rearm: Called before the second backward pass; its result is added to the loss (DDP needs both).
        scaler: A ``GradScaler`` of the second pass under fp16, or None.
        patience: Number of consecutive steps with an inf or nan gradient that ends training.
        skipped: Number of steps skipped because of such a gradient.
        skipped_in_a_row: Number of those since the last good step.
        extra_passes: Number of second gradients taken.
        on_step: Called after every step, also a skipped one.
        passes: Counts the gradients of batches.
    """

    model: nn.Module
    settings: SAMSettings
    clip: dict[str, Any] | None = None
    autocast: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    rearm: Callable[[], Any] = lambda: 0
    scaler: torch.amp.GradScaler | None = None
    patience: int = 20
    skipped: int = 0
    skipped_in_a_row: int = 0
    extra_passes: int = 0
    on_step: Callable[[], None] = lambda: None
    passes: PassCounter = field(default_factory=PassCounter)
    _replay: Replay = field(init=False, repr=False)
    _batch: tuple[LossFunction, Any] | None = field(default=None, repr=False)
    _awaited: bool = field(default=False, repr=False)
    _steps: list[TwoPass] = field(default_factory=list, repr=False)
    _clock: tuple[int, float, int] = field(default=(0, math.inf, 0), repr=False)
    _rho: float = field(default=0.0, repr=False)
    _row_radius: dict[Tensor, Tensor] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Make the record of the first pass, which all optimizers share."""
        self._replay = Replay(self.model)

    def begin_epoch(self, epoch: int, steps: int, item_counts: Callable[[], Tensor]) -> None:
        """Set the epoch and the number of steps for the schedule of rho.

        Args:
            epoch: Number of the epoch, from 0. A model that passes over its data several times per epoch begins it each
                time, and repeats that epoch's part of the schedule.
            steps: Number of batches in it.
            item_counts: Counts how often each item occurs in the training data ``[items]``.

        Raises:
            ConfigError: ``sam_item_rho`` is ``frequency``, and the model has no item embedding.
        """
        self._clock = (epoch, max(steps, 1), 0)
        self.passes.begin_epoch()
        if self.settings.rho and self.settings.item_rho == "frequency" and self._row_radius is None:
            self._row_radius = self._compute_row_radius(item_counts())
            for step in self._steps:
                if step.variant is not None:
                    step.variant.row_radius = self._row_radius

    def _compute_row_radius(self, counts: Tensor) -> dict[Tensor, Tensor]:
        try:
            tables = find_item_tables(self.model, len(counts))
        except ValueError as error:
            raise ConfigError(f"sam_item_rho=frequency: {error}; choose uniform") from error
        return {table: compute_frequency_factors(counts, len(table)).to(table.device) for table in tables}

    def recorded(self, loss_func: LossFunction, second: LossFunction | None = None) -> LossFunction:
        """Wrap a loss function so that its gradients are counted, and batch, draws and state kept for the second pass.

        Args:
            loss_func: Maps a batch to a loss or a tuple of losses.
            second: The loss of the second pass where the loop changes what ``loss_func`` returns.
        """

        def count_and_compute(batch: Any) -> Any:
            self.passes.begin_batch(len(batch))
            return loss_func(batch)

        def record_and_compute(batch: Any) -> Any:
            self.settle()
            self._rho = self._tick()
            if self._rho:
                if any(step.needs_second() for step in self._steps):
                    self._batch = (second or loss_func, batch)
                    self._replay.record()
                for step in self._steps:
                    step.begin(self._rho)
            return count_and_compute(batch)

        return record_and_compute if self.settings.rho else count_and_compute

    def _tick(self) -> float:
        """Return the radius of the step that begins."""
        epoch, steps, taken = self._clock
        self._clock = (epoch, steps, taken + 1)
        return self.settings.radius(epoch + min(taken / steps, 1.0))

    def settle(self) -> None:
        """Restore weights that are moved from a loss to its step, so that other code never sees them."""
        for step in self._steps:
            step.settle()

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Register the hook on an optimizer."""
        owned = [p for group in optimizer.param_groups for p in group["params"]]
        chosen = self._choose_parameters() if self.settings.rho else set()
        moved = [p for p in owned if id(p) in chosen]
        variant = CLASSES[self.settings.variant](owned, moved, self.settings) if moved else None
        step = TwoPass(owned, variant, self._replay, self.clip, key="sam_variant")
        self._steps.append(step)
        optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: self._before_step(optimizer, step))

    def _choose_parameters(self) -> set[int]:
        """Return the ids of the parameters that SAM moves, whichever of the model's optimizers owns them."""
        key = "sam_params"
        try:
            wanted = select_parameters(self.model, self.settings.params)
            key = "sam_exclude"
            left_out = match_names(select_parameters(self.model), self.settings.exclude)
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from error
        chosen = {id(parameter) for name, parameter in wanted.items() if name not in left_out}
        if not chosen:
            raise ConfigError(f"sam_exclude: {list(self.settings.exclude)} leave SAM no parameter to move")
        return chosen

    def watch(self, scaler: torch.amp.GradScaler) -> None:
        """Count the steps that a scaler skips, too, which the optimizer's hook never sees."""
        step = scaler.step

        def count_and_step(optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> Any:
            self._awaited = True
            result = step(optimizer, *args, **kwargs)
            if self._awaited:
                self._end_step()
                self._count_skipped()
                self.on_step()
            return result

        scaler.step = count_and_step  # type: ignore[method-assign]

    def _before_step(self, optimizer: torch.optim.Optimizer, step: TwoPass) -> None:
        self._awaited = False
        _check_sparse(optimizer, step)
        good = step.finish(self._rho, second=lambda: self._second_gradient(optimizer))
        self._end_step()
        if good:
            self.skipped_in_a_row = 0
        else:
            self._count_skipped()
        self.on_step()

    def _end_step(self) -> None:
        """Release what was stored for the step that has ended."""
        self.settle()
        self._replay.forget()
        self._batch, self._rho = None, 0.0

    def _second_gradient(self, optimizer: torch.optim.Optimizer) -> None:
        """Replace every gradient by the gradient of the recorded batch at the current weights."""
        if self._batch is None:
            raise RuntimeError("the second gradient needs a loss function that SAMHook.recorded() wrapped")
        loss_func, batch = self._batch
        self.extra_passes += 1
        self.passes.repeat_batch()
        optimizer.zero_grad()
        extra = self.rearm()
        with self.autocast():
            losses = loss_func(batch)
        self._backward((sum(losses) if isinstance(losses, tuple) else losses) + extra, optimizer)

    def _backward(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        if self.scaler is None or not self.scaler.is_enabled():
            loss.backward()
            return
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(optimizer)
        self.scaler.update()

    def _count_skipped(self) -> None:
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= self.patience:
            raise TrainingError(
                f"{self.skipped_in_a_row} steps in a row had a gradient that is inf or nan; lower learning_rate or "
                "sam_rho, or set clip_grad_norm; the last good checkpoint is kept"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return {
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "extra_passes": self.extra_passes,
            "passes": self.passes.total,
            "scaler": self.scaler.state_dict() if self.scaler is not None else {},
            "variants": [step.variant.state_dict() for step in self._steps if step.variant is not None],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state that :meth:`state_dict` returned."""
        self.skipped, self.skipped_in_a_row = state["skipped"], state["skipped_in_a_row"]
        self.extra_passes, self.passes.total = state.get("extra_passes", 0), state.get("passes")
        if self.scaler is not None and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        variants = [step.variant for step in self._steps if step.variant is not None]
        for variant, stored in zip(variants, state.get("variants", ()), strict=False):
            variant.load_state_dict(stored)


def _check_sparse(optimizer: torch.optim.Optimizer, step: TwoPass) -> None:
    """Raise an error for sparse gradients that torch would reject in the middle of the step."""
    sparse = [p.grad.is_sparse for p in step.parameters if p.grad is not None]
    if isinstance(optimizer, torch.optim.SparseAdam) and not all(sparse):
        raise ConfigError(
            "learner=sparse_adam: this model's gradients are dense (only nn.Embedding(sparse=True) gives sparse "
            "ones); choose adam"
        )
    if step.clip and any(sparse):
        raise ConfigError("clip_grad_norm: torch cannot clip sparse gradients; leave it out")
