"""Trainers of RecBole that need more than :class:`SAMTrainer` as their base class."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from recbole_samrec.trainer.trainer import require_gradients


def reject_sam(init: Callable) -> Callable:
    """Wrap the constructor of the trainer of boosted trees so that it rejects settings that need gradients.

    Args:
        init: The constructor; the class is not derived from RecBole's ``Trainer``, so it would ignore such settings.
    """

    @functools.wraps(init)
    def build(self: Any, config: Any, model: Any) -> None:
        for key in ("sam_rho", "weight_average"):
            if config[key]:
                require_gradients(model, key)
        init(self, config, model)

    return build


def train_ncl_with_sam(train: Callable) -> Callable:
    """Wrap the epoch of NCL, which has its own loop, with everything that surrounds an epoch of :class:`SAMTrainer`.

    Args:
        train: NCL's method; it drops the last of the losses while it warms up, so SAM's second pass does too.
    """

    @functools.wraps(train)
    def epoch(self: Any, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False) -> Any:
        loss_func = loss_func or self.model.calculate_loss
        warm = epoch_idx < self.config["warm_up_step"]
        with self.epoch(train_data, epoch_idx):
            recorded = self.sam_step.recorded(loss_func, lambda batch: loss_func(batch)[: -1 if warm else None])
            losses = train(self, train_data, epoch_idx, recorded, show_progress)
        self.report_epoch(epoch_idx, losses, len(train_data))
        return losses

    return epoch
