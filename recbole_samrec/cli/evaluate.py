"""``evaluate``: scores a finished run again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.yaml_files import parse_settings
from recbole_samrec.utils.console import print_line

if TYPE_CHECKING:
    from recbole_samrec.quick_start.agreement import Agreement

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
    if found.agreement is not None:
        print_line(console, _describe_agreement(found.agreement, found.weights.parent / RESULT))
    return 0


def _describe_agreement(agreement: Agreement, record: Path) -> str:
    """Describe in one line whether the metrics equal the recorded ones."""
    if not agreement.is_same:
        words = "these figures differ from"
    elif agreement.largest_difference:
        words = "the same figures up to rounding as in"
    else:
        return f"the same figures as in {record}"
    about = f"largest difference {agreement.largest_difference:.1e}; recorded on {agreement.device}"
    return f"{words} {record} ({about})" if agreement.is_rounded else f"{words} {record}"
