"""``export``: writes the vectors and weights of a finished run for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.yaml_files import parse_settings
from recbole_samrec.utils.console import print_line

HELP = """Writes the vectors of all items and users of a finished run, so that an index of nearest neighbors finds the
items that recommend finds, and the weights of its model. The scores of all users are compared with the model's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``export``."""
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or a checkpoint file")
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export in that folder")
    parser.add_argument("--model", metavar="file.py:NAME", help="location of a model of your own")


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Export the vectors and weights of a run.

    Args:
        arguments: See :func:`add_arguments`.
        rest: Settings as ``--key=value``.
        console: Where the result and notes are printed.

    Raises:
        UserError: The run or the folder cannot be used, or the model does not score by a dot product.
    """
    settings = parse_settings(rest)
    if not arguments.model:
        check_setting_names(settings)

    from recbole_samrec.quick_start.export import export_vectors

    where = {"overwrite": arguments.overwrite, "model": arguments.model, "console": console}
    found = export_vectors(arguments.run, arguments.out, **where, **settings)
    print_line(console, repr(found))
    return 0
