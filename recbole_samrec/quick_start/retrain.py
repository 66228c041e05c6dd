"""A run that is trained twice: with a validation, which chooses the epoch, and again on all events before the test."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from recbole_samrec.data.temporal_held import SELECTS_EPOCH
from recbole_samrec.quick_start.record import RESULT, RetrainingRecord, RunRecord, extract_settings
from recbole_samrec.quick_start.run_folder import CONFIG, SELECTION, find_own_checkpoint
from recbole_samrec.trainer.callbacks import Callback
from recbole_samrec.trainer.resume import add_known
from recbole_samrec.utils.errors import ConfigError, TrainingError
from recbole_samrec.utils.files import write_atomically
from recbole_samrec.utils.processes import is_first_process, wait_for_all

OF_VALIDATION = ("validation_cut", "valid_targets", "unseen_valid_users")
"""Numbers of a split that are those of the training with a validation."""
TrainOnce = Callable[..., RunRecord]


def train_twice(train_once: TrainOnce, config: Any, resume: Path | None, callbacks: Iterable[Callback]) -> RunRecord:
    """Train until validation has chosen an epoch, then again without validation until that epoch, and test.

    The first training has its own folder inside that of the run.

    Args:
        train_once: Function that trains a configuration; see :func:`recbole_samrec.quick_start.train.train_once`.
        config: RecBole's configuration.
        resume: Checkpoint of the second training from which it is resumed, or of the first one.
        callbacks: Callbacks of both trainings; only the second one ends the run.

    Returns:
        The record of the run: costs of both trainings, validation metrics of the first, test metrics of the second.

    Raises:
        UserError: A training failed, or the first one has no best epoch.
    """
    callbacks = list(callbacks)
    folder = _need_folder(config)
    selection = folder / SELECTION
    if is_first_process(config):
        selection.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / CONFIG, yaml.safe_dump(extract_settings(config), sort_keys=True))
    wait_for_all(config)
    first = _read_finished(selection)
    if first is None:
        chooses, own = _configure_selection(config, selection), find_own_checkpoint(selection)
        first = train_once(chooses, own, callbacks, test=False, ends=False)
    if first.best_epoch is None:
        raise TrainingError(f"{config['model']}: retrain needs a best epoch, and the first training has none")
    own = resume if resume is not None and resume.parent != selection else None
    return train_once(
        config, own, callbacks, epochs=first.best_epoch + 1, complete=lambda record: combine_records(first, record)
    )


def combine_records(first: RunRecord, second: RunRecord) -> RunRecord:
    """Combine the records of the two trainings of a run."""
    retraining: RetrainingRecord = {
        "epochs": second.epochs_run or 0,
        "seconds": second.seconds_total,
        "seconds_per_epoch": second.seconds_per_epoch,
    }
    if second.gradient_passes is not None:
        retraining["gradient_passes"] = second.gradient_passes
    if second.cpu_seconds is not None:
        retraining["cpu_seconds"] = second.cpu_seconds
    skipped = [record.skipped_steps for record in (first, second) if record.skipped_steps is not None]
    data = copy.copy(second.data)
    if "split" in data and "split" in first.data:
        data["split"] = data["split"] | {name: first.data["split"][name] for name in OF_VALIDATION}
    return replace(
        second,
        data=data,
        epochs_run=first.epochs_run,
        best_epoch=first.best_epoch,
        seconds_per_epoch=first.seconds_per_epoch,
        seconds_total=first.seconds_total + second.seconds_total,
        peak_memory_mb=max(first.peak_memory_mb, second.peak_memory_mb),
        skipped_steps=sum(skipped) if skipped else None,
        valid=first.valid,
        gradient_passes=add_known([first.gradient_passes, second.gradient_passes]),
        cpu_seconds=add_known([first.cpu_seconds, second.cpu_seconds]),
        retraining=retraining,
    )


def _need_folder(config: Any) -> Path:
    if not config["run_dir"]:
        raise ConfigError("eval_args: split GTS: retrain needs a folder for both trainings; name one by run_dir")
    return Path(config["run_dir"])


def _configure_selection(config: Any, folder: Path) -> Any:
    first = copy.copy(config)
    first.final_config_dict = {
        **config.final_config_dict,
        SELECTS_EPOCH: True,
        "run_dir": str(folder),
        "checkpoint_dir": str(folder),
    }
    return first


def _read_finished(folder: Path) -> RunRecord | None:
    """Read the record of the first training; None if it has not ended."""
    try:
        return RunRecord.read(folder / RESULT)
    except (OSError, ValueError):
        return None
