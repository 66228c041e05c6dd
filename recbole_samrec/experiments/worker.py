"""Trains a job in the current process, resuming an earlier attempt, and writes its record."""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from recbole.utils import get_model

from recbole_samrec.config.build import configure
from recbole_samrec.evaluator.test_ranks import RANKS
from recbole_samrec.experiments.job_folders import JOB
from recbole_samrec.experiments.jobs import Job
from recbole_samrec.integration import registry
from recbole_samrec.quick_start import run_folder, train
from recbole_samrec.quick_start.record import RESULT, RunRecord
from recbole_samrec.quick_start.run_folder import SELECTION
from recbole_samrec.trainer.callbacks import PRETRAINING, Callback, best_score, planned_epochs
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError, UserError, explain_failure
from recbole_samrec.utils.files import write_atomically
from recbole_samrec.utils.locks import lock_folder

FAILURE = "failure.txt"
"""File with the reason why the last attempt at a run failed."""
REPORT_SECONDS = 2.0
"""Time between two reports of a run; each holds it up for some 50 ms, until Ray has taken it."""


class JobProgress(NamedTuple):
    """Progress of a run.

    Args:
        pretrains: True in its pre-training, whose epochs are then counted.
        done: Epochs done, with the fraction of the current one.
        epochs: Largest number of epochs.
        best: Best score so far.
    """

    pretrains: bool
    done: float
    epochs: int
    best: float


class ProgressReporter(Callback):
    """Reports the progress of a run, at most every ``REPORT_SECONDS``.

    Args:
        report: Called with the progress.
    """

    def __init__(self, report: Callable[[JobProgress], None]) -> None:
        self._report, self._epochs, self._best = report, 0, 0.0
        self._steps, self._last = 1, 0.0
        self._pretrains = False

    def on_train_start(self, trainer: Any) -> None:
        """Store the number of epochs, and the best score of a resumed run."""
        self._epochs, self._best = planned_epochs(trainer), best_score(trainer)

    def on_stage_start(self, trainer: Any, stage: str, epochs: int) -> None:
        """Start counting from 0."""
        self._pretrains, self._epochs = stage == PRETRAINING, epochs

    def on_train_epoch_start(self, trainer: Any, epoch: int, steps: int) -> None:
        """Store the number of steps of an epoch."""
        self._steps = max(steps, 1)

    def on_train_batch_end(self, trainer: Any, epoch: int, step: int) -> None:
        """Report a step."""
        if time.monotonic() - self._last > REPORT_SECONDS:
            self._pass_on(epoch + min(1.0, step / self._steps))

    def on_validation_end(self, trainer: Any, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Report the score of an epoch."""
        if best:
            self._best = score
        self._pass_on(epoch + 1)

    def _pass_on(self, done: float) -> None:
        self._last = time.monotonic()
        self._report(JobProgress(self._pretrains, done, self._epochs, self._best))


def prepare_process(folder: str | Path, threads: int) -> None:
    """Prepare a Ray process for a job.

    Args:
        folder: Folder in which the command was started, so that relative paths mean the same; ignored on a computer
            that does not have it.
        threads: Number of threads.
    """
    torch.set_num_threads(threads)
    if os.path.isdir(folder):
        os.chdir(folder)


def execute(job: Job, callbacks: Iterable[Callback], **options: Any) -> RunRecord:
    """Train a job in this process, or resume it, and return its record.

    Args:
        job: The job; its folder exists.
        callbacks: Callbacks of the training.
        options: Further arguments of :func:`recbole_samrec.quick_start.train.train`.

    Raises:
        UserError: The settings or the data cannot be used, or training failed.
    """
    config = configure(process_settings(job, job.folder), {})
    return train.train(config, run_folder.find_checkpoint(job.folder), callbacks, job.sha256, **options)


def train_job(job: Job, report: Callable[[JobProgress], None]) -> Mapping[str, Any]:
    """Train a job of a comparison, or resume it, and write its record to its folder.

    Args:
        job: The job.
        report: Called with the progress.

    Returns:
        The record; or, for a run that failed, ``{"failed": reason}``.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        with record_failure(job.folder), lock_folder(job.folder):
            if job.finished:  # by another process, while this one waited
                return RunRecord.read(job.folder / RESULT)
            made_for = {"entry": job.entry, **job.made_for}
            write_atomically(job.folder / JOB, json.dumps(made_for, indent=2, default=str) + "\n")
            result = execute(job, [ProgressReporter(report)], test=job.tested)
            for name in ("last.pth", "previous.pth", FAILURE, f"{SELECTION}/last.pth", f"{SELECTION}/previous.pth"):
                (job.folder / name).unlink(missing_ok=True)
            return result
    except Exception as error:
        return {"failed": explain_failure(error)}


def move_to_cpu(job: Job) -> Job:
    """Return a job that uses no GPU, even if its process sees one."""
    return replace(job, settings={**job.settings, "use_gpu": False})


def process_settings(job: Job, folder: Path) -> dict[str, Any]:
    """Settings of a job's run in a folder. In a fresh process a user's own model is registered first.

    Raises:
        ConfigError: The source of the model is no longer the one that the comparison was started with.
    """
    if job.source and not registry.is_model(job.settings["model"]):
        registry.model_from(job.source)
    known = job.source_sha256
    if job.source and known and registry.source_hash(get_model(job.settings["model"])) != known:
        file = job.source.rpartition(":")[0]
        raise ConfigError(f"{file} has changed since the comparison started; run the command again")
    places = {"run_dir": str(folder), "checkpoint_dir": str(folder)}
    return {**job.settings, **places, "quiet_terminal": True, "show_progress": False}


@contextlib.contextmanager
def record_failure(folder: Path) -> Iterator[None]:
    """Write the reason of an error, and the traceback of an unexpected one, to ``failure.txt`` of a folder."""
    try:
        yield
    except Exception as error:
        with contextlib.suppress(OSError, UserError):  # a folder that cannot be written may be the reason
            trace = "" if isinstance(error, UserError) else f"\n{traceback.format_exc()}"
            write_atomically(folder / FAILURE, f"{explain_failure(error)}\n{trace}")
        raise


def read_failure(folder: Path) -> str:
    """Read why the last attempt at a run failed; empty if it did not."""
    try:
        return (folder / FAILURE).read_text(encoding="utf-8").splitlines()[0]
    except (OSError, ValueError, IndexError):
        return ""


def read_result_files(folder: Path) -> dict[str, bytes]:
    """Read the files of a run that finished on another computer than the one that started it."""
    return {name: (folder / name).read_bytes() for name in (RESULT, RANKS, JOB) if (folder / name).exists()}


def write_result_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files of a finished run that are missing in its folder."""
    for name, content in files.items():
        if not (folder / name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            with checkpoint_io.open_atomically(folder / name) as file:
                file.write(content)
