"""The optimizer step with SAM: a hook on any torch optimizer that takes the gradient at the worst neighbour.

:class:`SAMStep` sits beside the optimizer, not around it. RecBole's loop computes the loss and its gradient as always
and calls ``optimizer.step()``; just before the optimizer moves, the hook moves the weights to their worst neighbour,
computes the same batch's loss again under the same random draws, and puts the weights back. The optimizer then steps
with the neighbour's gradient. Weight decay lives in the optimizer, so SAM's neighbour does not see it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from recbole_samrec.errors import ConfigError, TrainingError
from recbole_samrec.model_state import ModelState, RandomState
from recbole_samrec.sam import gradient_norm, select, worst_neighbour

VARIANTS = ("sam", "asam")


@dataclass(frozen=True)
class SAMSettings:
    """What the configuration says about SAM.

    Args:
        rho: Radius of the neighbourhood; 0 switches SAM off.
        variant: ``sam`` or ``asam``.
        eta: ASAM's stability term.
        leave_out: Shell patterns of names of parameters that SAM does not move.
    """

    rho: float = 0.0
    variant: str = "sam"
    eta: float = 0.01
    leave_out: tuple[str, ...] = ()

    @classmethod
    def from_config(cls, config: Any) -> SAMSettings:
        """Read the keys ``sam_rho``, ``sam_variant``, ``sam_eta`` and ``sam_leave_out``.

        Raises:
            ConfigError: A value is of the wrong type or out of its range.
        """
        rho = _number(config, "sam_rho", 0.0)
        eta = _number(config, "sam_eta", 0.01)
        variant = config["sam_variant"] or "sam"
        if variant not in VARIANTS:
            raise ConfigError(f"sam_variant={variant}: choose one of {', '.join(VARIANTS)}")
        leave_out = config["sam_leave_out"] or []
        if isinstance(leave_out, str):
            leave_out = [leave_out]
        if not all(isinstance(pattern, str) for pattern in leave_out):
            raise ConfigError(f"sam_leave_out={leave_out}: give a list of name patterns such as ['*LayerNorm*']")
        return cls(rho, variant, eta, tuple(leave_out))


def _number(config: Any, key: str, default: float) -> float:
    value = default if config[key] is None else config[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ConfigError(f"{key}={value}: give a number that is at least 0")
    return float(value)








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
    on_step: Callable[[], None] = lambda: None
    _volatile: set[tuple[int, str]] | None = field(default=None, repr=False)
    _batch: tuple[Callable[[Any], Any], Any, dict[str, Any], ModelState] | None = field(default=None, repr=False)
    _awaited: bool = field(default=False, repr=False)

    def recorded(self, loss_func: Callable[[Any], Any], second: Callable[[Any], Any] | None = None):
        """A loss function that does what ``loss_func`` does and remembers batch and random state for the second pass.

        Args:
            loss_func: Maps a batch to a loss or a tuple of losses.
            second: The loss of the second pass where the loop changes what ``loss_func`` returns.
        """
        if not self.settings.rho:
            return loss_func

        def loss_of(batch: Any) -> Any:
            self._batch = (second or loss_func, batch, RandomState.get(), ModelState(self.model, self._volatile))
            return loss_func(batch)

        return loss_of

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Hook onto an optimizer."""
        owned = [p for group in optimizer.param_groups for p in group["params"]]
        chosen = self._chosen() if self.settings.rho else set()
        moved = [p for p in owned if id(p) in chosen]
        optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: self._before_step(optimizer, owned, moved))

    def _chosen(self) -> set[int]:
        """The parameters that SAM moves, whichever of the model's optimizers owns them."""
        try:
            return {id(p) for p in select(self.model.named_parameters(), self.settings.leave_out)}
        except ValueError as error:
            raise ConfigError(f"sam_leave_out: {error}") from error

    def watch(self, scaler: torch.amp.GradScaler) -> None:
        """Count also the steps that a scaler leaves out itself, so that the optimizer's hook never sees them."""
        step = scaler.step

        def counted(optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> Any:
            self._awaited = True
            result = step(optimizer, *args, **kwargs)
            if self._awaited:
                self._batch = None
                self._count_skipped()
                self.on_step()
            return result

        scaler.step = counted

    def _before_step(self, optimizer: torch.optim.Optimizer, owned: Sequence[Tensor], moved: Sequence[Tensor]) -> None:
        self._awaited = False
        _check_sparse(optimizer, owned, self.clip)
        good = self._finite(owned)
        if good and self._batch is not None:
            self._second_gradient(optimizer, moved)
            good = self._finite(owned)
        self._batch = None
        if good:
            self.skipped_in_a_row = 0
            if self.clip:
                nn.utils.clip_grad_norm_([p for p in owned if p.grad is not None], **self.clip)
        else:
            self._skip(owned)
        self.on_step()

    def _second_gradient(self, optimizer: torch.optim.Optimizer, moved: Sequence[Tensor]) -> None:
        """Replace every gradient by the one at the worst neighbour, under the first pass's random draws and state."""
        loss_func, batch, random_before, model_before = self._batch
        self._volatile = (self._volatile or set()) | model_before.changed_in_place()
        random_after, model_after = RandomState.get(), ModelState(self.model, self._volatile)
        try:
            with worst_neighbour(moved, self.settings.rho, self.settings.variant == "asam", self.settings.eta):
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
        scaler = self.scaler.state_dict() if self.scaler is not None else {}
        return {"skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row, "scaler": scaler}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that :meth:`state_dict` returned."""
        self.skipped, self.skipped_in_a_row = state["skipped"], state["skipped_in_a_row"]
        if self.scaler is not None and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])


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
