"""Log of a search's trials: settings, scores and status of each; written whenever a trial begins or ends."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_samrec.utils.errors import DataError
from recbole_samrec.utils.files import write_atomically

FINISHED, STOPPED, FAILED, RUNNING = "finished", "stopped early", "failed", "running"


@dataclass
class TrialRecord:
    """A trial in the log.

    Args:
        drawn: Its values of the searched settings.
        status: ``running``, ``finished``, ``stopped early`` by the scheduler, or ``failed``.
        score: Best validation score so far, the mean over seeds if there are several.
        valid: Validation score of the last epoch.
        epochs: Epochs so far, of its first seed.
        seconds: Time that its training took.
        passes: Gradient passes so far, of all its seeds; None if an earlier version did not record them.
        ended: Seconds from the start of the search to its end.
        reason: Why it failed, if it did; else why it was retried, if it was.
    """

    drawn: dict[str, Any]
    status: str = RUNNING
    score: float | None = None
    valid: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    passes: float | None = None
    ended: float | None = None
    reason: str = ""


@dataclass
class TrialLog:
    """Log of all trials of a search.

    Args:
        file: Its file.
        bigger: True if a larger score is better.
        several: True if trials have several seeds; the score of a trial that was stopped is then not their mean.
        seconds: Time that the search had taken when it was last resumed.
        trials: Records of the trials, by their names.
    """

    file: Path
    bigger: bool = True
    several: bool = False
    seconds: float = 0.0
    trials: dict[str, TrialRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    @classmethod
    def read(cls, file: Path, bigger: bool, several: bool = False) -> TrialLog:
        """Read the log of a search that is resumed; without a file it is empty.

        Raises:
            DataError: The file is damaged.
        """
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            trials = {name: TrialRecord(**entry) for name, entry in stored["trials"].items()}
            return cls(file, bigger, several, stored["seconds"], trials)
        except (FileNotFoundError, NotADirectoryError):
            return cls(file, bigger, several)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file}: it is damaged ({error}); start a new search in another --out") from error

    def write(self) -> None:
        """Write the log to disk."""
        stored = {"seconds": self.now, "trials": {name: asdict(entry) for name, entry in self.trials.items()}}
        write_atomically(self.file, json.dumps(stored, indent=1, default=str) + "\n", folder="--out")

    @property
    def now(self) -> float:
        """Seconds that the search has taken, without the time during which it was stopped."""
        return self.seconds + time.monotonic() - self._began

    @property
    def ended(self) -> dict[str, TrialRecord]:
        """Records of the trials that have ended."""
        return {name: entry for name, entry in self.trials.items() if entry.status != RUNNING}

    @property
    def passes(self) -> float:
        """Known gradient passes of all trials, including running ones."""
        return sum(entry.passes or 0.0 for entry in self.trials.values())

    def is_complete(self, trials: int, passes: float | None = None) -> bool:
        """Return True if all trials of a search have ended.

        Args:
            trials: Largest number of trials.
            passes: Gradient passes after which no trial starts; None if the number of trials alone is the budget.
        """
        used = passes is not None and self.passes >= passes and len(self.ended) == len(self.trials)
        return used or len(self.ended) >= trials

    @property
    def best(self) -> str | None:
        """Name of the best trial that has ended and can be trained again, the first of equal ones."""
        whole = {FINISHED} if self.several else {FINISHED, STOPPED}
        there = [(name, entry) for name, entry in sorted(self.trials.items()) if entry.status in whole]
        scored = [(entry.score, name) for name, entry in there if entry.score is not None and entry.ended is not None]
        if not scored:
            return None
        return (max if self.bigger else min)(scored, key=lambda pair: pair[0])[1]

    def end(self, name: str, status: str, reason: str = "") -> None:
        """Record the end of a trial; :meth:`write` puts it on the disk."""
        entry = self.trials[name]
        entry.status, entry.ended, entry.reason = status, self.now, reason or entry.reason

    def reopen_failed(self) -> int:
        """Let the trials that failed run again, since a full disk may have been the reason; return their number."""
        failed = [entry for entry in self.trials.values() if entry.status == FAILED]
        for entry in failed:
            entry.status, entry.ended = RUNNING, None
        return len(failed)

    def table(self, parameters: Sequence[str]) -> pd.DataFrame:
        """Make a table with one line per trial, in the order of their names; its columns are those of the records."""
        lines = []
        for name, entry in sorted(self.trials.items()):
            known = {"trial": int(name), "status": entry.status, "score": math.nan, **_select_fields(asdict(entry))}
            lines.append(known | {key: entry.drawn.get(key) for key in parameters})
        columns = ["trial", "status", "score", "epochs", "seconds", "passes", "ended", "reason", *parameters]
        return pd.DataFrame(lines, columns=columns).astype({"score": float, "passes": float})


def _select_fields(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in ("drawn", "valid", "status") and value is not None}
