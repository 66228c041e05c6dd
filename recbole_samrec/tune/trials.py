"""One trial of a search: a run with settings that Ray Tune drew, which reports every validation."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_samrec.experiments.jobs import Job
from recbole_samrec.experiments.worker import FAILURE, execute, prepare_process, record_failure
from recbole_samrec.quick_start.record import field_name
from recbole_samrec.trainer.callbacks import Callback, best_score
from recbole_samrec.trainer.resume import add_known
from recbole_samrec.tune.shared_data import make_reader
from recbole_samrec.tune.spaces import Space
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError
from recbole_samrec.utils.files import write_atomically

STATE = "trial.json"
"""File with the scores of the seeds of a trial that are finished."""
CARRIED = ("last.pth", "best.pth", STATE)
"""Files from which a trial is resumed on another computer, or from which another trial continues."""


@dataclass(frozen=True)
class TrialTask:
    """The settings and data that all trials of a search share.

    Args:
        entry: Name of the entry of ``compare`` that is searched.
        settings: All settings but those that are searched, the seed and the folders.
        space: Settings that are searched; None to take everything as it is drawn.
        seeds: Seeds with which each trial is trained, one after the other.
        sha256: Hash of the interactions.
        folder: Folder of the trials, on a disk that all computers share; None for Ray Tune's own working folders.
        start: Folder to which paths in the settings are relative.
        source: ``file.py:Name`` of a user's own model.
        threads: Threads of each trial.
    """

    entry: str
    settings: Mapping[str, Any]
    space: Space | None
    seeds: tuple[int, ...]
    sha256: str
    folder: Path | None = None
    start: Path | None = None
    source: str | None = None
    threads: int = 1

    def make_job(self, drawn: Mapping[str, Any], seed: int, folder: Path) -> Job:
        """Make the job of a trial with a seed."""
        searched = dict(drawn) if self.space is None else self.space.complete(drawn)
        settings = {**self.settings, **searched, "seed": seed}
        if self.folder is not None:
            settings["pretrained_dir"] = str(self.folder.parent / "pretrained")  # equal values are made once
        fraction = float(settings.get("train_fraction", 1))
        return Job(self.entry, settings["dataset"], seed, fraction, settings, self.sha256, folder, self.source)

    def seed_folder(self, trial: Path, seed: int) -> Path:
        """Folder of a seed's run in a trial's folder."""
        return trial if len(self.seeds) == 1 else trial / str(seed)


class TrialState:
    """State of a trial: the scores and the gradient passes of its finished seeds; stored in its folder.

    Args:
        trial: Ray Tune's name of the trial.
        folder: Its folder.
    """

    def __init__(self, trial: str, folder: Path) -> None:
        self.trial, self.file = trial, folder / STATE
        self.finished: dict[str, float] = {}
        self.epochs, self.seconds = 0, 0.0
        self.passes: float | None = 0.0
        with suppress(OSError, ValueError, KeyError, TypeError):
            stored = json.loads(self.file.read_text(encoding="utf-8"))
            self.finished = dict(stored["finished"])
            self.epochs, self.seconds = stored["epochs"], stored["seconds"]
            self.passes = stored.get("passes")

    def write(self) -> None:
        """Write the state to disk."""
        stored = {key: getattr(self, key) for key in ("trial", "finished", "epochs", "seconds", "passes")}
        write_atomically(self.file, json.dumps(stored) + "\n")


class ValidationReporter(Callback):
    """Reports every validation to Ray Tune, once the state after it is saved.

    Args:
        report: Function of metrics and of files to keep with them.
        state: State of the trial.
        folder: Folder of the run.
    """

    def __init__(self, report: Callable[[dict[str, Any], list[Path]], None], state: TrialState, folder: Path) -> None:
        self._report, self._state, self._folder, self._best = report, state, folder, 0.0
        self._metrics: dict[str, Any] | None = None
        self._began = time.monotonic()

    def on_train_start(self, trainer: Any) -> None:
        """Store the best score of a resumed run, and start the clock."""
        self._best, self._began = best_score(trainer), time.monotonic()

    def on_validation_end(self, trainer: Any, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Keep the metrics until the state is saved."""
        self._best = score if best else self._best
        self._metrics = {"valid": score, "epoch": epoch + 1, "score": self._best}

    def on_save_checkpoint(self, trainer: Any, epoch: int) -> None:
        """Report the metrics; if the trial is stopped now, its state is on the disk."""
        metrics, self._metrics = self._metrics, None
        if metrics is None:
            return
        now, state = time.monotonic(), self._state
        state.seconds, self._began = state.seconds + now - self._began, now
        if state.finished:  # further seeds count when they are done, and schedulers look at the first
            metrics |= {"score": statistics.mean(state.finished.values()), "epoch": state.epochs}
        else:
            state.epochs = metrics["epoch"]
        state.write()
        files = [self._folder / name for name in ("last.pth", "best.pth")]
        passes = add_known([state.passes, trainer.gradient_passes])
        self._report(metrics | {"seconds": state.seconds, "passes": passes}, [*files, state.file])


def run_trial(drawn: Mapping[str, Any], task: TrialTask, data: bytes | None = None) -> None:
    """Train a trial, or resume it, and report to Ray Tune.

    Each report has ``score``, the best validation score so far (the mean of the finished seeds, if there are several),
    ``valid``, that of this epoch, ``epoch``, ``seconds`` and ``passes``, the gradient passes so far of all its seeds;
    the last one has ``finished``.

    Args:
        drawn: Settings that Ray Tune drew for the trial.
        task: What all trials share.
        data: The data set as :func:`recbole_samrec.tune.shared_data.pack` made it, if all trials read it alike.

    Raises:
        UserError: The settings cannot be combined, or training failed.
    """
    from ray import tune

    prepare_process(task.start or Path.cwd(), task.threads)
    context = tune.get_context()
    name = context.get_trial_name()
    own = Path(context.get_trial_dir(), "run")  # next to Ray Tune's files
    folder = own if task.folder is None else task.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILURE).unlink(missing_ok=True)  # of an earlier attempt
    with record_failure(folder):
        _restore(tune.get_checkpoint(), folder, name, task)
        state = TrialState(name, folder)
        for seed in task.seeds:
            if str(seed) not in state.finished:
                _train_seed(task.make_job(drawn, seed, task.seed_folder(folder, seed)), state, data)
        score = statistics.mean(state.finished.values())
        spent = {"epoch": state.epochs, "seconds": state.seconds, "passes": state.passes}
        tune.report({"score": score, "valid": score, **spent, "finished": True})


def _train_seed(job: Job, state: TrialState, data: bytes | None) -> None:
    """Train with one seed, or resume it."""
    job.folder.mkdir(parents=True, exist_ok=True)
    more = {} if data is None else {"read": make_reader(data)}
    callbacks = [ValidationReporter(_report_with_files, state, job.folder)]
    result = execute(job, callbacks, test=False, **more)
    state.finished[str(job.seed)] = result["valid"][field_name(str(result["config"]["valid_metric"]))]
    state.passes = add_known([state.passes, result.get("gradient_passes")])
    if len(state.finished) == 1:
        state.epochs = result["epochs_run"]
    state.write()


def _report_with_files(metrics: dict[str, Any], files: list[Path]) -> None:
    """Report to Ray Tune, which copies the files."""
    from ray import tune

    with tempfile.TemporaryDirectory(prefix="recbole-samrec-") as place:
        for file in files:
            if file.exists():
                shutil.copy2(file, place)
        tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(place))


def _restore(kept: Any, folder: Path, name: str, task: TrialTask) -> None:
    """Copy the checkpoint that Ray Tune kept into a trial's folder, unless the folder has a later one.

    Another trial's checkpoint is the one from which population based training continues; it always replaces the
    trial's own.
    """
    if kept is None:
        return
    with kept.as_directory() as place:
        place = Path(place)
        try:
            theirs = json.loads((place / STATE).read_text(encoding="utf-8"))
            other, _ = theirs["trial"] != name, theirs["finished"]
        except (OSError, ValueError, LookupError, TypeError):
            return  # a damaged one; the trial's own folder has what it needs
        at = task.seed_folder(folder, task.seeds[len(theirs["finished"])])
        if not other and _read_epoch(at) >= _read_epoch(place):
            return
        at.mkdir(parents=True, exist_ok=True)
        (at / "previous.pth").unlink(missing_ok=True)
        for file in CARRIED:
            if (place / file).exists():
                shutil.copy2(place / file, (folder if file == STATE else at) / file)


def _read_epoch(folder: Path) -> int:
    """Read the epoch of a folder's newest checkpoint, or -1."""
    try:
        return int(checkpoint_io.load(folder / "last.pth")["epoch"])
    except (CheckpointError, KeyError):
        return -1
