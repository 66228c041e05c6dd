"""Callbacks: code that runs at fixed points of training, with the method names of Lightning.

Pass callbacks to :func:`recbole_samrec.run`, or add them to ``trainer.callbacks`` of a trainer that was made by
RecBole's own functions. The first argument of each method is the trainer. The methods of the base class do nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

PRETRAINING = "pre-training"
"""Name of the stage that comes before the training that is validated."""


class Callback:
    """Base class of callbacks: override the methods that you need.

    Example::

        from recbole_samrec import Callback, run

        class PrintLoss(Callback):
            def on_train_epoch_end(self, trainer, epoch, loss, seconds):
                print(epoch, loss)

        run("SAMRec", "ml-100k", epochs=5, callbacks=[PrintLoss()])
    """

    def on_train_start(self, trainer: Any) -> None:
        """Run before the first epoch; :func:`planned_epochs` and :func:`best_score` are available by then."""

    def on_stage_start(self, trainer: Any, stage: str, epochs: int) -> None:
        """Run when a stage begins, for models that are trained in several stages (S3Rec).

        Args:
            trainer: The trainer of the run.
            stage: :data:`PRETRAINING`, or words for what follows it.
            epochs: Largest number of epochs of the stage.
        """

    def on_train_epoch_start(self, trainer: Any, epoch: int, steps: int) -> None:
        """Run before an epoch.

        Args:
            trainer: The trainer of the stage.
            epoch: Number of the epoch, from 0. Models that pass over their data several times an epoch start it as
                often.
            steps: Number of optimizer steps that follow.
        """

    def on_train_batch_end(self, trainer: Any, epoch: int, step: int) -> None:
        """Run after an optimizer step, also after one that was skipped.

        Args:
            trainer: The trainer of the stage.
            epoch: Number of the epoch, from 0.
            step: Number of steps since the epoch started, this one included.
        """

    def on_train_epoch_end(self, trainer: Any, epoch: int, loss: float, seconds: float) -> None:
        """Run after the training part of an epoch, before its validation.

        Args:
            trainer: The trainer of the stage.
            epoch: Number of the epoch, from 0.
            loss: Mean loss over the steps.
            seconds: Time that the epoch took.
        """

    def on_validation_end(self, trainer: Any, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Run after the model was scored on the validation set.

        Args:
            trainer: The trainer.
            epoch: Number of the epoch, from 0.
            score: Value of ``valid_metric``.
            result: All metrics, under RecBole's names.
            best: True if no earlier score was as good.
        """

    def on_save_checkpoint(self, trainer: Any, epoch: int) -> None:
        """Run after ``last.pth`` was written; runs without a ``run_dir`` write none.

        Args:
            trainer: The trainer.
            epoch: Number of the epoch whose state was written, from 0.
        """

    def on_train_end(self, trainer: Any) -> None:
        """Run after the last epoch."""

    def on_exception(self, trainer: Any, exception: BaseException) -> None:
        """Run when training ends by an exception.

        Args:
            trainer: The trainer.
            exception: The exception, ``KeyboardInterrupt`` included; it is raised again afterwards.
        """

    def on_test_start(self, trainer: Any) -> None:
        """Run before the test set is scored."""

    def on_test_batch_end(self, trainer: Any, batch: RankedBatch) -> None:
        """Run after a batch of a full ranking of the test set was scored.

        Args:
            trainer: The trainer.
            batch: Scores of the batch.
        """

    def on_test_end(self, trainer: Any, metrics: dict[str, float]) -> None:
        """Run after the test set was scored.

        Args:
            trainer: The trainer.
            metrics: All metrics, under RecBole's names.
        """

    def on_run_end(self, trainer: Any, record: Any) -> None:
        """Run at the end of a run.

        Args:
            trainer: The trainer.
            record: The :class:`recbole_samrec.quick_start.record.RunRecord` of the run.
        """


@dataclass(frozen=True)
class RankedBatch:
    """Scores of a batch of a full ranking.

    Args:
        users: User of each sample of ``scores``, shape ``[B]``.
        scores: Scores of all items, shape ``[B, items]``.
        masked_scores: The same with every item of the user's history at minus infinity.
        rows: Index in ``scores`` of the sample of each item to be found, shape ``[T]``.
        items: The items to be found, shape ``[T]``.
    """

    users: Tensor
    scores: Tensor
    masked_scores: Tensor
    rows: Tensor
    items: Tensor


class CallbackList:
    """Callbacks that are called one after the other, in the order in which they were added.

    Args:
        callbacks: The callbacks.
        announces_training: False for the trainer of a stage, whose start and end are those of the whole run's.
    """

    def __init__(self, callbacks: Iterable[Callback] = (), announces_training: bool = True) -> None:
        self._callbacks = list(callbacks)
        self._training = not announces_training

    def __iter__(self) -> Iterator[Callback]:
        """Iterate over the callbacks."""
        return iter(self._callbacks)

    def add(self, *callbacks: Callback) -> None:
        """Add callbacks after the existing ones."""
        self._callbacks += callbacks

    def call(self, moment: str, trainer: Any, *known: Any) -> None:
        """Call a method of every callback.

        Args:
            moment: Name of the method.
            trainer: Its first argument.
            known: The other ones.
        """
        for callback in self._callbacks:
            getattr(callback, moment)(trainer, *known)

    def handles(self, moment: str) -> bool:
        """Return True if a callback overrides the method of this name."""
        return any(getattr(type(callback), moment) is not getattr(Callback, moment) for callback in self._callbacks)

    @contextlib.contextmanager
    def surround_training(self, trainer: Any) -> Iterator[None]:
        """Call ``on_train_start`` before the ``with`` block, then ``on_train_end`` or ``on_exception``.

        Blocks inside the block call neither: RecBole's trainers call the ``fit`` of their base class.
        """
        if self._training:
            yield
            return
        self._training = True
        try:
            self.call("on_train_start", trainer)
            yield
            self.call("on_train_end", trainer)
        except BaseException as error:
            self.call("on_exception", trainer, error)
            raise
        finally:
            self._training = False


def planned_epochs(trainer: Any) -> int:
    """Return the maximum number of epochs of a trainer.

    Args:
        trainer: The trainer that a callback receives.

    Returns:
        The number: 1 for models that are computed from counts; of pre-training its own number.
    """
    stage = getattr(getattr(trainer, "model", None), "train_stage", "")
    return trainer.pretrain_epochs if "pretrain" in str(stage) else trainer.epochs


def best_score(trainer: Any) -> float:
    """Return the best validation score so far, including earlier parts of a resumed run.

    Args:
        trainer: The trainer that a callback receives.

    Returns:
        Value of ``valid_metric``; infinite without a score.
    """
    return float(trainer.best_valid_score)
