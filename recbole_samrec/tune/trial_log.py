"""How far a search is: what each trial has drawn and come to; written whenever one begins or ends."""

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
class Entry:
    """What is known of a trial.

    Args:
        drawn: Its values of the searched settings.
        status: ``running``, ``finished``, ``stopped early`` by the scheduler, or ``failed``.
        score: Best validation score so far, the mean over seeds if there are several.
        valid: Validation score of the last epoch.
        epochs: Epochs so far, of its first seed.
        seconds: Time that its training took.
        ended: Seconds from the start of the search to its end.
        reason: Why it failed, if it did; else why it died and was tried again, if it was.
    """

    drawn: dict[str, Any]
    status: str = RUNNING
    score: float | None = None
    valid: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    ended: float | None = None
    reason: str = ""


@dataclass
class Journal:
    """What is known of all trials.

    Args:
        file: Where it lies.
        bigger: Whether a larger score is better.
        several: Whether a trial has several seeds; the score of one that was stopped is then no mean of them.
        seconds: How long the search had taken when it was last taken up.
        trials: What is known of each, by its name.
    """

    file: Path
    bigger: bool = True
    several: bool = False
    seconds: float = 0.0
    trials: dict[str, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin to count the time."""
        self._began = time.monotonic()

    @classmethod
    def read(cls, file: Path, bigger: bool, several: bool = False) -> Journal:
        """The journal of a search that goes on, or an empty one.

        Raises:
            DataError: The file is damaged.
        """
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            trials = {name: Entry(**entry) for name, entry in stored["trials"].items()}
            return cls(file, bigger, several, stored["seconds"], trials)
        except (FileNotFoundError, NotADirectoryError):
            return cls(file, bigger, several)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file}: it is damaged ({error}); start the search anew in another --out") from error

    def write(self) -> None:
        """Put it on the disk."""
        stored = {"seconds": self.now, "trials": {name: asdict(entry) for name, entry in self.trials.items()}}
        write_atomically(self.file, json.dumps(stored, indent=1, default=str) + "\n")

    @property
    def now(self) -> float:
        """Seconds that the search has taken, without the time in which it was stopped."""
        return self.seconds + time.monotonic() - self._began

    @property
    def ended(self) -> dict[str, Entry]:
        """The trials that have ended."""
        return {name: entry for name, entry in self.trials.items() if entry.status != RUNNING}

    @property
    def best(self) -> str | None:
        """The name of the best trial that has ended and can be trained again, the first of equal ones."""
        whole = {FINISHED} if self.several else {FINISHED, STOPPED}
        there = [(name, entry) for name, entry in sorted(self.trials.items()) if entry.status in whole]
        scored = [(entry.score, name) for name, entry in there if entry.score is not None and entry.ended is not None]
        if not scored:
            return None
        return (max if self.bigger else min)(scored, key=lambda pair: pair[0])[1]

    def end(self, name: str, status: str, reason: str = "") -> None:
        """Note how a trial ended."""
        entry = self.trials[name]
        entry.status, entry.ended, entry.reason = status, self.now, reason or entry.reason
        self.write()

    def table(self, parameters: Sequence[str]) -> pd.DataFrame:
        """One line a trial, in the order in which they began; see :class:`Entry` for the columns."""
        lines = []
        for name, entry in sorted(self.trials.items()):
            known = {"trial": int(name), "status": entry.status, "score": math.nan, **_but(asdict(entry))}
            lines.append(known | {key: entry.drawn.get(key) for key in parameters})
        columns = ["trial", "status", "score", "epochs", "seconds", "ended", "reason", *parameters]
        return pd.DataFrame(lines, columns=columns).astype({"score": float})


def _but(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in ("drawn", "valid", "status") and value is not None}
