"""Errors that are shown to the user as one line, without a traceback."""

from __future__ import annotations


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
