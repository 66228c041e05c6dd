"""Formats of arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from recbole_samrec.experiments.seeds import FIRST_SEED, choose_seeds
from recbole_samrec.utils.errors import ConfigError


def split_words(text: str, flag: str) -> list[str]:
    """Split an argument at commas.

    Raises:
        ConfigError: It names nothing.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ConfigError(f"{flag}: name at least one")
    return words


def parse_seeds(text: str, flag: str = "--seeds", first: int = FIRST_SEED) -> list[int]:
    """Parse a number of seeds, or the seeds separated by commas; see :func:`choose_seeds` for the arguments.

    Raises:
        ConfigError: It is neither.
    """
    words, named = split_words(text, flag), "," in text
    numbers = [int(word) for word in words if word.isdecimal()]
    if len(numbers) < len(words):
        raise ConfigError(f"{flag}={text}: give how many seeds, or the seeds themselves such as 1,2,3 or 7,")
    return choose_seeds(numbers if named else numbers[0], flag, first)


def read_data(arguments: argparse.Namespace) -> dict[str, Path]:
    """Return the Parquet file of ``--data`` as the setting ``dataset``; empty without ``--data``.

    Raises:
        ConfigError: ``--dataset`` names another data set.
    """
    if arguments.data is None:
        return {}
    if arguments.dataset:
        raise ConfigError(f"--data={arguments.data} and --dataset={arguments.dataset}: give one of them")
    return {"dataset": arguments.data}
