"""One trial of a search: a run with settings that Ray Tune has drawn, which reports every validation."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_samrec.config.build import configure
from recbole_samrec.experiments.worker import FAILURE, reason_of
from recbole_samrec.integration import registry
from recbole_samrec.quick_start import run_folder, train
from recbole_samrec.quick_start.record import field_name
from recbole_samrec.trainer.callbacks import Callback, best_score
from recbole_samrec.tune.shared_data import reader
from recbole_samrec.tune.spaces import Space
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError, UserError
from recbole_samrec.utils.files import write_atomically

STATE = "trial.json"
"""Which seeds of a trial are finished, and what they came to."""
CARRIED = ("last.pth", "best.pth", STATE)
"""What a trial goes on from on another computer, or what another trial takes over."""


@dataclass(frozen=True)
class Task:
    """What all trials of a search have in common.

    Args:
        settings: All settings but those that are searched, the seed and the folders.
        space: What is searched; None to take everything as it is drawn.
        seeds: Each trial is trained with all of them, one after the other.
        sha256: Hash of the interactions.
        folder: Folder of the trials, on a disk that all computers share; None for Ray Tune's own working folders.
        start: Folder in which paths of the settings mean what they say.
        source: ``file.py:Name`` of a model of the user's own.
        threads: Threads of each trial.
    """

    settings: Mapping[str, Any]
    space: Space | None
    seeds: tuple[int, ...]
    sha256: str
    folder: Path | None = None
    start: Path | None = None
    source: str | None = None
    threads: int = 1

    def settings_of(self, drawn: Mapping[str, Any], seed: int, folder: Path) -> dict[str, Any]:
        """All settings of a trial's run with a seed."""
        places = {"run_dir": str(folder), "checkpoint_dir": str(folder)}
        if self.folder is not None:
            places["pretrained_dir"] = str(self.folder.parent / "pretrained")  # equal ones are made once
        quiet = {"quiet_terminal": True, "show_progress": False, "seed": seed}
        searched = dict(drawn) if self.space is None else self.space.complete(drawn)
        return {**self.settings, **searched, **places, **quiet}

    def folder_of(self, trial: Path, seed: int) -> Path:
        """Where a seed's run lies in a trial's folder."""
        return trial if len(self.seeds) == 1 else trial / str(seed)


class Progress:
    """What a trial has come to; lies in its folder.

    Args:
        trial: Ray Tune's name of the trial.
        folder: Its folder.
    """

    def __init__(self, trial: str, folder: Path) -> None:
        self.trial, self._file = trial, folder / STATE
        self.finished: dict[str, float] = {}
        self.epochs, self.seconds = 0, 0.0
        with suppress(OSError, ValueError, KeyError):
            stored = json.loads(self._file.read_text(encoding="utf-8"))
            self.finished = dict(stored["finished"])
            self.epochs, self.seconds = stored["epochs"], stored["seconds"]

    def write(self) -> None:
        """Put it on the disk."""
        stored = {key: getattr(self, key) for key in ("trial", "finished", "epochs", "seconds")}
        write_atomically(self._file, json.dumps(stored) + "\n")


class Reports(Callback):
    """Tells Ray Tune of every validation, once the state after it is saved.

    Args:
        tell: Takes metrics and files to keep with them.
        progress: Of the trial.
        folder: Folder of the run.
    """

    def __init__(self, tell: Callable[[dict[str, Any], list[Path]], None], progress: Progress, folder: Path) -> None:
        self._tell, self._progress, self._folder, self._best = tell, progress, folder, 0.0
        self._news: dict[str, Any] | None = None
        self._began = time.monotonic()

    def on_train_start(self, trainer: Any) -> None:
        """Store the best score of a resumed run, and start the clock."""
        self._best, self._began = best_score(trainer), time.monotonic()

    def on_validation_end(self, trainer: Any, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """Keep what is to be told."""
        self._best = score if best else self._best
        self._news = {"valid": score, "epoch": epoch + 1, "score": self._best}

    def on_save_checkpoint(self, trainer: Any, epoch: int) -> None:
        """Tell it: whoever stops the trial now finds its state on the disk."""
        news, self._news = self._news, None
        if news is None:
            return
        now, progress = time.monotonic(), self._progress
        progress.seconds, self._began = progress.seconds + now - self._began, now
        if progress.finished:  # further seeds count when they are done, and schedulers look at the first
            news |= {"score": statistics.mean(progress.finished.values()), "epoch": progress.epochs}
        else:
            progress.epochs = news["epoch"]
        progress.write()
        files = [self._folder / name for name in ("last.pth", "best.pth")]
        self._tell(news | {"seconds": progress.seconds}, [*files, progress._file])


def carry_out(drawn: Mapping[str, Any], task: Task, data: bytes | None = None) -> None:
    """Train a trial, or go on with it, and report to Ray Tune.

    Each report has ``score``, the best validation score so far (the mean of the seeds that are finished, if there are
    several), ``valid``, that of this epoch, ``epoch`` and ``seconds``; the last one has ``finished``.

    Args:
        drawn: What Ray Tune has drawn for the trial.
        task: What all trials share.
        data: What :func:`recbole_samrec.tune.shared_data.pack` made of the data set, if all trials read it alike.

    Raises:
        UserError: The settings do not go together, or training failed for good.
    """
    import torch
    from ray import tune

    torch.set_num_threads(task.threads)
    if task.start is not None and task.start.is_dir():
        os.chdir(task.start)
    if task.source and not registry.is_model(task.settings["model"]):
        registry.model_from(task.source)
    context = tune.get_context()
    name = context.get_trial_name()
    own = Path(context.get_trial_dir(), "run")  # beside Ray Tune's files
    folder = own if task.folder is None else task.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILURE).unlink(missing_ok=True)  # it speaks of an attempt before
    try:
        _take_up(tune.get_checkpoint(), folder, name, task)
        progress = Progress(name, folder)
        for seed in task.seeds:
            if str(seed) not in progress.finished:
                _train(drawn, task, seed, folder, progress, data)
        score = statistics.mean(progress.finished.values())
        end = {"score": score, "valid": score, "epoch": progress.epochs, "seconds": progress.seconds, "finished": True}
        tune.report(end)
    except Exception as error:
        with suppress(OSError, UserError):
            write_atomically(folder / FAILURE, f"{reason_of(error)}\n")
        raise


def _train(
    drawn: Mapping[str, Any],
    task: Task,
    seed: int,
    trial: Path,
    progress: Progress,
    data: bytes | None,
) -> None:
    """Train with one seed, from where it was."""
    folder = task.folder_of(trial, seed)
    folder.mkdir(parents=True, exist_ok=True)
    config = configure(task.settings_of(drawn, seed, folder), {})
    resume = run_folder.checkpoint_if_any(folder)

    more = {} if data is None else {"read": reader(data)}
    result = train.train(config, resume, [Reports(_tell, progress, folder)], task.sha256, test=False, **more)
    progress.finished[str(seed)] = result["valid"][field_name(str(config["valid_metric"]))]
    if len(progress.finished) == 1:
        progress.epochs = result["epochs_run"]
    progress.write()


def _tell(news: dict[str, Any], files: list[Path]) -> None:
    """Report to Ray Tune, which copies the files."""
    from ray import tune

    with tempfile.TemporaryDirectory(prefix="recbole-samrec-") as place:
        for file in files:
            if file.exists():
                shutil.copy2(file, place)
        tune.report(news, checkpoint=tune.Checkpoint.from_directory(place))


def _take_up(kept: Any, folder: Path, name: str, task: Task) -> None:
    """Put what Ray Tune kept into a trial's folder, where that has not got further by itself.

    Another trial's state is what population based training lets this one go on from; it replaces what was there.
    """
    if kept is None:
        return
    with kept.as_directory() as place:
        place = Path(place)
        theirs = json.loads((place / STATE).read_text(encoding="utf-8"))
        other = theirs["trial"] != name
        at = task.folder_of(folder, task.seeds[len(theirs["finished"])])
        if not other and _epoch(at) >= _epoch(place):
            return
        at.mkdir(parents=True, exist_ok=True)
        (at / "previous.pth").unlink(missing_ok=True)
        for file in CARRIED:
            if (place / file).exists():
                shutil.copy2(place / file, (folder if file == STATE else at) / file)


def _epoch(folder: Path) -> int:
    """The epoch of a folder's newest state, or -1."""
    try:
        return int(checkpoint_io.load(folder / "last.pth")["epoch"])
    except (CheckpointError, KeyError):
        return -1
