"""``export``: writes the vectors and weights, or the test rankings, of a finished run for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.yaml_files import parse_settings
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.errors import ConfigError

HELP = """Writes the vectors of all items and users of a finished run, so that an index of nearest neighbors finds the
items that recommend finds, and the weights of its model. The scores of all users are compared with the model's. With
--format=trec it writes the rankings of the test set and the items to be found as TREC run and qrels files."""
_OF_RANKINGS = ("k", "mask_history")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``export``."""
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or a checkpoint file")
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="folder to write")
    parser.add_argument("--format", choices=("vectors", "trec"), default="vectors", help="what to write (vectors)")
    parser.add_argument("--k", type=int, metavar="N", help="with trec: items of a ranking (default: largest of topk)")
    masked = "with trec: mask the items that the user had before (default: as the run does)"
    parser.add_argument("--mask_history", action="store_true", default=None, help=masked)
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export in that folder")
    parser.add_argument("--model", metavar="file.py:NAME", help="location of a model of your own")


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Export the vectors and weights, or the test rankings, of a run.

    Args:
        arguments: See :func:`add_arguments`.
        rest: Settings as ``--key=value``.
        console: Where the result and notes are printed.

    Raises:
        UserError: The run or the folder cannot be used, the model does not score by a dot product, or the test set is
            not ranked in full.
    """
    settings = parse_settings(rest)
    of_rankings = {name: getattr(arguments, name) for name in _OF_RANKINGS}
    if given := [f"--{name}" for name, value in of_rankings.items() if value is not None]:
        if arguments.format != "trec":
            raise ConfigError(f"{given[0]} is for --format=trec")
    if not arguments.model:
        check_setting_names(settings)

    where = {"overwrite": arguments.overwrite, "model": arguments.model, "console": console}
    print_line(console, repr(_export(arguments, where, of_rankings, settings)))
    return 0


def _export(arguments: argparse.Namespace, where: dict[str, Any], of_rankings: dict[str, Any], settings: Any) -> Any:
    if arguments.format == "trec":
        from recbole_samrec.quick_start.export_trec import export_trec

        return export_trec(arguments.run, arguments.out, **where, **of_rankings, **settings)
    from recbole_samrec.quick_start.export import export_vectors

    return export_vectors(arguments.run, arguments.out, **where, **settings)
