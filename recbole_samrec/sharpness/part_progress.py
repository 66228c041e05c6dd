"""Progress of a measurement: a bar for each part on a terminal, a line for each otherwise."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class PartBars:
    """A bar for each part that is measured, with the time left; a line for each without a terminal.

    Args:
        console: Where they are drawn.
    """

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("  {task.description:20}"), BarColumn(24), TextColumn("{task.completed}/{task.total}"))
        self._console, self._tasks = console, dict[str, Any]()
        quiet = not console.is_terminal
        self._progress = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=quiet)

    def __enter__(self) -> PartBars:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop drawing, and restore the terminal."""
        self._progress.stop()

    def __call__(self, part: str, done: int, total: int) -> None:
        """Show the progress of a part."""
        if part not in self._tasks:
            self._tasks[part] = self._progress.add_task(part, total=total)
            if not self._console.is_terminal:
                self._console.print(f"  {part}", highlight=False)
        self._progress.update(self._tasks[part], completed=min(done, total), total=total)
