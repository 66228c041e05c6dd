"""``tune``: searches the settings of a model on the validation set, with Ray Tune."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from recbole_samrec.cli.compare import resources_of, seeds_of
from recbole_samrec.cli.options import add_options
from recbole_samrec.config.command_options import TuneOptions
from recbole_samrec.config.yaml_files import parse_settings, settings_in
from recbole_samrec.tune.follow import shown
from recbole_samrec.tune.results import BEST, PAGE, Outcome, conclude
from recbole_samrec.tune.runner import conduct
from recbole_samrec.tune.search_spec import PLAN, Search, design, recall
from recbole_samrec.tune.strategies import USUAL_TRIALS, Strategy
from recbole_samrec.utils.errors import ConfigError

HELP = """Searches the settings of a model: trains trials whose settings are drawn from a space, chooses by the
validation metric, and scores the test set with the best configuration alone. A search that was stopped goes on with
--resume. Settings given as --key=value go to all trials."""
OF_THE_SEARCH = "model dataset space trials search scheduler grace seeds search_seed retries".split()
"""Arguments that a search keeps."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tune``."""
    add_options(parser, TuneOptions)


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Carry out ``tune``.

    Args:
        arguments: What :func:`add_arguments` reads.
        rest: Settings as ``--key=value``.
        console: Where progress and results are shown.

    Raises:
        UserError: An argument, a setting, the space or the data set is wrong.
    """

    def note(line: str) -> None:
        console.print(f"note: {line}", highlight=False, soft_wrap=True, markup=False)

    resources = replace(resources_of(arguments), host=arguments.host, dashboard=arguments.dashboard)
    search = _resumed(arguments, rest) if arguments.resume else _new(arguments, rest, note)
    _announce(search, console)
    journal = conduct(search, resources, console, arguments.memory and 1000 * arguments.memory)
    outcome = conclude(search, journal, note)
    if not outcome.complete:
        out = shlex.quote(str(search.out))
        line = f"stopped; go on with: python -m recbole_samrec tune --resume={out}"
        console.print(line, highlight=False, soft_wrap=True, markup=False)
        return 130
    show(search, outcome, console)
    return 0 if outcome.best is not None else 3


def _resumed(arguments: argparse.Namespace, rest: Sequence[str]) -> Search:
    out = arguments.out if arguments.resume is True else arguments.resume
    if arguments.resume is not True and arguments.out is not None:
        raise ConfigError(f"--out={arguments.out}: --resume={out} names the search already; leave one of them out")
    given = [f"--{name}" for name in OF_THE_SEARCH if getattr(arguments, name) is not None]
    if arguments.resume is True and out is None:
        raise ConfigError("--resume: say which search: --resume=DIR; see what lies in runs/tune/")
    given += ["--config_files"] * bool(arguments.config_files) + [word.partition("=")[0] for word in rest]
    if given:
        raise ConfigError(f"--resume={out}: a search goes on as it is; leave {given[0]} out, or start another one")
    return recall(out)


def _new(arguments: argparse.Namespace, rest: Sequence[str], note: Callable[[str], None]) -> Search:
    if arguments.space is not None and not arguments.space.is_file():
        raise ConfigError(f"--space={arguments.space}: there is no such file")
    search = design(
        arguments.model or "SAMRec",
        arguments.dataset or "ml-100k",
        arguments.space,
        strategy_of(vars(arguments)),
        seeds_of(arguments.seeds or "1"),
        arguments.out,
        files=settings_in((arguments.config_files or "").split()),
        given=parse_settings(rest),
        retries=1 if arguments.retries is None else arguments.retries,
        note=note,
    )
    if (search.out / PLAN).exists():
        out = shlex.quote(str(search.out))
        raise ConfigError(f"--out={out}: it holds a search already; go on with --resume={out}, or name another")
    return search


def strategy_of(given: Mapping[str, Any]) -> Strategy:
    """How a search goes about it, from what was given; what is None or missing has its default."""
    names = {"search": "search", "scheduler": "scheduler", "grace": "grace", "search_seed": "seed"}
    chosen = {field: given[name] for name, field in names.items() if given.get(name) is not None}
    default = None if chosen.get("search") == "grid" else USUAL_TRIALS
    return Strategy(**chosen, trials=given["trials"] if given.get("trials") is not None else default)


def _announce(search: Search, console: Console) -> None:
    strategy = search.strategy
    line = f"{search.trials} trials of {search.title} in {search.out} ({strategy.search}, {strategy.scheduler})"
    console.print(line, highlight=False, soft_wrap=True, markup=False)
    for parameter in search.space.parameters:
        console.print(f"  {parameter.name}: {parameter.describe()}", highlight=False, soft_wrap=True, markup=False)


def show(search: Search, outcome: Outcome, console: Console) -> None:
    """Print the best configuration with its metrics, and where everything lies."""
    if outcome.best is not None:
        title = f"Best of {search.title}: trial {outcome.best:03d}"
        console.print(title, highlight=False, markup=False, soft_wrap=True)
        table = Table()
        table.add_column("metric")
        for part in outcome.scores:
            table.add_column(part, justify="right")
        for metric in next(iter(outcome.scores.values())):
            table.add_row(metric, *(f"{scores[metric]:.4f}" for scores in outcome.scores.values()))
        console.print(table)
        console.print(shown(dict(outcome.settings)), highlight=False, soft_wrap=True, markup=False)
        file = shlex.quote(str(search.out / BEST))
        own = f" --model={shlex.quote(search.source)}" if search.source else ""
        line = f"train it: python {_program()} --config_files {file}{own}"
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    console.print(f"all trials: {search.out / PAGE}", highlight=False, soft_wrap=True, markup=False)


def _program() -> str:
    return "run_recbole.py" if Path("run_recbole.py").exists() else "-m recbole_samrec run"
