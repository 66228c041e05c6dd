"""Comparisons from Python: train models on data sets over several seeds and write their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from recbole_samrec.compare.agreement import write_agreement
from recbole_samrec.compare.command_line import format_command
from recbole_samrec.compare.comparison import Comparison
from recbole_samrec.compare.facts import name_place
from recbole_samrec.compare.formats import print_page
from recbole_samrec.compare.prepare import ComparisonPlan, prepare_comparison
from recbole_samrec.compare.primary import Family, Place
from recbole_samrec.compare.shown_settings import format_settings, select_settings
from recbole_samrec.compare.write import join_stem, write_declared, write_tables
from recbole_samrec.config.command_options import CompareOptions
from recbole_samrec.config.value_types import Positive, describe_type, is_accepted
from recbole_samrec.config.yaml_files import read_yaml_files
from recbole_samrec.experiments.estimate import CostBook
from recbole_samrec.experiments.jobs import Job, group_by_entry
from recbole_samrec.experiments.protocols import check_protocols
from recbole_samrec.experiments.ray_cluster import choose_resources
from recbole_samrec.experiments.results import Run, read_finished_runs, set_aside_damaged
from recbole_samrec.experiments.runner import train_all
from recbole_samrec.experiments.shared_training import train_each_once
from recbole_samrec.experiments.worker import read_failure
from recbole_samrec.utils.console import print_line, print_note
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.files import require_writable
from recbole_samrec.utils.installer import require_extra
from recbole_samrec.utils.locks import lock_folder

MODELS = tuple(CompareOptions.model_fields["models"].default.split(","))


def compare_models(
    models: str | Sequence[str] = MODELS,
    datasets: str | Sequence[str] = "ml-100k",
    *,
    seeds: int | Sequence[int] = 5,
    train_fraction: float | Sequence[float] = 1.0,
    config_files: Sequence[str | Path] = (),
    entries: Sequence[str | Path] = (),
    tuned: str | Path | None = None,
    protocol: str | Sequence[str] = (),
    out: str | Path = Path("runs", "compare"),
    pages: str | Path | None = None,
    mask_history: bool = False,
    threads: int = 1,
    parallel: int | None = None,
    gpus: float | None = None,
    address: str | None = None,
    limit_hours: float | None = None,
    train: bool = True,
    console: Console | None = None,
    command: str | None = None,
    **settings: Any,
) -> Comparison:
    """Train every entry on every data set with every seed, and write one table for each data set.

    A finished run is not trained again: the same call continues after an interruption.

    Args:
        models: Models, or names of entries in ``properties/compare.yaml`` or in ``entries``, each perhaps with
            ``+SAM``; or ``file.py:Name``. The first is the reference of the tables.
        datasets: Names of data sets.
        seeds: Number of seeds from 2020 on, or the seeds.
        train_fraction: Shares of the users to train on.
        config_files: Yaml files of settings for all entries.
        entries: Yaml files of further entries, of the form of ``properties/compare.yaml``; one of them may declare
            ``primary`` comparisons.
        tuned: Folder of searches whose best settings are used; None for the defaults.
        protocol: Protocols, each with a table of its own, among ``loo``, ``gts-last``, ``gts-first``, ``gts-random``
            and ``gts-successive``; a further page compares them. None for the protocol of the settings.
        out: Folder of the runs.
        pages: Folder of the tables and plots; None for ``out``.
        mask_history: True to write tables with the history masked, too.
        threads: Threads of each run.
        parallel: Largest number of runs at once; None for as many as there are cores.
        gpus: GPUs of each run, such as 0.5; None for one where there is one.
        address: Address of a Ray cluster to run on.
        limit_hours: Entries of which a run is expected to take longer are skipped.
        train: False to write the tables of finished runs only.
        console: Where progress and tables are shown; None for the terminal or the notebook.
        command: Command that the pages name; None for the one that equals this call.
        settings: Settings for all entries that read them.

    Returns:
        The tables of all finished runs, and the jobs that failed.

    Raises:
        UserError: An argument, a setting or a data set is wrong.
        KeyboardInterrupt: Ctrl-C ended it; the same call resumes it.

    Example:
        ``compare_models(["SAMRec", "SASRec"], "ml-100k", seeds=3, epochs=20).table``
    """
    require_extra("tune" if train else "report", "compare")
    models, datasets = _make_list(models), _make_list(datasets)
    out, pages = Path(out), Path(out if pages is None else pages)
    fractions = [train_fraction] if isinstance(train_fraction, (int, float)) else list(train_fraction)
    console = console or Console()
    resources = choose_resources(threads, parallel, gpus, address)
    if limit_hours is not None and not is_accepted(Positive, limit_hours):
        raise ConfigError(f"--limit_hours={limit_hours}: must be {describe_type(Positive)}")
    chosen: dict[str, Any] = {"seeds": seeds, "fractions": fractions, "config_files": config_files}
    chosen |= {"entry_files": entries}
    chosen |= {"tuned": None if tuned is None else str(tuned), "settings": settings}
    protocols = check_protocols(_make_list(protocol), {**read_yaml_files(list(map(str, config_files))), **settings})
    if command is None:
        places: dict[str, Any] = {"out": out, "pages": pages, "mask_history": mask_history, "protocols": protocols}
        command = format_command(models, datasets, **places, **chosen)
    plans = _prepare_each(models, datasets, protocols, out, console, chosen)
    jobs = [job for plan in plans for job in plan.jobs]
    require_writable(out, "--out")
    if pages != out:
        require_writable(pages, "--pages")
    with lock_folder(out):
        if train:
            set_aside_damaged(jobs, partial(print_note, console))
        costs = CostBook(jobs, out)
        if train and not all(job.finished for job in jobs):
            limits: dict[str, Any] = {"limit_hours": limit_hours, "command": command}
            train_each_once(jobs, lambda some: train_all(some, costs, resources, console, **limits), console)
        return _conclude(plans, costs, out, pages, mask_history, command, console)


def _prepare_each(
    models: Sequence[str],
    datasets: Sequence[str],
    protocols: Sequence[str],
    out: Path,
    console: Console,
    chosen: Mapping[str, Any],
) -> list[ComparisonPlan]:
    """Prepare the comparison under each protocol, and show which entries are skipped."""
    plans, taken, note = [], set[Path](), _note_once(console)
    for name in protocols or [""]:
        plan = prepare_comparison(models, datasets, out=out, note=note, protocol=name, taken=taken, **chosen)
        plans.append(plan)
        for dataset, reasons in plan.incompatible.items():
            for entry, reason in reasons.items():
                print_line(console, f"skipped: {entry} on {name_place(dataset, name)}: {reason}")
    return plans


def _conclude(
    plans: Sequence[ComparisonPlan],
    costs: CostBook,
    out: Path,
    pages: Path,
    mask_history: bool,
    command: str,
    console: Console,
) -> Comparison:
    """Write the tables, show the main ones and their places, and collect the result."""
    masks = (False, True) if mask_history else (False,)
    runs: list[Run] = []
    damaged: dict[Job, str] = {}
    for plan in plans:
        of_plan, damaged_now = read_finished_runs(plan.jobs)
        runs, damaged = [*runs, *of_plan], damaged | damaged_now
    declared = _test_declared(plans, runs)
    for plan in plans:
        of_plan = [run for run in runs if run.protocol == plan.protocol]
        reasons = _explain_missing(plan, costs, damaged)
        for masked in masks:
            for page in _write_pages(plan, of_plan, reasons, pages, masked, masks, command, declared):
                print_page(console, page)
        for dataset in plan.datasets:
            stem = join_stem(dataset, plan.protocol, bool(plan.tuning))
            print_line(console, f"tables and plots: {pages / stem}*")
    entries = [entry.name for entry in plans[0].entries]
    if declared:
        path = write_declared(declared, pages, bool(plans[0].tuning), command)
        print_line(console, f"declared comparisons: {path}")
    if len(plans) > 1:
        for masked in masks:
            path = write_agreement(runs, entries, [plan.protocol for plan in plans], pages, masked, command)
            print_line(console, f"agreement of the protocols: {path}")
    failures = [_list_failures(plan, costs, damaged) for plan in plans]
    return Comparison(
        folder=out,
        entries=entries,
        finished=runs,
        failures=pd.concat(failures, ignore_index=True) if len(failures) > 1 else failures[0],
        damaged=bool(damaged),
        variant_of={entry.name: entry.variant_of for entry in plans[0].entries if entry.variant_of},
        masks=masks,
        declared=declared,
    )


def _test_declared(plans: Sequence[ComparisonPlan], runs: Sequence[Run]) -> Family | None:
    """Test the declared comparisons on all data sets and under all protocols; None if there are none."""
    places = [
        Place(dataset, plan.protocol, plan.incompatible.get(dataset, {})) for plan in plans for dataset in plan.datasets
    ]
    return Family.test(runs, plans[0].declared, places) if plans[0].declared else None


def _write_pages(
    plan: ComparisonPlan,
    runs: Sequence[Run],
    reasons: Mapping[str, Mapping[str, str]],
    folder: Path,
    masked: bool,
    masks: Sequence[bool],
    command: str,
    declared: Family | None,
) -> list[Any]:
    """Write the tables and plots of all data sets, and return their main pages."""
    shown = {
        dataset: format_settings(select_settings([job for job in plan.jobs if job.dataset == dataset]))
        for dataset in plan.datasets
    }
    pages = write_tables(
        runs,
        folder,
        entries=[entry.name for entry in plan.entries],
        variant_of={entry.name: entry.variant_of for entry in plan.entries if entry.variant_of},
        reasons=reasons,
        masked=masked,
        both=len(masks) > 1,
        tuned=plan.tuning,
        origins=plan.origins,
        command=command,
        settings=shown,
        protocol=plan.protocol,
        declared=declared,
    )
    return list(pages.values())


def _explain_missing(plan: ComparisonPlan, costs: CostBook, damaged: Mapping[Job, str]) -> dict[str, dict[str, str]]:
    """Explain, for each data set and entry, why runs are missing in the table."""
    reasons = {dataset: dict(plan.incompatible.get(dataset, {})) for dataset in plan.datasets}
    for members in group_by_entry(plan.jobs):
        first = members[0]
        if words := _explain_entry(members, costs, damaged):
            share = "" if first.fraction == 1 else f"{first.fraction:.0%} of the users: "
            of_set = reasons[first.dataset]
            of_set[first.entry] = "; ".join(filter(None, (of_set.get(first.entry), share + words)))
    return reasons


def _explain_entry(members: Sequence[Job], costs: CostBook, damaged: Mapping[Job, str]) -> str:
    words = [damaged[job] for job in members if job in damaged]
    waiting = [job for job in members if not job.finished]
    if waiting and (reason := costs.skip_reason(waiting[0])):
        return "; ".join([*words, reason])
    failed = {job: reason for job in waiting if (reason := read_failure(job.folder))}
    words += [f"seed {job.seed} failed: {reason}" for job, reason in failed.items()]
    if rest := len(waiting) - len(failed):
        words.append(f"{rest} of {len(members)} runs not trained yet")
    return "; ".join(words)


def _list_failures(plan: ComparisonPlan, costs: CostBook, damaged: Mapping[Job, str]) -> pd.DataFrame:
    """List the jobs without a usable record."""
    named = {"protocol": plan.protocol} if plan.protocol else {}
    lines: list[dict[str, Any]] = [
        {"dataset": dataset, **named, "entry": entry, "seed": None, "fraction": None, "reason": reason}
        for dataset, reasons in plan.incompatible.items()
        for entry, reason in reasons.items()
    ]
    for members in group_by_entry(plan.jobs):
        skipped = costs.skip_reason(members[0])
        for job in members:
            if job.finished and job not in damaged:
                continue
            reason = damaged.get(job) or skipped or read_failure(job.folder) or "not trained yet"
            place = {"dataset": job.dataset, **named, "entry": job.entry, "seed": job.seed, "fraction": job.fraction}
            lines.append({**place, "reason": reason})
    columns = ["dataset", *named, "entry", "seed", "fraction", "reason"]
    return pd.DataFrame(lines, columns=columns).astype({"seed": "Int64", "fraction": "Float64"})


def _make_list(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _note_once(console: Console) -> Callable[[str], None]:
    """Make a function that prints warnings, each once."""
    noted: set[str] = set()

    def note(line: str) -> None:
        if line not in noted:
            noted.add(line)
            print_note(console, line)

    return note
