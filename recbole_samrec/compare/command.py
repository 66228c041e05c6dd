"""``compare``: trains models on data sets over several seeds and writes their tables."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_samrec import run
from recbole_samrec.compare.costs import Costs
from recbole_samrec.compare.display import Display, show_page, show_plan, spoken
from recbole_samrec.compare.engine import Resources, cluster, run_all
from recbole_samrec.compare.plan import Job, as_yaml, by_row, plan, settings_of_rows
from recbole_samrec.compare.report import write_tables
from recbole_samrec.compare.rows import Row, read_rows
from recbole_samrec.compare.runs import finished_runs
from recbole_samrec.compare.worker import FAILURE
from recbole_samrec.configure import configure, parse_settings, settings_in
from recbole_samrec.errors import ConfigError

HELP = """Trains every row on every data set with every seed, and writes one table for each data set. A run that is
finished is not trained again: the same command goes on where it was stopped. Settings given as --key=value go to all
rows that know them."""
FIRST_SEED = 2020


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``compare``."""
    add = parser.add_argument
    add("--models", metavar="A,B", help="rows: models, each perhaps with +SAM (default: SAMRec,SASRec,S3Rec,CL4SRec)")
    add("--datasets", metavar="A,B", default="ml-100k", help="data sets (default: ml-100k)")
    add("--seeds", metavar="N", default="5", help="how many seeds, or seeds separated by commas (default: 5)")
    add("--train_fraction", metavar="S,T", default="1", help="shares of the users to train on (default: 1)")
    add("--config_files", metavar="FILES", help="yaml files of settings for all rows, separated by blanks")
    add("--rows", metavar="FILES", help="yaml files of further rows, of the form of properties/compare.yaml")
    add("--out", metavar="DIR", type=Path, default=Path("runs", "compare"), help="folder (default: runs/compare)")
    add("--mask_history", action="store_true", help="also tables that leave out what users had before")
    add("--threads", metavar="N", type=int, default=1, help="threads of each run (default: 1)")
    add("--parallel", metavar="N", type=int, help="runs at once (default: as many as there are cores)")
    add("--gpus", metavar="N", type=float, help="GPUs of each run, such as 0.5 (default: 1 where there is one)")
    add("--address", metavar="HOST:PORT|auto", help="a Ray cluster to run on")
    add("--limit_hours", metavar="H", type=float, help="leave out rows of which a run is expected to take longer")
    add("--tables", action="store_true", help="train nothing; write the tables of what is finished")


def main(
    arguments: argparse.Namespace,
    rest: Sequence[str],
    console: Console,
    check_data: Callable[[Any, Callable[[str], None]], Any],
) -> int:
    """Carry out ``compare``.

    Args:
        arguments: What :func:`add_arguments` reads.
        rest: Settings as ``--key=value``.
        console: Where progress and tables are shown.
        check_data: Finds a data set and checks its files, given a configuration.

    Raises:
        UserError: An argument, a setting or a data set is wrong.
    """

    def note(line: str) -> None:
        console.print(f"note: {line}", highlight=False, soft_wrap=True, markup=False)

    tables = [Path(file) for file in (arguments.rows or "").split()]
    rows = read_rows(_words(arguments.models or "SAMRec,SASRec,S3Rec,CL4SRec", "--models"), tables)
    resources = _resources(arguments)
    given = parse_settings(rest)
    datasets = _checked(_words(arguments.datasets, "--datasets"), rows, given, check_data, note)
    files = settings_in((arguments.config_files or "").split())
    jobs = plan(
        rows,
        datasets,
        _seeds(arguments.seeds),
        _fractions(arguments.train_fraction),
        arguments.out,
        files=files,
        given=given,
        tables=tables,
        note=_once(note),
    )
    settings = {name: as_yaml(settings_of_rows(rows, name, files, given, tables)) for name in datasets}
    reasons: dict[tuple[str, str], str] = {}
    try:
        if not arguments.tables and not all(job.finished for job in jobs):
            _train(jobs, resources, arguments, reasons, console)
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on: {_command()}", highlight=False, soft_wrap=True, markup=False)
        return 130
    _show_tables(jobs, rows, arguments, reasons, settings, console)
    return 0 if all(job.finished for job in jobs) or arguments.tables else 3


def _words(text: str, flag: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ConfigError(f"{flag}: name at least one")
    return words


def _seeds(text: str) -> list[int]:
    words = _words(text, "--seeds")
    if not all(word.isdecimal() for word in words) or words == ["0"]:
        raise ConfigError(f"--seeds={text}: give how many seeds, or several seeds such as 1,2,3")
    numbers = [int(word) for word in words]
    if len(set(numbers)) < len(numbers):
        raise ConfigError(f"--seeds={text}: a seed is named twice")
    return numbers if len(numbers) > 1 else [FIRST_SEED + number for number in range(numbers[0])]


def _fractions(text: str) -> list[float]:
    try:
        shares = [float(word) for word in _words(text, "--train_fraction")]
    except ValueError as error:
        raise ConfigError(f"--train_fraction={text}: give numbers such as 0.2,0.5,1.0") from error
    if not all(0 < share <= 1 for share in shares) or len(set(shares)) < len(shares):
        raise ConfigError(f"--train_fraction={text}: give different numbers above 0 and at most 1")
    return sorted(shares)


def _resources(arguments: argparse.Namespace) -> Resources:
    for name in ("threads", "parallel"):
        if (number := getattr(arguments, name)) is not None and number < 1:
            raise ConfigError(f"--{name}={number}: give a number of at least 1")
    gpus = arguments.gpus
    if gpus is None:
        import torch

        gpus = 1.0 if torch.cuda.is_available() else 0.0
    elif gpus < 0 or (gpus > 1 and gpus != int(gpus)):
        raise ConfigError(f"--gpus={gpus}: give a part of a GPU, or a whole number of them")
    return Resources(arguments.threads, arguments.parallel, gpus, arguments.address)


def _checked(
    names: Sequence[str],
    rows: Sequence[Row],
    given: Mapping[str, Any],
    check_data: Callable[[Any, Callable[[str], None]], Any],
    note: Callable[[str], None],
) -> dict[str, str]:
    """Find the data sets and check their files once, as the first row reads them; the hashes by name."""
    hashes = {}
    for name in names:
        data_path = {"data_path": given["data_path"]} if "data_path" in given else {}
        config = configure(rows[0].settings(data_path) | {"dataset": name}, {}, note)
        hashes[name] = check_data(config, note).sha256
    return hashes


def _train(
    jobs: Sequence[Job],
    resources: Resources,
    arguments: argparse.Namespace,
    reasons: dict[tuple[str, str], str],
    console: Console,
) -> None:
    """Carry out the runs that are not finished; ``reasons`` learns of rows that are left out."""
    costs = Costs(jobs, arguments.out)
    waiting = [job for job in jobs if not job.finished]
    with cluster(resources) as ray:
        _estimate(ray, costs, waiting, resources, reasons, console)
        for row, dataset, members in by_row(waiting):
            seconds = costs.seconds(members[0])
            if arguments.limit_hours is not None and seconds > 3600 * arguments.limit_hours:
                reasons[row, dataset] = (
                    f"a run is expected to take {spoken(seconds)} on this machine, more than --limit_hours="
                    f"{arguments.limit_hours:g}; add it on a faster one: {_adding(row, dataset, arguments)}"
                )
        show_plan(console, jobs, costs, reasons)
        todo = [job for job in waiting if (job.row, job.dataset) not in reasons]
        parallel = max(1, int(ray.cluster_resources().get("CPU", 1)) // resources.threads)
        with Display(console, todo, costs, parallel) as display:

            def ended(job: Job, result: Mapping[str, Any]) -> None:
                if "failed" not in result:
                    costs.ended(job, result)
                elif not (job.folder / FAILURE).exists():  # its process could not say so itself
                    job.folder.mkdir(parents=True, exist_ok=True)
                    run.write_atomically(job.folder / FAILURE, f"{result['failed']}\n")
                display.ended(job, result)

            run_all(ray, todo, resources, costs.memory_mb, done=ended, tick=display.tick)


def _estimate(
    ray: Any,
    costs: Costs,
    waiting: Sequence[Job],
    resources: Resources,
    reasons: dict[tuple[str, str], str],
    console: Console,
) -> None:
    """Measure some steps of each row of which nothing is known yet."""
    unknown = costs.unknown(waiting)
    if not unknown:
        return
    rows = "one row" if len(unknown) == 1 else f"{len(unknown)} rows"
    console.print(f"estimating what {rows} cost, with some steps of each", highlight=False)

    def done(job: Job, result: Mapping[str, Any]) -> None:
        if "failed" in result:
            reasons[job.row, job.dataset] = result["failed"]
        else:
            costs.probed(job, result)

    run_all(ray, unknown, resources, costs.memory_mb, probe=True, done=done)


def _show_tables(
    jobs: Sequence[Job],
    rows: Sequence[Row],
    arguments: argparse.Namespace,
    reasons: Mapping[tuple[str, str], str],
    settings: Mapping[str, str],
    console: Console,
) -> None:
    """Write the tables, show the first ones and say where they all are."""
    why: dict[str, dict[str, str]] = {job.dataset: {} for job in jobs}
    for row, dataset, members in by_row(jobs):
        if words := reasons.get((row, dataset)) or _unfinished(members):
            why[dataset][row] = words
    runs = finished_runs(jobs)
    for masked in (False, True) if arguments.mask_history else (False,):
        pages = write_tables(
            runs,
            arguments.out,
            rows=[row.name for row in rows],
            reasons=why,
            masked=masked,
            command=_command(),
            settings=settings,
        )
        for page in pages.values():
            show_page(console, page)
    for dataset in why:
        console.print(f"tables and plots: {arguments.out / dataset}*", highlight=False, markup=False, soft_wrap=True)


def _adding(row: str, dataset: str, arguments: argparse.Namespace) -> str:
    """The command that trains a row which was left out."""
    words = ["--models", row, "--datasets", dataset, "--seeds", arguments.seeds, "--out", str(arguments.out)]
    return " ".join(["python -m recbole_samrec compare", *map(shlex.quote, words)])


def _command() -> str:
    """What was typed, without what belongs to one computer or one call."""
    words = [word for word in sys.argv[2:] if word not in ("--tables", "--debug")]
    return " ".join(["python -m recbole_samrec compare", *map(shlex.quote, words)])


def _once(note: Callable[[str], None]) -> Callable[[str], None]:
    """Say nothing twice."""
    told: set[str] = set()

    def tell(line: str) -> None:
        if line not in told:
            told.add(line)
            note(line)

    return tell


def _unfinished(members: Sequence[Job]) -> str:
    """What there is to say of a row's runs that are not finished."""
    waiting = [job for job in members if not job.finished]
    failed = {job.seed: (job.folder / FAILURE).read_text("utf-8") for job in waiting if (job.folder / FAILURE).exists()}
    words = [f"seed {seed} failed: {text.splitlines()[0]}" for seed, text in failed.items()]
    if rest := len(waiting) - len(failed):
        words.append(f"{rest} of {len(members)} runs not trained yet")
    return "; ".join(words)
