"""``export``: writes the vectors and weights, or the test rankings, of a finished run for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from recbole_samrec.cli.options import add_options
from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.command_options import ExportOptions
from recbole_samrec.config.yaml_files import parse_settings
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.errors import ConfigError

HELP = """Export the item and user vectors of a finished run, for an index of nearest neighbors, and the weights of its
model. The dot products of the vectors are checked against the model's scores. With --format=trec, export the rankings
of the test set and the relevant items as TREC run and qrels files. Settings given as --key=value replace those of the
run."""
EXAMPLES = {
    "vectors and weights": "runs/SASRec --out=vectors",
    "TREC files with 100 items per user": "runs/SASRec --out=trec --format=trec --k=100",
}
_OF_RANKINGS = ("k", "mask_history")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``export``."""
    add_options(parser, ExportOptions)


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
            raise ConfigError(f"{given[0]} requires --format=trec")
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
