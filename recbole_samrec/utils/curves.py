"""Tensorboard's files of a run; a full disk or a folder that is not writable does not raise an error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tensorboard.summary.writer import event_file_writer
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter


class _Records(RecordWriter):
    """Writes records until one cannot be written, so that a reader finds no incomplete record before complete ones.

    It runs in a thread of tensorboard's, which would print a traceback.
    """

    def write(self, data: bytes) -> None:
        """Write a record."""
        self._try(super().write, data)

    def flush(self) -> None:
        """Write what is in the buffer."""
        self._try(super().flush)

    def close(self) -> None:
        """Close the file."""
        self._try(super().close)

    def _try(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._full:
            return
        try:
            call(*arguments)
        except OSError:
            self._full = True

    _full = False


@contextlib.contextmanager
def _use_own_records() -> Iterator[None]:
    """Have tensorboard open its files with our class of records."""
    former = event_file_writer.RecordWriter
    event_file_writer.RecordWriter = _Records
    try:
        yield
    finally:
        event_file_writer.RecordWriter = former


class CurveWriter(SummaryWriter):
    """Writer of the curves of a run; values that cannot be written are dropped.

    Args:
        folder: Folder of the files.

    Raises:
        OSError: The folder cannot be made.
    """

    def __init__(self, folder: str) -> None:
        with _use_own_records():
            super().__init__(folder)

    def add_hparams(self, *args: Any, **kwargs: Any) -> None:
        """Write settings and metrics, for which tensorboard opens a second file."""
        with _use_own_records(), contextlib.suppress(OSError):
            super().add_hparams(*args, **kwargs)
