"""Errors that are shown to the user as one line, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right; the message names the thing, the place and the remedy."""


class ConfigError(UserError, ValueError):
    """A setting is unknown, of the wrong type or out of its range."""


class DataError(UserError, ValueError):
    """A data set or one of its files is missing or cannot be read as it is."""


class CheckpointError(UserError, ValueError):
    """A checkpoint is missing, damaged, of another run, or not safe to load."""


class TrainingError(UserError, ValueError):
    """Training cannot go on; the last good checkpoint is kept."""


def flatten_message(error: BaseException) -> str:
    """What an error says, or its name where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
