"""Estimates the cost of a job from some of its training steps."""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from recbole_samrec.config.build import configure
from recbole_samrec.experiments.jobs import Job
from recbole_samrec.experiments.worker import process_settings
from recbole_samrec.quick_start import train
from recbole_samrec.quick_start.environment import device_memory, peak_memory_mb
from recbole_samrec.trainer.callbacks import PRETRAINING, Callback, planned_epochs
from recbole_samrec.utils.errors import flatten_message

PROBED_SECONDS = 4.0
"""Time for which the steps of a probe are measured; at least two steps are, of which the first is not counted."""


@dataclass(frozen=True)
class Cost:
    """Cost of an entry's runs.

    Args:
        seconds_per_epoch: Measured, or estimated from some steps.
        epochs: Largest number of epochs of a run.
        memory_mb: Peak memory of the process on the host.
        gpu_mb: Peak memory on a GPU, without the CUDA context; 0 if it was measured on a CPU.
        gpu_total_mb: Memory of that GPU.
        pretrain_epochs: Epochs of pre-training, which come before.
        pretrain_seconds: Seconds of each of them.
    """

    seconds_per_epoch: float
    epochs: int
    memory_mb: float
    gpu_mb: float = 0.0
    gpu_total_mb: float = 0.0
    pretrain_epochs: int = 0
    pretrain_seconds: float = 0.0

    def seconds_until(self, epochs: float) -> float:
        """Seconds from the start of a run, pre-training included, until this number of its epochs is done."""
        return self.pretrain_epochs * self.pretrain_seconds + epochs * self.seconds_per_epoch


class _EnoughSeen(BaseException):
    """Ends a probe; no handler of RecBole or of this package catches it as an error."""


class _StepTimer(Callback):
    """Times steps of the first stage that has any, and ends the run after some of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._limit = 0.0, seconds
        self._started = 0.0
        self.steps = self.seen = self.epochs = self.pretrain_epochs = 0

    def on_train_start(self, trainer: Any) -> None:
        self.epochs = planned_epochs(trainer)

    def on_stage_start(self, trainer: Any, stage: str, epochs: int) -> None:
        if self.seen:
            raise _EnoughSeen
        self.pretrain_epochs = epochs if stage == PRETRAINING else 0

    def on_train_epoch_start(self, trainer: Any, epoch: int, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer: Any, epoch: int, step: int) -> None:
        now = time.perf_counter()
        if self.seen:
            self._seconds += now - self._started
        self.seen, self._started = self.seen + 1, now
        if self.seen > 2 and self._seconds > self._limit:
            raise _EnoughSeen

    def on_validation_end(self, trainer: Any, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        if self._seconds > self._limit:
            raise _EnoughSeen
        self._started = time.perf_counter()

    @property
    def seconds_per_step(self) -> float:
        """Mean over all steps but the first, which includes setup."""
        return self._seconds / max(self.seen - 1, 1)


def probe_cost(job: Job) -> dict[str, Any]:
    """Estimate the cost of a job from some steps whose results are discarded.

    Args:
        job: A job of the entry.

    Returns:
        The fields of :class:`Cost`; or ``{"failed": reason}``.
    """
    try:
        first, seconds, device = _begin_run(job)
        if not first.pretrain_epochs:
            return asdict(Cost(seconds, first.epochs, **_peak_memory(device)))
        last, of_last, device = _begin_run(job, pretrain=False)
        before: dict[str, Any] = {"pretrain_epochs": first.pretrain_epochs, "pretrain_seconds": seconds}
        return asdict(Cost(of_last, last.epochs, **_peak_memory(device), **before))
    except Exception as error:
        return {"failed": flatten_message(error)}


def _begin_run(job: Job, pretrain: bool = True) -> tuple[_StepTimer, float, torch.device]:
    """Begin a run and discard it.

    Args:
        job: The job.
        pretrain: Include its pre-training, if it has one; its fine-tuning then begins only in another call.

    Returns:
        The timer, the seconds of an epoch, and the device.
    """
    timer = _StepTimer(PROBED_SECONDS)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="recbole-samrec-") as folder:
        pretrained = {"pretrained_dir": folder} if "pretrained_dir" in job.settings else {}
        config = configure(process_settings(job, Path(folder)) | pretrained | {"state": "critical"}, {})
        if not pretrain:
            config["pretrain_epochs"] = 0  # which users may not set
        with contextlib.suppress(_EnoughSeen):
            train.train(config, None, [timer], job.sha256)
    whole = time.perf_counter() - started
    seconds = timer.seconds_per_step * timer.steps if timer.seen > 1 else whole
    return timer, seconds, config["device"]


def _peak_memory(device: torch.device) -> dict[str, Any]:
    """Return the fields of :class:`Cost` for the peak memory of this process, on the host and on its GPU."""
    of_gpu = device_memory(device)
    there = {} if of_gpu is None else {"gpu_mb": of_gpu.peak_mb, "gpu_total_mb": of_gpu.total_mb}
    return {"memory_mb": peak_memory_mb(torch.device("cpu")), **there}
