"""One run of a comparison in a process of its own: trained from where it stopped, or probed for what it will cost."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock, Timeout
from recbole.utils import get_model

from recbole_samrec.config.build import configure
from recbole_samrec.evaluator.test_ranks import RANKS
from recbole_samrec.experiments.jobs import JOB, Job
from recbole_samrec.integration import registry
from recbole_samrec.quick_start import run_folder, train
from recbole_samrec.quick_start.environment import peak_memory_mb
from recbole_samrec.quick_start.record import RESULT, RunRecord
from recbole_samrec.trainer.callbacks import PRETRAINING, Callback, best_score, planned_epochs
from recbole_samrec.utils.errors import ConfigError, UserError, in_one_line
from recbole_samrec.utils.files import write_atomically

FAILURE = "failure.txt"
"""Why the last attempt at a run failed."""
LOCK = ".lock"
PROBED_SECONDS = 4.0
"""How long the steps of a probe are watched; and never fewer than two steps, of which the first is not counted."""


@dataclass(frozen=True)
class Cost:
    """What an epoch of a row takes.

    Args:
        seconds_per_epoch: Measured, or estimated from some steps.
        epochs: The most epochs that a run may take.
        memory_mb: The most memory that the process had.
        gpu_share: The most memory that it had of a GPU, as a share of the GPU's.
        pretrain_epochs: Epochs of pre-training, which come before.
        pretrain_seconds: What each of them takes.
    """

    seconds_per_epoch: float
    epochs: int
    memory_mb: float
    gpu_share: float = 0.0
    pretrain_epochs: int = 0
    pretrain_seconds: float = 0.0

    def seconds_until(self, epochs: float) -> float:
        """Seconds from the start of a run, with its pre-training, until so many of its epochs are done."""
        return self.pretrain_epochs * self.pretrain_seconds + epochs * self.seconds_per_epoch


class Report(NamedTuple):
    """How far a run is.

    Args:
        pretrains: Whether it is in its pre-training, whose epochs are then those that are counted.
        done: Epochs done, as a number with a fraction.
        epochs: The most there may be.
        best: Best score so far.
    """

    pretrains: bool
    done: float
    epochs: int
    best: float


class Reporter(Callback):
    """Reports how far a run is, at most once a second.

    Args:
        report: Function that is called with each report.
    """

    def __init__(self, report: Callable[[Report], None]) -> None:
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
        if time.monotonic() - self._last > 1:
            self._tell(epoch + min(1.0, step / self._steps))

    def on_validation_end(self, trainer: Any, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Report the score of an epoch."""
        if best:
            self._best = score
        self._tell(epoch + 1)

    def _tell(self, done: float) -> None:
        self._last = time.monotonic()
        self._report(Report(self._pretrains, done, self._epochs, self._best))


def carry_out(job: Job, threads: int, report: Callable[[Report], None]) -> Mapping[str, Any]:
    """Train a run of a comparison, or go on with it, and leave its record in its folder.

    Args:
        job: The run.
        threads: Threads of this process.
        report: Is told how far it is, at most once a second.

    Returns:
        The record; or, for a run that failed, ``{"failed": reason}``.
    """
    torch.set_num_threads(threads)
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(job.folder):
            made_for = {"row": job.row, **job.made_for}
            write_atomically(job.folder / JOB, json.dumps(made_for, indent=2, default=str) + "\n")
            result = _train(job, report)
            for name in ("last.pth", "previous.pth", FAILURE):
                (job.folder / name).unlink(missing_ok=True)
            return result
    except Exception as error:
        reason = reason_of(error)
        with contextlib.suppress(OSError, UserError):
            words = "" if isinstance(error, UserError) else f"\n{traceback.format_exc()}"
            write_atomically(job.folder / FAILURE, f"{reason}\n{words}")
        return {"failed": reason}


def reason_of(error: Exception) -> str:
    """Why a run failed, in one line."""
    reason = in_one_line(error)
    return reason if isinstance(error, UserError) else f"unexpected {type(error).__name__}: {reason}"


def _train(job: Job, report: Callable[[Report], None]) -> RunRecord:
    if job.finished:  # by another process, while this one waited
        return RunRecord.read(job.folder / RESULT)
    resume = run_folder.checkpoint_if_any(job.folder)
    config = configure(_settings(job, job.folder), {})
    return train.train(config, resume, [Reporter(report)], job.sha256)


def _settings(job: Job, folder: Path) -> dict[str, Any]:
    """A run's settings with its folder; in a fresh process a model of the user's own is made known first.

    Raises:
        ConfigError: Its source is no longer the one that the comparison was started with.
    """
    if job.source and not registry.is_model(job.settings["model"]):
        registry.model_from(job.source)
    if job.source and registry.source_hash(get_model(job.settings["model"])) != job.source_sha256:
        file = job.source.rpartition(":")[0]
        raise ConfigError(f"{file} has changed since the comparison was started; give the same command again")
    places = {"run_dir": str(folder), "checkpoint_dir": str(folder)}
    return {**job.settings, **places, "quiet_terminal": True, "show_progress": False}


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from the folder of a run or a search.

    Raises:
        UserError: Another one is at it.
    """
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"{folder}: another process is at work there; wait for it, or stop it") from error


# Probes -------------------------------------------------------------------------------------------------------------


class _EnoughSeen(BaseException):
    """Ends a probe; no handler of RecBole's or ours takes it for an error."""


class _Watch(Callback):
    """Times steps of the first stage that has any, and ends the run when some have been seen."""

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
        """The mean over all steps but the first, which has things to set up."""
        return self._seconds / max(self.seen - 1, 1)


def probe(job: Job, threads: int) -> dict[str, Any]:
    """Estimate what an epoch of a run takes, from some steps whose results are thrown away.

    Args:
        job: A run of the row.
        threads: Threads of this process.

    Returns:
        The fields of :class:`Cost`; or ``{"failed": reason}``.
    """
    torch.set_num_threads(threads)
    try:
        first, seconds, device = _begin(job)
        if not first.pretrain_epochs:
            return asdict(Cost(seconds, first.epochs, *_memory(device)))
        last, of_last, device = _begin(job, pretrain=False)
        return asdict(Cost(of_last, last.epochs, *_memory(device), first.pretrain_epochs, seconds))
    except Exception as error:
        return {"failed": in_one_line(error)}


def _begin(job: Job, pretrain: bool = True) -> tuple[_Watch, float, torch.device]:
    """Begin a run and throw it away.

    Args:
        job: The run.
        pretrain: Pre-train first, if it does; its fine-tuning then begins only in another call.

    Returns:
        What was seen, what an epoch of it takes, and where it ran.
    """
    watch = _Watch(PROBED_SECONDS)

    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="recbole-samrec-") as folder:
        pretrained = {"pretrained_dir": folder} if "pretrained_dir" in job.settings else {}
        config = configure(_settings(job, Path(folder)) | pretrained | {"state": "critical"}, {})
        if not pretrain:
            config["pretrain_epochs"] = 0  # which a user may not give
        with contextlib.suppress(_EnoughSeen):
            train.train(config, None, [watch], job.sha256)
    whole = time.perf_counter() - started
    seconds = watch.seconds_per_step * watch.steps if watch.seen > 1 else whole
    return watch, seconds, config["device"]


def _memory(device: torch.device) -> tuple[float, float]:
    """The most memory of this process in megabytes, and its share of the GPU's."""
    share = 0.0
    if device.type == "cuda":
        share = torch.cuda.max_memory_reserved(device) / torch.cuda.get_device_properties(device).total_memory
    return peak_memory_mb(torch.device("cpu")), share


def result_files(folder: Path) -> dict[str, bytes]:
    """What the computer that the comparison was started on needs of a run on another one."""
    return {name: (folder / name).read_bytes() for name in (RESULT, RANKS, JOB) if (folder / name).exists()}
