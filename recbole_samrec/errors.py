"""Errors that are shown to the user as one line, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right; the message names the thing, the place and the remedy."""


class ConfigError(UserError):
    """A setting is unknown, of the wrong type or out of its range."""


class DataError(UserError):
    """A data set or one of its files is missing or cannot be read as it is."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, of another run, or not safe to load."""
