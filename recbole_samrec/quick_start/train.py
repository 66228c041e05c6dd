"""One run from configuration to ``result.json``.

The folder of a run holds ``best.pth``, ``last.pth`` and ``previous.pth``, ``config.yaml``, ``run.log``,
``tensorboard/``, ``ranks.npz`` and ``result.json``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from recbole_samrec.data.temporal_held import find_counts, trains_on_all
from recbole_samrec.integration.registry import source_hash
from recbole_samrec.quick_start.build_trainer import BEST_TREES, build_trainer
from recbole_samrec.quick_start.context import RunContext, prepare_run
from recbole_samrec.quick_start.environment import device_memory, device_name, peak_memory_mb, revision, versions
from recbole_samrec.quick_start.record import DataRecord, RunRecord, extract_settings, make_label, rename_metrics
from recbole_samrec.quick_start.retrain import train_twice
from recbole_samrec.quick_start.writers import DataWriter, RankWriter, RecordWriter
from recbole_samrec.trainer.callbacks import Callback, CallbackList
from recbole_samrec.trainer.resume import add_known
from recbole_samrec.trainer.trainer import SAMTrainer
from recbole_samrec.utils.cpu_time import read_cpu_seconds
from recbole_samrec.utils.error_messages import report_missing_package
from recbole_samrec.utils.errors import ConfigError


def train(
    config: Any,
    resume: Path | None = None,
    callbacks: Iterable[Callback] = (),
    sha256: str | None = None,
    *,
    read: Callable[[Any], Any] | None = None,
    test: bool = True,
    note: Callable[[str], None] = lambda line: None,
) -> RunRecord:
    """Train a model, score it, and write the files of the run.

    Args:
        config: RecBole's configuration; ``run_dir`` names the folder of the run.
        resume: Checkpoint from which a run is resumed.
        callbacks: Callbacks, called in this order after those that write the files of the run.
        sha256: Hash of the interactions, if it is known already.
        read: Function that returns the data set for a configuration, in place of RecBole's ``create_dataset``.
        test: Score the test set at the end; a search does not, since it must not choose by it.
        note: Called with each remark on settings and data.

    Returns:
        The content of ``result.json``.

    Raises:
        UserError: Settings, data or checkpoint cannot be used, or training failed.
    """
    once = partial(train_once, sha256=sha256, read=read, note=note)
    if not trains_on_all(config):
        return once(config, resume, callbacks, test=test)
    if not test:
        raise ConfigError("eval_args: split GTS: retrain is for runs that are tested; leave it out here")
    return train_twice(once, config, resume, callbacks)


def train_once(
    config: Any,
    resume: Path | None = None,
    callbacks: Iterable[Callback] = (),
    *,
    sha256: str | None = None,
    read: Callable[[Any], Any] | None = None,
    test: bool = True,
    note: Callable[[str], None] = lambda line: None,
    epochs: int | None = None,
    ends: bool = True,
    complete: Callable[[RunRecord], RunRecord] = lambda record: record,
) -> RunRecord:
    """Train a model once; most arguments, result and errors are those of :func:`train`.

    Args:
        config: RecBole's configuration.
        resume: Checkpoint from which the training is resumed.
        callbacks: Callbacks.
        sha256: Hash of the interactions, if it is known already.
        read: Function that returns the data set for a configuration.
        test: Score the test set at the end.
        note: Called with each remark on settings and data.
        epochs: Number of epochs, if not that of the configuration.
        ends: Whether the run ends with this training, so that ``callbacks`` are notified.
        complete: Completes the record before it is written.
    """
    started, cpu_started = time.perf_counter(), read_cpu_seconds()
    if resume is not None:
        config["known_data"] = str(Path(resume).parent)
    context = prepare_run(config, callbacks, sha256, read=read, note=note)
    trainer = build_trainer(context)
    if epochs is not None:
        trainer.epochs = epochs
    if resume is not None:
        if not isinstance(trainer, SAMTrainer):
            raise ConfigError(f"--resume={resume}: {config['model']} is not trained in epochs; start a new run")
        trainer.resume_checkpoint(resume)
    resumed = resume is not None
    writers = [RecordWriter(context, resumed), DataWriter(context, resumed), RankWriter(context)]
    called = CallbackList([*writers, *context.callbacks])
    if isinstance(trainer, SAMTrainer):
        trainer.callbacks.add(*called)
        called = trainer.callbacks
    with report_missing_package(config["model"]), called.surround_training(trainer):
        trainer.fit(context.train_data, context.valid_data, saved=True, show_progress=False)
    scored = test and context.test_data and Path(trainer.saved_model_file).exists()  # pre-training may save nothing
    metrics = _score_test_set(trainer, context.test_data) if scored else None
    seconds = getattr(trainer, "elapsed", 0.0) + time.perf_counter() - started
    cpu = trainer.sum_cpu_seconds(cpu_started) if isinstance(trainer, SAMTrainer) else read_cpu_seconds() - cpu_started
    record = complete(make_record(context, trainer, metrics, seconds, cpu))
    (called if ends else CallbackList(writers)).call("on_run_end", trainer, record)
    return record


def _score_test_set(trainer: Any, test_data: Any) -> dict[str, float] | None:
    """Score the test set with the best weights."""
    if isinstance(trainer, SAMTrainer):
        return trainer.test(test_data)
    return trainer.evaluate(test_data, load_best_model=True)


def make_record(
    context: RunContext,
    trainer: Any,
    test: Mapping[str, float] | None,
    seconds_total: float,
    cpu_seconds: float | None,
) -> RunRecord:
    """Return the record of a finished run.

    Args:
        context: What the run was made of.
        trainer: RecBole's trainer, after training.
        test: Metrics of the test set, if there is one.
        seconds_total: Time that the whole run took.
        cpu_seconds: CPU time of all its processes, without a pre-training that was reused; None if it is unknown.
    """
    config, dataset = context.config, context.dataset
    of_gpu = device_memory(config["device"])
    data: DataRecord = {
        "users": dataset.user_num - 1,
        "items": dataset.item_num - 1,
        "interactions": context.interactions,
        "sha256": context.sha256,
    }
    if counts := find_counts(dataset):
        data["split"] = asdict(counts)
    if context.attributes_sha256:
        data["attributes_sha256"] = context.attributes_sha256
    return RunRecord(
        model=config["model"],
        label=make_label(config),
        dataset=config["dataset"],
        seed=config["seed"],
        config=extract_settings(config),
        data=data,
        source_sha256=source_hash(config.model_class),
        versions=versions(),
        revision=revision(),
        device=device_name(config["device"]),
        seconds_total=seconds_total,
        peak_memory_mb=peak_memory_mb(torch.device("cpu")),
        peak_device_memory_mb=of_gpu.peak_mb if of_gpu else None,
        device_memory_mb=of_gpu.total_mb if of_gpu else None,
        valid=rename_metrics(trainer.best_valid_result),
        test=rename_metrics(test),
        cpu_seconds=_add_reused(cpu_seconds, trainer),
        **_describe_training(trainer),
    )


def _describe_training(trainer: Any) -> dict[str, Any]:
    """Return the fields of a record about training; boosted trees have no epochs, steps or parameters."""
    if not isinstance(trainer, SAMTrainer):
        return dict.fromkeys(("parameters", "epochs_run", "best_epoch", "seconds_per_epoch", "skipped_steps"))
    seconds = list(trainer.seconds.values())
    return {
        "parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "epochs_run": len(trainer.train_loss_dict),
        "best_epoch": trainer.best_epoch if trainer.best_epoch >= 0 else None,
        "seconds_per_epoch": statistics.median(seconds) if seconds else None,
        "skipped_steps": trainer.sam_step.skipped,
        "pretraining": trainer.pretraining or None,
        "sharpness": trainer.tracker.history or None,
        "gradient_passes": trainer.gradient_passes,
    }


def _add_reused(cpu_seconds: float | None, trainer: Any) -> float | None:
    """Add the CPU time of a pre-training that was computed by another run, so that equal runs cost the same."""
    before = getattr(trainer, "pretraining", None)
    return add_known([cpu_seconds, before.get("cpu_seconds")]) if before and before["reused"] else cpu_seconds


def evaluate_weights(config: Any, weights: Path, masks: Sequence[bool] = (False,)) -> dict[bool, dict[str, Any]]:
    """Score the weights of a checkpoint again.

    Args:
        config: The run's configuration.
        weights: The checkpoint.
        masks: For each, whether the ranking masks the history of the user.

    Returns:
        For each mask the ``valid`` and ``test`` metrics, unrounded.
    """
    config["known_data"] = str(weights.parent)
    context = prepare_run(config, log=False)
    trainer = build_trainer(context)
    options: dict[str, Any] = {"load_best_model": False}
    if isinstance(trainer, SAMTrainer):
        trainer.resume_weights(weights)
    else:
        options = {"load_best_model": True, "model_file": str(weights.with_name(BEST_TREES))}
    scores = {}
    for mask in masks:
        config["mask_history"] = mask
        parts = {"valid": context.valid_data, "test": context.test_data}
        scores[mask] = {
            part: rename_metrics(trainer.evaluate(loader, **options)) if loader else None
            for part, loader in parts.items()
        }
    return scores
