"""Errors that are shown to the user as one line, without a traceback."""

from __future__ import annotations

import errno

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_BROKEN = (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE)


class UserError(Exception):
    """An error that the user can correct; the message names the thing, the place and the remedy."""


class ConfigError(UserError, ValueError):
    """A setting is unknown, has the wrong type or is out of range."""


class DataError(UserError, ValueError):
    """A data set or one of its files is missing or cannot be read."""


class CheckpointError(UserError, ValueError):
    """A checkpoint is missing, damaged, of another run, or not safe to load."""


class TrainingError(UserError, ValueError):
    """Training cannot continue; the last good checkpoint is kept."""


def flatten_message(error: BaseException) -> str:
    """Return an error's message on one line, or its type's name if the message is empty."""
    return " ".join(str(error).split()) or type(error).__name__


def explain_system_error(error: BaseException) -> str | None:
    """Explain in one line an error of a disk: it is full, cannot be read or written, or is broken.

    Returns:
        None for any other error.
    """
    if isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error.strerror):
        return "there is no folder for temporary files; set TMPDIR to one that can be written"
    if not isinstance(error, OSError) or error.errno not in (*_FULL, *_CLOSED, *_BROKEN):
        return None
    remedy = "free some space" if error.errno in _FULL else "check the disk"
    if error.errno in _CLOSED:
        remedy = "change its permissions, or choose another folder"
    place = f"{error.filename}: " if error.filename is not None else "a file "
    return f"{place}cannot be read or written ({error.strerror}); {remedy}, and run the command again"


def explain_failure(error: BaseException) -> str:
    """Explain in one line why a run failed."""
    if isinstance(error, UserError):
        return flatten_message(error)
    return explain_system_error(error) or f"unexpected {type(error).__name__}: {flatten_message(error)}"
