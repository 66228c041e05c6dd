"""Ray Tune, which runs the jobs of ``compare`` and the trials of ``tune``: processes, memory, retries and reports.

Each trial has its own process, so that a crash does not affect other trials, and peak memory is measured per trial.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

os.environ.update({"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"})  # read by Ray's import
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")

from ray import tune
from ray.exceptions import RayTaskError

from recbole_samrec.experiments.ray_cluster import MEGABYTE
from recbole_samrec.experiments.trial_watcher import LOST, RETRIES, TrialWatcher
from recbole_samrec.utils.errors import explain_failure, flatten_message


class RelayCallback(tune.Callback):
    """Passes Ray Tune's events to a watcher.

    Ray Tune writes its callbacks to the disk and restores them with a search, so this one has no state.
    """

    watcher: ClassVar[TrialWatcher] = TrialWatcher()
    error: ClassVar[Exception | None] = None
    """Error of the watcher, which Ray Tune would wrap in another error."""

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Pass on a start."""
        self._pass_on("on_start", trial, dict(trial.config))

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        """Pass on a report."""
        self._pass_on("on_report", trial, result)

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Pass on a retry."""
        self._pass_on("on_retry", trial, _explain(trial))

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Pass on an end."""
        self._pass_on("on_complete", trial)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Pass on a failure."""
        self._pass_on("on_fail", trial, _explain(trial))

    def _pass_on(self, event: str, trial: Any, *more: Any) -> None:
        try:
            getattr(self.watcher, event)(str(trial), *more)
        except Exception as error:
            RelayCallback.error = error
            raise


def _explain(trial: Any) -> str:
    """Explain in one line why an attempt at a trial ended."""
    error = trial.get_pickled_error()
    if not isinstance(error, RayTaskError):
        return LOST
    return explain_failure(error.cause) if error.cause is not None else flatten_message(error)


def allot(function: Callable[..., None], request: Callable[[dict[str, Any]], dict[str, float]], **shared: Any) -> Any:
    """Make a trainable from a function, with the resources of each of its trials.

    Args:
        function: Function of the drawn settings and of the keywords in ``shared``.
        request: Function of the drawn settings that returns a trial's ``CPU``, ``GPU`` and ``memory`` in megabytes.
        shared: Arguments that all trials share through Ray's object store.
    """

    def bundle(drawn: dict[str, Any]) -> tune.PlacementGroupFactory:
        needed = request(drawn)
        return tune.PlacementGroupFactory([{**needed, "memory": int(needed["memory"] * MEGABYTE)}])

    return tune.with_resources(tune.with_parameters(function, **shared), bundle)


def make_tuner(
    trainable: Any,
    space: dict[str, Any],
    state: Path,
    name_trial: Callable[[Any], str],
    *,
    retries: int = RETRIES,
    kept_checkpoints: int | None = 1,
    **config: Any,
) -> tune.Tuner:
    """Make a tuner whose trials are watched.

    Args:
        trainable: See :func:`allot`.
        space: Settings that are drawn.
        state: Folder of Ray Tune's own state.
        name_trial: Function that names a trial of Ray's; the name is also that of the trial's folder.
        retries: Number of further attempts at a trial that dies.
        kept_checkpoints: Number of checkpoints that Ray Tune keeps of a trial; None for all.
        config: Further fields of ``ray.tune.TuneConfig``.
    """
    return tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(trial_name_creator=name_trial, trial_dirname_creator=name_trial, **config),
        run_config=tune.RunConfig(
            name=state.name,
            storage_path=str(state.parent),
            failure_config=tune.FailureConfig(max_failures=retries),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=kept_checkpoints),
            callbacks=[RelayCallback()],
            progress_reporter=tune.CLIReporter(),  # prints nothing; the one for notebooks clears what a cell has shown
            verbose=0,
        ),
    )


def fit(tuner: tune.Tuner, watcher: TrialWatcher) -> None:
    """Run the trials of a tuner; Ctrl-C ends them and returns."""
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # the watcher reports failures of trials in one line
    RelayCallback.watcher, RelayCallback.error = watcher, None
    try:
        with _keep_signal_handlers(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"ray\.")
            tuner.fit()
    except tune.TuneError:
        if RelayCallback.error is not None:
            raise RelayCallback.error from None
        raise
    finally:
        RelayCallback.watcher = TrialWatcher()


@contextlib.contextmanager
def _keep_signal_handlers() -> Iterator[None]:
    """Restore the handlers of signals after the block: Ray Tune's stays, and the next Ctrl-C would do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGUSR1") if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # not a handler of Python
                signal.signal(number, handler)
