"""``compare``: trains models on data sets over several seeds and writes their tables."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_samrec.cli.options import add_options
from recbole_samrec.compare.formats import print_page
from recbole_samrec.compare.provenance import Origin, Tuning, read_origins
from recbole_samrec.compare.tuned_settings import FOLDER, Tuned, describe_tuning, searches_under, tuned_rows
from recbole_samrec.compare.write import write_tables
from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.command_options import CompareOptions
from recbole_samrec.config.yaml_files import parse_settings, settings_in
from recbole_samrec.experiments.entries import Row, read_rows
from recbole_samrec.experiments.estimate import Costs
from recbole_samrec.experiments.jobs import Job, as_yaml, by_row, plan, settings_of_rows, settings_shown
from recbole_samrec.experiments.ray_cluster import Resources
from recbole_samrec.experiments.results import finished_runs
from recbole_samrec.experiments.runner import failure_of, train_all
from recbole_samrec.utils.errors import ConfigError, DataError
from recbole_samrec.utils.files import require_writable

HELP = """Trains every row on every data set with every seed, and writes one table for each data set. A run that is
finished is not trained again: the same command goes on where it was stopped. Settings given as --key=value go to all
rows that know them."""
FIRST_SEED, MOST_SEEDS = 2020, 1000
OF_ONE_CALL = ("--tables", "--debug")
OF_ONE_MACHINE = ("--threads", "--parallel", "--gpus", "--address", "--limit_hours")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``compare``."""
    add_options(parser, CompareOptions)


def main(arguments: argparse.Namespace, rest: Sequence[str], console: Console) -> int:
    """Carry out ``compare``.

    Args:
        arguments: What :func:`add_arguments` reads.
        rest: Settings as ``--key=value``.
        console: Where progress and tables are shown.

    Raises:
        UserError: An argument, a setting or a data set is wrong.
    """

    @_once
    def note(line: str) -> None:
        console.print(f"note: {line}", highlight=False, soft_wrap=True, markup=False)

    unsuited: dict[str, dict[str, str]] = {}

    def left_out(row: str, dataset: str, error: DataError) -> None:
        unsuited.setdefault(dataset, {})[row] = str(error)

    tables = [Path(file) for file in (arguments.rows or "").split()]
    rows = read_rows(_words(arguments.models, "--models"), tables)
    origins = read_origins(tables)
    resources = resources_of(arguments)
    given = parse_settings(rest)
    files = settings_in((arguments.config_files or "").split())

    names = _words(arguments.datasets, "--datasets")
    tuned = _tuned(arguments.tuned, rows, names, {**files, **given})
    found = {dataset: {row: one.settings for row, one in of.items()} for dataset, of in tuned.items()}

    def settings_on(dataset: str) -> dict[str, dict[str, Any]]:
        return settings_of_rows(rows, dataset, files, given, tables, found.get(dataset))

    datasets = _checked(names, settings_on, files, note, left_out)
    said = {name: describe_tuning(tuned[name], sha256) for name, sha256 in datasets.items() if name in tuned}
    for dataset, of in said.items():
        for one in of:
            note(f"{dataset}: {one}")
    jobs = plan(
        rows,
        datasets,
        seeds_of(arguments.seeds),
        _fractions(arguments.train_fraction),
        arguments.out,
        files=files,
        given=given,
        tables=tables,
        tuned=found,
        note=note,
        left_out=left_out,
    )
    for dataset, reasons in unsuited.items():
        for row, reason in reasons.items():
            console.print(f"left out: {row} on {dataset}: {reason}", highlight=False, soft_wrap=True, markup=False)
    require_writable(arguments.out, "--out")
    if arguments.pages:
        require_writable(arguments.pages, "--pages")
    costs = Costs(jobs, arguments.out)
    try:
        if not arguments.tables and not all(job.finished for job in jobs):
            train_all(jobs, costs, resources, console, limit_hours=arguments.limit_hours, command=_command())
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on: {_command()}", highlight=False, soft_wrap=True, markup=False)
        return 130
    damaged = _show_tables(jobs, rows, costs, unsuited, said, origins, arguments, console)
    complete = not unsuited and all(job.finished for job in jobs)
    return 3 if damaged or not (complete or arguments.tables) else 0


def _words(text: str, flag: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ConfigError(f"{flag}: name at least one")
    return words


def seeds_of(text: str) -> list[int]:
    """The seeds of an argument: a number of them, or themselves with commas.

    Raises:
        ConfigError: It is neither.
    """
    words, named = _words(text, "--seeds"), "," in text
    numbers = [int(word) for word in words if word.isdecimal()]
    if len(numbers) < len(words) or (not named and not 0 < numbers[0] <= MOST_SEEDS):
        raise ConfigError(f"--seeds={text}: give how many seeds, or the seeds themselves such as 1,2,3 or 7,")
    if len(set(numbers)) < len(numbers):
        raise ConfigError(f"--seeds={text}: a seed is named twice")
    return numbers if named else [FIRST_SEED + number for number in range(numbers[0])]


def _fractions(text: str) -> list[float]:
    try:
        shares = [float(word) for word in _words(text, "--train_fraction")]
    except ValueError as error:
        raise ConfigError(f"--train_fraction={text}: give numbers such as 0.2,0.5,1.0") from error
    if not all(0 < share <= 1 for share in shares) or len(set(shares)) < len(shares):
        raise ConfigError(f"--train_fraction={text}: give different numbers above 0 and at most 1")
    return sorted(shares)


def resources_of(arguments: argparse.Namespace) -> Resources:
    """What each run gets, from the arguments.

    Raises:
        ConfigError: A number is out of its range.
    """
    gpus = arguments.gpus
    if gpus is None:
        import torch

        gpus = 1.0 if torch.cuda.is_available() else 0.0
    elif gpus > 1 and gpus != int(gpus):
        raise ConfigError(f"--gpus={gpus}: give a part of a GPU, or a whole number of them")
    return Resources(arguments.threads, arguments.parallel, gpus, arguments.address)


def _tuned(
    folders: str | None, rows: Sequence[Row], datasets: Sequence[str], wishes: Mapping[str, Any]
) -> dict[str, dict[str, Tuned]]:
    """For each data set, what the rows take from searches; nothing if nobody asked for it."""
    if folders is None:
        return {}
    if not folders.split():
        raise ConfigError(f"--tuned: name a folder of searches, or leave it out for {FOLDER}")
    searches = searches_under([Path(folder) for folder in folders.split()])
    return {dataset: tuned_rows(searches, rows, dataset, wishes, folders) for dataset in datasets}


def _checked(
    names: Sequence[str],
    settings_on: Callable[[str], Mapping[str, Mapping[str, Any]]],
    files: Collection[str],
    note: Callable[[str], None],
    left_out: Callable[[str, str, DataError], None],
) -> dict[str, str]:
    """Find the data sets and check their files once, as the first row that they suit reads them; the hashes by name.

    Raises:
        DataError: One of them cannot be read, or none suits any row.
    """
    hashes: dict[str, str] = {}
    errors: list[DataError] = []
    for name in names:
        for row, settings in settings_on(name).items():
            try:
                config = configure({**settings, "dataset": name}, {}, note, files)
            except DataError as error:
                errors.append(error)
                left_out(row, name, error)
            else:
                hashes[name] = check_data(config, note).sha256
                break
    if not hashes:
        raise errors[0]
    return hashes


def _show_tables(
    jobs: Sequence[Job],
    rows: Sequence[Row],
    costs: Costs,
    unsuited: Mapping[str, Mapping[str, str]],
    tuned: Mapping[str, Sequence[Tuning]],
    origins: Sequence[Origin],
    arguments: argparse.Namespace,
    console: Console,
) -> Mapping[Job, str]:
    """Write the tables, show the first ones and say where they all are; give back the runs that are damaged."""
    folder = arguments.pages or arguments.out
    runs, damaged = finished_runs(jobs)
    why = {dataset: dict(unsuited.get(dataset, {})) for dataset in [*(job.dataset for job in jobs), *unsuited]}
    for members in by_row(jobs):
        if words := _unfinished(members, costs, damaged):
            of_set, first = why[members[0].dataset], members[0]
            share = "" if first.fraction == 1 else f"{first.fraction:.0%} of the users: "
            of_set[first.row] = "; ".join(filter(None, (of_set.get(first.row), share + words)))
    settings = {name: as_yaml(settings_shown([job for job in jobs if job.dataset == name])) for name in why}
    for masked in (False, True) if arguments.mask_history else (False,):
        pages = write_tables(
            runs,
            folder,
            entries=[row.name for row in rows],
            variant_of={row.name: row.variant_of for row in rows if row.variant_of},
            reasons=why,
            masked=masked,
            both=arguments.mask_history,
            tuned=tuned,
            origins=origins,
            command=_command(),
            settings=settings,
        )
        for page in pages.values():
            print_page(console, page)
    for dataset in why:
        stem = f"{dataset}-tuned" if tuned else dataset
        console.print(f"tables and plots: {folder / stem}*", highlight=False, markup=False, soft_wrap=True)
    return damaged


def _command() -> str:
    """What was typed, without what belongs to one computer or one call."""
    words, kept = iter(word for word in sys.argv[2:] if word not in OF_ONE_CALL), []
    for word in words:
        if word in OF_ONE_MACHINE:
            next(words, None)  # its value
        elif not word.startswith(tuple(f"{flag}=" for flag in OF_ONE_MACHINE)):
            kept.append(_quoted(word))
    return " ".join(["python -m recbole_samrec compare", *kept])


def _quoted(word: str) -> str:
    """A word as a shell takes it and people read it, such as "SASRec (RecBole's rows)"."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def _once(note: Callable[[str], None]) -> Callable[[str], None]:
    """Say nothing twice."""
    told: set[str] = set()

    def tell(line: str) -> None:
        if line not in told:
            told.add(line)
            note(line)

    return tell


def _unfinished(members: Sequence[Job], costs: Costs, damaged: Mapping[Job, str]) -> str:
    """What there is to say of a row's runs that are not in the table."""
    words = [damaged[job] for job in members if job in damaged]
    waiting = [job for job in members if not job.finished]
    if waiting and (reason := costs.reason(waiting[0])):
        return "; ".join([*words, reason])
    failed = [job for job in waiting if failure_of(job)]
    words += [f"seed {job.seed} failed: {failure_of(job)}" for job in failed]
    if rest := len(waiting) - len(failed):
        words.append(f"{rest} of {len(members)} runs not trained yet")
    return "; ".join(words)
