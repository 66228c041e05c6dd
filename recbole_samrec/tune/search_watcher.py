"""Follows the trials of a search: writes them to its log and shows their progress."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console

from recbole_samrec.experiments.estimate import seconds_left
from recbole_samrec.experiments.progress import Display
from recbole_samrec.experiments.trial_watcher import TrialWatcher
from recbole_samrec.experiments.worker import read_failure
from recbole_samrec.tune.ray_state import copy_state
from recbole_samrec.tune.search_spec import RAY, TRIALS, SearchSpec
from recbole_samrec.tune.trial_log import FAILED, FINISHED, STOPPED, TrialLog, TrialRecord
from recbole_samrec.utils.durations import format_duration


class SearchWatcher(TrialWatcher):
    """Writes the trials of a search to its log and shows their progress.

    Args:
        search: The search.
        log: Its log.
        console: Where progress is shown.
        parallel: Number of trials at once.
    """

    def __init__(self, search: SearchSpec, log: TrialLog, console: Console, parallel: int) -> None:
        self._search, self._log, self._parallel = search, log, parallel
        passes = search.strategy.passes
        total, unit = (search.trials, "") if passes is None else (math.ceil(passes), "gradient passes")
        self._display = Display(console, f"trials of {search.title}", total, self._seconds_left, unit)

    def __enter__(self) -> SearchWatcher:
        """Begin to show progress."""
        self._display.__enter__()
        self._display.show_all(self._done, self._describe_best())
        return self

    def __exit__(self, *error: object) -> None:
        """Stop showing progress."""
        self._display.__exit__(*error)

    @property
    def _done(self) -> int:
        """Used part of the budget: trials that have ended, or gradient passes."""
        return len(self._log.ended) if self._search.strategy.passes is None else int(self._log.passes)

    @property
    def has_reports(self) -> bool:
        """True if a trial has finished an epoch."""
        return any(record.epochs for record in self._log.trials.values())

    def on_start(self, name: str, drawn: dict[str, Any]) -> None:
        """Record a trial that begins."""
        record = self._find(name)
        record.drawn = self._search.space.complete(drawn)
        self._write()
        self._show(name, record)

    def on_report(self, name: str, result: dict[str, Any]) -> None:
        """Record a validation."""
        record = self._find(name)
        if "score" not in result:
            return
        record.drawn = self._search.space.complete(result.get("config") or record.drawn)
        record.score, record.valid = float(result["score"]), float(result["valid"])
        record.epochs, record.seconds = int(result["epoch"]), float(result["seconds"])
        record.passes = result.get("passes")
        if result.get("finished"):
            record.status = FINISHED
        self._show(name, record)

    def on_retry(self, name: str, reason: str) -> None:
        """Record a trial that is retried."""
        reason = self._read_failure(name) or reason
        self._find(name).reason = f"retried: {reason}"
        self._write()
        self._display.print(f"trial {name}: {reason}; retrying from its last checkpoint")

    def on_complete(self, name: str) -> None:
        """Record a trial that ended, by itself or by the scheduler."""
        self._log.end(name, FINISHED if self._find(name).status == FINISHED else STOPPED)
        self._write()
        self._end(name)

    def on_fail(self, name: str, reason: str) -> None:
        """Record a trial whose last attempt failed."""
        self._find(name)
        self._log.end(name, FAILED, self._read_failure(name) or reason)
        self._write()
        self._end(name)

    def _write(self) -> None:
        """Write the log, and copy Ray Tune's state."""
        self._log.write()
        copy_state(self._search.out / RAY)

    def _find(self, name: str) -> TrialRecord:
        return self._log.trials.setdefault(name, TrialRecord({}))

    def _read_failure(self, name: str) -> str:
        return read_failure(self._search.out / TRIALS / name)

    def _show(self, name: str, record: TrialRecord) -> None:
        score = "" if record.score is None else f"  best {record.score:.4f}"
        words = f"epoch {record.epochs} of at most {self._search.epochs}{score}"
        title = f"trial {name}  {format_drawn(record.drawn)}"
        self._display.show(name, title, record.epochs / max(self._search.epochs, 1), words)
        self._display.show_all(self._done, self._describe_best())

    def _end(self, name: str) -> None:
        record, ended = self._log.trials[name], self._done
        if record.status == FAILED:
            return self._display.end(name, ended, f"trial {name} failed: {record.reason}")
        stopped = f", {record.status}" if record.status == STOPPED else ""
        line = f"trial {name}: {format_drawn(record.drawn)}: {self._search.metric} {record.score or 0:.4f}"
        line += f" ({record.epochs} epochs, {format_duration(record.seconds)}{stopped})"
        self._display.end(name, ended, ", ".join(filter(None, (line, self._describe_best()))))

    def _describe_best(self) -> str:
        best = self._log.best
        return f"best {self._log.trials[best].score:.4f} (trial {best})" if best else ""

    def _seconds_left(self) -> float:
        """Seconds left, if the trials that have not ended take as long as those that have; 0 if none has."""
        records = self._log.trials.values()
        lengths = [record.seconds for record in self._log.ended.values() if record.status != FAILED]
        if not lengths:
            return 0.0
        mean = sum(lengths) / len(lengths)
        running = [max(mean - record.seconds, 0.05 * mean) for record in records if record.ended is None]
        return seconds_left([*running, *[mean] * self._count_waiting(len(running))], self._parallel)

    def _count_waiting(self, running: int) -> int:
        """Count the trials that have not begun; for a budget in passes, as many as it allows at the mean so far."""
        left = self._search.trials - len(self._log.ended) - running
        if (passes := self._search.strategy.passes) is not None:
            known = [record.passes for record in self._log.ended.values() if record.passes]
            mean = sum(known) / len(known) if known else passes
            left = min(left, math.ceil((passes - sum(known)) / mean) - running)
        return max(left, 0)


def format_drawn(drawn: dict[str, Any]) -> str:
    """Format drawn settings as a short line: ``learning_rate=0.00123 n_layers=2``."""
    return " ".join(f"{key}={f'{v:.3g}' if isinstance(v, float) else v}" for key, v in drawn.items())
