"""``compare``: trains models on data sets over several seeds and writes their tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from recbole_samrec.cli.arguments import parse_seeds, split_words
from recbole_samrec.cli.options import add_options
from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.command_options import CompareOptions
from recbole_samrec.config.yaml_files import parse_settings, settings_in
from recbole_samrec.utils.errors import ConfigError

HELP = """Trains every entry on every data set with every seed, and writes one table for each data set. A finished run
is not trained again: the same command continues after an interruption. Settings given as --key=value go to all
entries that read them."""
OF_ONE_CALL = ("--tables", "--debug")
OF_ONE_MACHINE = ("--threads", "--parallel", "--gpus", "--address", "--limit_hours")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``compare``."""
    add_options(parser, CompareOptions)


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Carry out ``compare``.

    Args:
        arguments: See :func:`add_arguments`.
        rest: Settings as ``--key=value``.
        console: Where progress and tables are shown.

    Raises:
        UserError: An argument, a setting or a data set is wrong.
    """
    settings = _check_settings(parse_settings(rest))
    files = (arguments.config_files or "").split()
    if ":" not in arguments.models and not arguments.entries:  # other models may be your own
        check_setting_names(settings, also=settings_in(files))

    from recbole_samrec.compare.api import compare_models
    from recbole_samrec.experiments.progress import print_line

    command = _shorten_command(sys.argv[2:])
    same = ("tuned", "out", "pages", "mask_history", "threads", "parallel", "gpus", "address", "limit_hours")
    try:
        result = compare_models(
            split_words(arguments.models, "--models"),
            split_words(arguments.datasets, "--datasets"),
            seeds=parse_seeds(arguments.seeds),
            train_fraction=_parse_fractions(arguments.train_fraction),
            config_files=files,
            entries=(arguments.entries or "").split(),
            train=not arguments.tables,
            console=console,
            command=command,
            **{name: getattr(arguments, name) for name in same},
            **settings,
        )
    except KeyboardInterrupt:
        print_line(console, f"stopped; resume with: {command}")
        return 130
    return 3 if result.damaged or not (result.complete or arguments.tables) else 0


def _check_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Reject settings that would be taken for other arguments of the function."""
    for key in ("train", "console", "command"):
        if key in settings:
            raise ConfigError(f"unknown setting --{key}; --help lists the arguments")
    return settings


def _parse_fractions(text: str) -> list[float]:
    try:
        return [float(word) for word in split_words(text, "--train_fraction")]
    except ValueError as error:
        raise ConfigError(f"--train_fraction={text}: give numbers such as 0.2,0.5,1.0") from error


def _shorten_command(arguments: Sequence[str]) -> str:
    """Format the command that was typed, without arguments that belong to one computer or one call."""
    from recbole_samrec.compare.api import PROGRAM, quote_word

    words, kept = iter(word for word in arguments if word not in OF_ONE_CALL), []
    for word in words:
        if word in OF_ONE_MACHINE:
            next(words, None)  # its value
        elif not word.startswith(tuple(f"{flag}=" for flag in OF_ONE_MACHINE)):
            kept.append(quote_word(word))
    return " ".join([PROGRAM, *kept])
