"""``tune``: searches the settings of a model on the validation set, with Ray Tune."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from recbole_samrec.cli.arguments import parse_seeds, read_data
from recbole_samrec.cli.help_format import name_run_command
from recbole_samrec.cli.options import add_options
from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.command_options import TuneOptions
from recbole_samrec.config.yaml_files import parse_settings, read_yaml_files
from recbole_samrec.utils.console import print_line, print_note
from recbole_samrec.utils.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from recbole_samrec.tune.results import SearchResult
    from recbole_samrec.tune.search_spec import SearchSpec

HELP = """Search for the best settings of a model: train trials with settings from a search space, choose by the
validation metric, and evaluate only the best configuration on the test set. Resume an interrupted search with --resume.
Settings given as --key=value apply to all trials."""
EXAMPLES = {
    "20 trials of SASRec": "--model=SASRec --trials=20",
    "a grid of your own": "--model=SASRec --space=grid.yaml --search=grid",
    "resume an interrupted search": "--resume=runs/tune/SASRec-ml-100k",
}
OF_THE_SEARCH = (
    *("model", "dataset", "data", "user", "item", "time", "items", "space", "trials", "passes", "search", "scheduler"),
    *("grace", "seeds", "search_seed", "retries"),
)
"""Arguments that a search keeps when it is resumed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tune``."""
    add_options(parser, TuneOptions)


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Run ``tune``.

    Args:
        arguments: See :func:`add_arguments`.
        rest: Settings as ``--key=value``.
        console: Where progress and results are shown.

    Raises:
        UserError: An argument, a setting, the space or the data set is wrong.
    """
    search = _read_resumed(arguments, rest) if arguments.resume else _plan_new(arguments, rest, console)
    from recbole_samrec.experiments.ray_cluster import choose_resources
    from recbole_samrec.tune.api import finish_search

    resources = choose_resources(arguments.threads, arguments.parallel, arguments.gpus, arguments.address)
    resources = replace(resources, host=arguments.host, dashboard=arguments.dashboard)
    result = finish_search(search, resources, console, arguments.memory)
    if not result.complete:
        out = shlex.quote(str(search.out))
        print_line(console, f"stopped; resume with: python -m recbole_samrec tune --resume={out}")
        return 130
    print_result(search, result, console)
    return 0 if result.trial is not None else 3


def _read_resumed(arguments: argparse.Namespace, rest: Sequence[str]) -> SearchSpec:
    out = arguments.out if arguments.resume is True else arguments.resume
    if arguments.resume is not True and arguments.out is not None:
        raise ConfigError(f"--out={arguments.out}: --resume={out} already names the search; remove one of them")
    given = [f"--{name}" for name in OF_THE_SEARCH if getattr(arguments, name) is not None]
    if arguments.resume is True and out is None:
        raise ConfigError("--resume: name the search, as --resume=DIR; searches are in runs/tune/")
    given += ["--config_files"] * bool(arguments.config_files) + [word.partition("=")[0] for word in rest]
    if given:
        raise ConfigError(
            f"--resume={out}: a resumed search keeps its arguments; remove {given[0]}, or start a new search"
        )
    from recbole_samrec.tune.search_spec import read_search

    return read_search(out)


def _plan_new(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> SearchSpec:
    settings, model = parse_settings(rest), arguments.model or "SAMRec"
    files = (arguments.config_files or "").split()
    if ":" not in model:
        check_setting_names(settings, model.removesuffix("+SAM"), arguments.dataset, also=read_yaml_files(files))
    data = read_data(arguments).get("dataset")
    same = "user item time items space trials passes scheduler grace search_seed retries out"
    names = {name: name for name in same.split()}
    names["algorithm"] = "search"
    given = {key: getattr(arguments, name) for key, name in names.items() if getattr(arguments, name) is not None}
    from recbole_samrec.tune.api import prepare_search

    return prepare_search(
        model,
        data or arguments.dataset or "ml-100k",
        seeds=parse_seeds(arguments.seeds or "1"),
        config_files=files,
        note=partial(print_note, console),
        **given,
        settings=settings,
    )


def print_result(search: SearchSpec, result: SearchResult, console: Console) -> None:
    """Print the best configuration with its metrics, and the paths of all files."""
    from rich.table import Table

    from recbole_samrec.tune.results import PAGE
    from recbole_samrec.tune.search_watcher import format_drawn

    if result.trial is not None:
        print_line(console, f"Best of {search.title}: trial {result.trial:03d}")
        table = Table()
        table.add_column("metric")
        for part in result.metrics:
            table.add_column(part, justify="right")
        for metric in next(iter(result.metrics.values())):
            table.add_row(metric, *(f"{metrics[metric]:.4f}" for metrics in result.metrics.values()))
        console.print(table)
        print_line(console, format_drawn(dict(result.best)))
        own = f" --model={shlex.quote(search.source)}" if search.source else ""
        file = shlex.quote(str(result.config_file))
        print_line(console, f"train it: {name_run_command()} --config_files {file}{own}")
    print_line(console, f"all trials: {search.out / PAGE}")
