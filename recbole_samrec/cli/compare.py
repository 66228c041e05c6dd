"""``compare``: trains models on data sets over several seeds and writes their tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from recbole_samrec.cli.arguments import parse_seeds, split_words
from recbole_samrec.cli.options import add_options
from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.compare.command_line import shorten_command
from recbole_samrec.config.command_options import CompareOptions
from recbole_samrec.config.yaml_files import parse_settings, read_yaml_files
from recbole_samrec.experiments.seeds import SELECT_SEEDS
from recbole_samrec.utils.console import print_line
from recbole_samrec.utils.errors import ConfigError

HELP = """Train every entry on every data set with every seed, and write one table per data set. Finished runs are not
trained again: rerun the command to resume after an interruption. Settings given as --key=value apply to all entries
that read them."""
EXAMPLES = {
    "SASRec with and without SAM, three seeds each": "--models=SASRec,SASRec+SAM --seeds=3",
    "a global temporal split": "--models=SASRec,GRU4Rec --protocol=gts-last",
    "settings chosen by validation": "--entries=mine.yaml --select",
    "tables of the runs that have finished": "--models=SASRec,SASRec+SAM --tables",
}
PASSED_ON = (
    "user item time items tuned select equal out pages mask_history threads parallel gpus address limit_hours".split()
)
"""Arguments that the function takes as they are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``compare``."""
    add_options(parser, CompareOptions)


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Any) -> int:
    """Run ``compare``.

    Args:
        arguments: See :func:`add_arguments`.
        rest: Settings as ``--key=value``.
        console: Where progress and tables are shown.

    Raises:
        UserError: An argument, a setting or a data set is wrong.
    """
    models = split_words(arguments.models, "--models")
    settings, command = parse_settings(rest), shorten_command(sys.argv[2:])
    files = (arguments.config_files or "").split()
    if not any(":" in model for model in models) and not arguments.entries:  # other models may be the user's own
        check_setting_names(settings, models[0].removesuffix("+SAM"), also=read_yaml_files(files))
    datasets = split_words(arguments.datasets, "--datasets")
    if arguments.data is not None:  # it replaces the default of --datasets
        usual = arguments.datasets == CompareOptions.model_fields["datasets"].default
        datasets = [arguments.data, *([] if usual else datasets)]
    given = {
        "datasets": datasets,
        "seeds": parse_seeds(arguments.seeds),
        "select_seeds": parse_seeds(arguments.select_seeds, "--select_seeds", SELECT_SEEDS[0]),
        "train_fraction": _parse_fractions(arguments.train_fraction),
        "config_files": files,
        "protocol": split_words(arguments.protocol, "--protocol") if arguments.protocol else [],
        "entries": (arguments.entries or "").split(),
        **{name: getattr(arguments, name) for name in PASSED_ON},
        **{"train": not arguments.tables, "console": console, "command": command},
    }
    if clash := settings.keys() & given.keys():
        raise ConfigError(f"unknown setting --{min(clash)}; --help lists the arguments")
    from recbole_samrec.compare.api import compare_models

    try:
        result = compare_models(models, **given, **settings)
    except KeyboardInterrupt:
        print_line(console, f"stopped; resume with: {command}")
        return 130
    return 3 if result.damaged or not (result.complete or arguments.tables) else 0


def _parse_fractions(text: str) -> list[float]:
    try:
        return [float(word) for word in split_words(text, "--train_fraction")]
    except ValueError as error:
        raise ConfigError(f"--train_fraction={text}: give numbers such as 0.2,0.5,1.0") from error
