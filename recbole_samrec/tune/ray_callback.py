"""What Ray Tune tells of its trials, passed on to the process that watches them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Protocol

from ray.tune import Callback


class Watcher(Protocol):
    """Is told of the trials of a search, each with its name."""

    def started(self, name: str, drawn: dict[str, Any]) -> None:
        """A trial begins, or begins again."""

    def reported(self, name: str, result: dict[str, Any]) -> None:
        """A trial has been validated."""

    def again(self, name: str) -> None:
        """A trial has died and is tried again."""

    def completed(self, name: str) -> None:
        """A trial has come to its end, or was stopped by the scheduler."""

    def failed(self, name: str, error: str) -> None:
        """A trial has died for good."""


class Relay(Callback):
    """Passes on what Ray Tune tells.

    Ray Tune writes its callbacks to the disk and takes them up again with the search, so this one holds nothing.
    """

    watcher: ClassVar[Watcher | None] = None

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Pass it on."""
        self._tell("started", trial, dict(trial.config))

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        """Pass it on."""
        self._tell("reported", trial, result)

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Pass it on."""
        self._tell("again", trial)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Pass it on."""
        self._tell("completed", trial)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Pass it on."""
        try:
            error = Path(trial.error_file).read_text(encoding="utf-8")
        except (OSError, TypeError):
            error = ""
        self._tell("failed", trial, error)

    def _tell(self, event: str, trial: Any, *more: Any) -> None:
        if self.watcher is not None:
            getattr(self.watcher, event)(str(trial), *more)
