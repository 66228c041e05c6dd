"""A finished run as input to measures of sharpness: a loss without arguments, and the weights it depends on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recbole_samrec.analysis.hessian import ChunkedLoss
from recbole_samrec.config.build import check_data, configure
from recbole_samrec.integration import registry
from recbole_samrec.quick_start.build_trainer import build_trainer
from recbole_samrec.quick_start.context import prepare_run
from recbole_samrec.quick_start.record import RESULT, RunRecord, make_label
from recbole_samrec.trainer.sampled_loss import sampled_loss
from recbole_samrec.trainer.trainer import SAMTrainer, require_gradients
from recbole_samrec.utils.errors import CheckpointError, ConfigError, UserError

BEST = "best.pth"
"""The weights that are measured."""
CHUNK_TARGETS = 512
"""Training targets whose loss is computed at a time, which bounds the memory."""


@dataclass
class Solution:
    """A finished run: its weights and its training loss on a fixed sample.

    Args:
        folder: Folder of the run.
        label: Name of the entry in tables.
        record: Its ``result.json``.
        trainer: RecBole's trainer, with the best weights in its model, in evaluation mode.
        loaders: Loaders for training, validation and test.
        parameters: The trained weights by name.
        loss: The training loss on a fixed sample, twice differentiable.
        targets: Number of training targets of the sample.
        all_targets: Number of all training targets.
    """

    folder: Path
    label: str
    record: Mapping[str, Any]
    trainer: Any
    loaders: tuple
    parameters: dict[str, nn.Parameter]
    loss: ChunkedLoss
    targets: int
    all_targets: int

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.record["seed"])

    @property
    def name(self) -> str:
        """Name among the runs of a report."""
        return name_run(self.label, self.seed)

    @property
    def weights(self) -> list[nn.Parameter]:
        """The trained weights."""
        return list(self.parameters.values())


def name_run(label: str, seed: int) -> str:
    """Return the name of a run among those of a report."""
    return f"{label}, seed {seed}"


def read_finished_record(folder: Path) -> RunRecord:
    """Read the record of a finished run.

    Raises:
        CheckpointError: It is not there, or damaged, or the run has not ended, or was not tested.
    """
    file = folder / RESULT
    try:
        record = RunRecord.read(file)
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise CheckpointError(f"{folder}: there is no such run; the runs are in runs/") from error
        reason = f"{folder}: it holds no {RESULT}, so it is no finished run; finish it by --resume={folder}"
        raise CheckpointError(reason) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: it is damaged ({error}); train the run again") from error
    if not record.test:
        raise CheckpointError(f"{file}: it has no metrics of a test set, which a report needs; train it with one")
    return record


def load_run(folder: Path, targets: int, source: str | None = None) -> Solution:
    """Load a finished run.

    Args:
        folder: Folder of the run.
        targets: Approximate number of training targets of the loss.
        source: ``file.py:Name`` of a user's own model.

    Raises:
        UserError: The run is damaged, or its data are not there or have changed, or its model has no loss that can be
            differentiated.
    """
    record = read_finished_record(folder)
    weights = folder / BEST
    if source:
        registry.model_from(source)
    if not registry.is_model(record["model"]):
        name = record["model"]
        raise CheckpointError(f"{folder}: custom model: pass its location with --model=file.py:{name}")
    settings = {**record["config"], "run_dir": None, "checkpoint_dir": str(folder), "show_progress": False}
    settings |= {"train_batch_size": min(CHUNK_TARGETS, record["config"]["train_batch_size"])}
    settings |= {"enable_amp": False, "embedding_update": "dense", "quiet_terminal": True}
    settings.pop("gpu_id", None)  # the index on the machine on which it was trained
    config = configure(settings, {})
    config["known_data"] = str(folder)
    check_data(config, lambda line: None)
    trainer, loaders = _prepare(config)
    if not isinstance(trainer, SAMTrainer):
        raise ConfigError(f"{folder}: {config['model']} is not trained by gradients; there is no sharpness to measure")
    try:
        require_gradients(trainer.model)
    except UserError as error:
        reason = str(error).partition(": ")[2].partition(";")[0]
        raise ConfigError(f"{folder}: {config['model']} has no differentiable loss: {reason}") from error
    if not weights.exists():
        raise CheckpointError(f"{weights}: the run's best weights are not there; train it again")
    trainer.resume_weights(weights)
    require_finite(trainer.model, weights)
    trainer.model.eval()
    loss, taken, there = sampled_loss(trainer, loaders[0], targets)
    named = {name: weight for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    return Solution(folder, make_label(config), record, trainer, loaders, named, loss, taken, there)


def require_finite(model: nn.Module, file: Path) -> None:
    """Raise an error for weights that are not finite.

    Raises:
        CheckpointError: Some are not; the message names the first such tensor.
    """
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise CheckpointError(f"{file}: {name} is not finite; train the run again, perhaps with a smaller rate")


def _prepare(config: Any) -> tuple[Any, tuple]:
    """Prepare the trainer and loaders of a run, without the warnings that are already in its log."""
    logging.disable(logging.WARNING)
    try:
        context = prepare_run(config, log=False)
        trainer = build_trainer(context)
    finally:
        logging.disable(logging.NOTSET)
    return trainer, context.loaders
