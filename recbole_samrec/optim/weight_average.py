"""Averages of the weights during training, which are evaluated in place of the current weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recbole_samrec.optim import foreach
from recbole_samrec.optim.average_options import parse_average


class WeightAverage:
    """No average: the current weights are evaluated and saved. Base of the averages.

    Only trainable parameters are averaged. Buffers, such as the running statistics of batch normalization, and other
    state of the model have their current values.

    Args:
        model: The model that is trained.
    """

    def __init__(self, model: nn.Module) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self._training: list[Tensor] | None = None  # the current weights while the average replaces them

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Follow the steps of one of a model's optimizers."""

    def end_epoch(self, epoch: int) -> None:
        """Follow the end of an epoch, or of a part of it."""

    def compute(self) -> list[Tensor] | None:
        """Compute the average of each parameter; None if the current weights are evaluated."""
        return None

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Use the average in place of the weights for the duration of a ``with`` block.

        The weights are restored bit for bit, even after an exception.
        """
        averages = self.compute() if self._training is None else None
        if averages is None:
            yield
            return
        self._training = self._copy_weights()
        try:
            foreach.overwrite_all(self.parameters, averages)
            yield
        finally:
            foreach.overwrite_all(self.parameters, self._training)
            self._training = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs; empty if nothing is averaged."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state that :meth:`state_dict` returned, and restore the weights with which training continues.

        Raises:
            ValueError: It belongs to another kind of average.
        """
        if state:
            raise ValueError("it holds an average of weights")

    def _copy_weights(self) -> list[Tensor]:
        return foreach.copy_all([p.detach() for p in self.parameters])

    def _widen_weights(self) -> list[Tensor]:
        return foreach.widen_all([p.detach() for p in self.parameters])

    def _training_weights(self) -> list[Tensor]:
        return [p.detach() for p in self.parameters] if self._training is None else self._training

    def _load_training_weights(self, weights: Sequence[Tensor]) -> None:
        foreach.overwrite_all(self.parameters, self._place(weights))

    def _place(self, stored: Sequence[Tensor]) -> list[Tensor]:
        """Copy stored tensors to the devices of the parameters."""
        return [t.to(p.device, copy=True) for t, p in zip(stored, self.parameters, strict=True)]


class MovingAverage(WeightAverage):
    """The exponential moving average of the weights after each optimizer step, with bias correction.

    ``a = decay * a + (1 - decay) * w`` from 0, divided by ``1 - decay ** steps`` (Kingma and Ba, 1412.6980, section 3).
    The corrected average is stored: it moves by the fraction ``(1 - decay) / (1 - decay ** steps)`` toward ``w``.
    Skipped steps do not count.

    Args:
        model: The model that is trained.
        decay: Decay, in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model)
        self._decay, self._steps = decay, 0
        self._average: list[Tensor] = []

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Average the weights after each step of an optimizer."""
        own = [p for group in optimizer.param_groups for p in group["params"]]

        def update_after_step(*ignored: Any) -> None:
            if any(p.grad is not None for p in own):  # a skipped step has no gradients
                self._update()

        optimizer.register_step_post_hook(update_after_step)

    @torch.no_grad()
    def _update(self) -> None:
        self._steps += 1
        weights = self._widen_weights()
        if self._steps == 1:
            self._average = foreach.copy_all(weights)
        else:
            foreach.move_all(self._average, weights, (1 - self._decay) / (1 - self._decay**self._steps))

    def compute(self) -> list[Tensor] | None:
        """Return the average; None before the first step."""
        return self._average or None

    def state_dict(self) -> dict[str, Any]:
        """Return the average, the number of steps and the current weights."""
        return {"average": self._average, "steps": self._steps, "weights": self._training_weights()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the average, the number of steps and the current weights."""
        if "average" not in state:
            raise ValueError("it holds no moving average of weights")
        self._average = self._place(state["average"]) if state["steps"] else []
        self._steps = state["steps"]
        self._load_training_weights(state["weights"])


class EpochMean(WeightAverage):
    """The mean of the weights at the ends of the last epochs (stochastic weight averaging, 1803.05407, equally spaced).

    Until there are that many epochs, the mean is over all of them. The weights of each epoch are kept in memory.

    Args:
        model: The model that is trained.
        epochs: Number of epochs, at least 1.
    """

    def __init__(self, model: nn.Module, epochs: int) -> None:
        super().__init__(model)
        self._epochs = epochs
        self._ends: dict[int, list[Tensor]] = {}

    def end_epoch(self, epoch: int) -> None:
        """Store the weights at the end of an epoch; the last part of an epoch that has several counts."""
        self._ends = {one: kept for one, kept in self._ends.items() if epoch - self._epochs < one < epoch}
        self._ends[epoch] = self._copy_weights()

    @torch.no_grad()
    def compute(self) -> list[Tensor] | None:
        """Compute the mean; None before the end of the first epoch."""
        if not self._ends:
            return None
        first, *others = self._ends.values()
        total = foreach.copy_all(foreach.widen_all(first))
        for weights in others:
            foreach.add_to_all(total, weights)
        return foreach.scale_all(total, 1 / len(self._ends))

    def state_dict(self) -> dict[str, Any]:
        """Return the weights at the ends of epochs, and the current weights."""
        return {"ends": self._ends, "weights": self._training_weights()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the weights at the ends of epochs, and the current weights."""
        if "ends" not in state:
            raise ValueError("it holds no weights of epochs to average")
        self._ends = {int(epoch): self._place(weights) for epoch, weights in state["ends"].items()}
        self._load_training_weights(state["weights"])


def make_average(model: nn.Module, wanted: str | None) -> WeightAverage:
    """Make the average of a model's weights.

    Args:
        model: The model that is trained.
        wanted: ``ema 0.999``, ``last 5`` or None, see :func:`recbole_samrec.optim.average_options.parse_average`.
    """
    if wanted is None:
        return WeightAverage(model)
    options = parse_average(wanted)
    return MovingAverage(model, options.decay) if options.decay else EpochMean(model, options.epochs or 1)
