"""``evaluate``: scores a finished run again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.yaml_files import parse_settings
from recbole_samrec.utils.console import print_line

HELP = """Scores the best weights of a finished run again and compares the metrics with those that the run recorded.
Settings given as --key=value replace those of the run."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``evaluate``."""
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or a checkpoint file")
    parser.add_argument("--model", metavar="file.py:NAME", help="location of a model of your own")
    parser.add_argument("--mask_history", action="store_true", help="also rank with the history masked")


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Score a finished run again.

    Args:
        arguments: See :func:`add_arguments`.
        rest: Settings as ``--key=value``.
        console: Where the metrics are shown.

    Raises:
        UserError: There is no such run, it is damaged, or a setting or the data cannot be used.
    """
    settings = parse_settings(rest)
    if not arguments.model:
        check_setting_names(settings)

    from recbole_samrec.cli.metric_tables import show_comparison
    from recbole_samrec.quick_start.api import evaluate
    from recbole_samrec.quick_start.record import RESULT

    found = evaluate(arguments.run, arguments.mask_history, model=arguments.model, console=console, **settings)
    show_comparison(console, f"{found.title}, {found.weights}", found.scores)
    if found.as_recorded is not None:
        words = "the same figures as in" if found.as_recorded else "these figures differ from"
        line = f"{words} {found.weights.parent / RESULT}"
        print_line(console, line)
    return 0
