"""What a training run tells whoever watches it."""

from __future__ import annotations

PRETRAINING = "pre-training"
"""Name of the stage that comes before the training that is validated."""


class Listener:
    """Is told what happens in training; the base class ignores it all."""

    def stage(self, name: str, epochs: int) -> None:
        """A stage of the training begins, of so many epochs at most; most models have one only and do not say."""

    def epoch_started(self, epoch: int, steps: int) -> None:
        """An epoch of so many optimizer steps begins (a model may start several rounds of steps an epoch)."""

    def stepped(self) -> None:
        """One optimizer step is done."""

    def trained(self, epoch: int, loss: float, seconds: float) -> None:
        """The training part of an epoch is done; ``loss`` is the mean over its steps."""

    def validated(self, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """The model was scored on the validation set."""

    def saved(self, epoch: int) -> None:
        """The state after an epoch, and its validation if it had one, lies in the run's ``last.pth``."""
