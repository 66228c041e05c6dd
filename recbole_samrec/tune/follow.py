"""What a user sees of a search: a live table on a terminal, a line for each trial that ended elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from recbole_samrec.experiments.progress import spoken
from recbole_samrec.experiments.ray_cluster import LOST
from recbole_samrec.experiments.worker import FAILURE
from recbole_samrec.tune.search_spec import TRIALS, Search
from recbole_samrec.tune.trial_log import FAILED, FINISHED, STOPPED, Entry, Journal

REDRAWN_SECONDS = 0.5
SHOWN_ENDED = 8
"""Ended trials that the live table has room for."""
GONE = "its process was lost, with its computer or for want of memory"


class Follower:
    """Writes down what the trials report, and shows it.

    Args:
        search: The search.
        journal: Where it is written down.
        console: Where it is shown.
        parallel: Trials at once.
    """

    def __init__(self, search: Search, journal: Journal, console: Console, parallel: int) -> None:
        self._search, self._journal, self._console, self._parallel = search, journal, console, parallel
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._drawn = 0.0

    def __enter__(self) -> Follower:
        """Begin to draw."""
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the terminal as it is."""
        if self._live:
            self._live.stop()

    # What Ray Tune tells ---------------------------------------------------------------------------------------------

    def started(self, name: str, drawn: dict[str, Any]) -> None:
        """Note a trial that begins."""
        entry = self._entry(name)
        entry.drawn = self._search.space.complete(drawn)
        self._journal.write()
        self._redraw(force=True)

    def reported(self, name: str, result: dict[str, Any]) -> None:
        """Note a validation."""
        entry = self._entry(name)
        if "score" not in result:
            return
        entry.drawn = self._search.space.complete(result.get("config") or entry.drawn)
        entry.score, entry.valid = float(result["score"]), float(result["valid"])
        entry.epochs, entry.seconds = int(result["epoch"]), float(result["seconds"])
        if result.get("finished"):
            entry.status = FINISHED
        self._redraw()

    def again(self, name: str) -> None:
        """Note a trial that has died and is tried again."""
        reason = self._said(name) or GONE
        self._entry(name).reason = f"died and was tried again: {reason}"
        self._journal.write()
        self._print(f"trial {name} died and is tried again: {reason}")

    def completed(self, name: str) -> None:
        """Note a trial that has ended."""
        entry = self._entry(name)
        self._journal.end(name, FINISHED if entry.status == FINISHED else STOPPED)
        self._print(self._line(name, entry))

    def failed(self, name: str, error: str) -> None:
        """Note a trial that has failed for good."""
        entry = self._entry(name)
        self._journal.end(name, FAILED, self._said(name) or _last_words(error) or LOST)
        self._print(self._line(name, entry))

    @property
    def has_reports(self) -> bool:
        """Whether a trial has come to an epoch."""
        return any(entry.epochs for entry in self._journal.trials.values())

    def _entry(self, name: str) -> Entry:
        return self._journal.trials.setdefault(name, Entry({}))

    def _said(self, name: str) -> str:
        try:
            return (self._search.out / TRIALS / name / FAILURE).read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    # What is shown ---------------------------------------------------------------------------------------------------

    def _line(self, name: str, entry: Entry) -> str:
        place = f"{len(self._journal.ended)} of {self._search.trials}"
        if entry.status == FAILED:
            return f"{place}: trial {name} failed: {entry.reason}"
        best = self._journal.trials[self._journal.best].score if self._journal.best else None
        how = f", {entry.status}" if entry.status == STOPPED else ""
        words = f"{self._search.metric} {entry.score:.4f} ({entry.epochs} epochs, {spoken(entry.seconds)}{how})"
        left = self._seconds_left()
        more = (f", best {best:.4f}" if best is not None else "") + (f"; {spoken(left)} left" if left else "")
        return f"{place}: trial {name}: {words}{more}: {shown(entry.drawn)}"

    def _print(self, line: str) -> None:
        console = self._live.console if self._live else self._console
        console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._redraw(force=True)

    def _seconds_left(self) -> float:
        """As long as the trials that have ended took, for those that have not."""
        ended = self._journal.ended
        waiting = self._search.trials - len(ended)
        lengths = [entry.seconds for entry in ended.values() if entry.status != FAILED]
        if not lengths or waiting <= 0:
            return 0.0
        mean = sum(lengths) / len(lengths)
        running = [entry.seconds for entry in self._journal.trials.values() if entry.ended is None]
        behind = sum(min(seconds, mean) for seconds in running)
        return max(mean * waiting - behind, 0.0) / max(1, min(self._parallel, waiting))

    def _redraw(self, force: bool = False) -> None:
        if self._live and (force or time.monotonic() - self._drawn > REDRAWN_SECONDS):
            self._drawn = time.monotonic()
            self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        journal, best = self._journal, self._journal.best
        table = Table(title=f"Search: {self._search.title}", title_justify="left")
        for column, justify in (("trial", "right"), ("epoch", "right"), (self._search.metric, "right")):
            table.add_column(column, justify=justify)
        table.add_column("best so far", justify="right")
        table.add_column("", overflow="ellipsis", no_wrap=True)
        running = [name for name, entry in journal.trials.items() if entry.ended is None]
        latest = sorted(journal.ended, key=lambda name: journal.trials[name].ended or 0.0)[-SHOWN_ENDED:]
        for name in dict.fromkeys([*latest, *running]):
            entry = journal.trials[name]
            style = "bold" if name == best else "" if entry.ended is None else "dim"
            figures = [_number(entry.valid), _number(entry.score)]
            words = shown(entry.drawn) if entry.status != FAILED else f"failed: {entry.reason}"
            table.add_row(name, str(entry.epochs), *figures, Text(words), style=style)
        left = self._seconds_left()
        words = f"{len(journal.ended)} of {self._search.trials} trials"
        words += f", best {journal.trials[best].score:.4f} (trial {best})" if best else ""
        return Group(table, Text(words + (f", {spoken(left)} left" if left else "")))


def shown(drawn: dict[str, Any]) -> str:
    """Values as a short line: ``learning_rate=0.00123 n_layers=2``."""
    return " ".join(f"{key}={f'{v:.3g}' if isinstance(v, float) else v}" for key, v in drawn.items())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _last_words(error: str) -> str:
    """The last line of a traceback."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return lines[-1] if lines else ""
