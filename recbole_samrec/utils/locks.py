"""Keeps two processes from writing to one folder at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from recbole_samrec.utils.errors import UserError

LOCK = ".lock"
"""File of the lock; that a file of this name exists means nothing, only who holds it, and the holder's end frees it."""

_held: set[Path] = set()


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other processes from the folder of a run, a search or a report; in this process it may be locked again.

    Raises:
        UserError: Another process uses it, or the folder cannot be written.
    """
    place = folder.resolve()
    if place in _held:
        yield
        return
    lock = FileLock(place / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"{folder}: the folder is in use by another process; wait for it, or stop it") from error
    except OSError as error:
        raise UserError(f"{folder}: the folder cannot be locked ({error.strerror}); choose another") from error
    _held.add(place)
    try:
        yield
    finally:
        _held.discard(place)
        with contextlib.suppress(OSError):
            os.unlink(place / LOCK)
        lock.release()
