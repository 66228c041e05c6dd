"""The log file of a run; a full disk or a folder that is not writable does not raise an error."""

from __future__ import annotations

import contextlib
import logging
import sys


class RunLog(logging.FileHandler):
    """Writes lines to a file; lines that cannot be written are counted and dropped.

    Logging would print a traceback for each of them. What a run needs is in other files, whose errors end it.
    """

    lost = 0
    """Number of lines that could not be written since the last one that was."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, preceded by a line about missing ones."""
        if lost := self.lost:
            self.lost = 0
            about = logging.LogRecord(record.name, logging.WARNING, "", 0, f"{lost} lines are missing here", None, None)
            super().emit(about)
            self.lost += lost - 1 if self.lost else 0
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Count a line that could not be written."""
        if isinstance(sys.exc_info()[1], OSError):
            self.lost += 1
        else:
            super().handleError(record)

    def close(self) -> None:
        """Close the file; its last lines may be lost."""
        with contextlib.suppress(OSError):
            super().close()
