"""Comparisons from Python: train models on data sets over several seeds and write their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_samrec.compare.choices import Choices, check_choices
from recbole_samrec.compare.command_line import format_command
from recbole_samrec.compare.comparison import Comparison
from recbole_samrec.compare.conclusion import Conclusion
from recbole_samrec.compare.continued_search import continue_searches
from recbole_samrec.compare.control_groups import check_controls
from recbole_samrec.compare.equal_passes import Budget, add_equal_entries
from recbole_samrec.compare.facts import name_place
from recbole_samrec.compare.incompatible import remember_incompatible
from recbole_samrec.compare.prepare import ComparisonPlan, Preparation, check_validation, prepare_comparison
from recbole_samrec.compare.selection import Selector, select_settings
from recbole_samrec.config.command_options import CompareOptions
from recbole_samrec.config.own_data import adopt_all
from recbole_samrec.config.value_types import Positive, describe_type, is_accepted
from recbole_samrec.config.yaml_files import read_yaml_files
from recbole_samrec.data.convert.frame import Roles
from recbole_samrec.experiments.entries import Entry
from recbole_samrec.experiments.estimate import CostBook
from recbole_samrec.experiments.jobs import Job
from recbole_samrec.experiments.protocols import check_protocols
from recbole_samrec.experiments.ray_cluster import RayConnection, choose_resources
from recbole_samrec.experiments.results import set_aside_damaged
from recbole_samrec.experiments.runner import train_all
from recbole_samrec.experiments.seeds import SELECT_SEEDS, choose_select_seeds
from recbole_samrec.experiments.shared_training import train_each_once
from recbole_samrec.utils.console import print_line, print_note
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.files import require_writable
from recbole_samrec.utils.installer import require_extra
from recbole_samrec.utils.locks import lock_folder

MODELS = tuple(CompareOptions.model_fields["models"].default.split(","))


def compare_models(
    models: str | Sequence[str] = MODELS,
    datasets: Any = "ml-100k",
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    items: Any = None,
    seeds: int | Sequence[int] = 5,
    train_fraction: float | Sequence[float] = 1.0,
    config_files: Sequence[str | Path] = (),
    entries: Sequence[str | Path] = (),
    tuned: str | Path | None = None,
    protocol: str | Sequence[str] = (),
    select: bool = False,
    select_seeds: int | Sequence[int] = SELECT_SEEDS,
    equal: str | None = None,
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
        models: Models, or names of entries in ``properties/compare.yaml`` or in ``entries``, optionally with ``+SAM``;
            or ``file.py:Name`` for your own model. The first is the reference of the tables.
        datasets: One data set or a list of them: names, pandas or polars frames, or paths of Parquet files with one row
            per event.
        user: Column of the frames and files with user ids; None for ``user_id``.
        item: Column with item ids; None for ``item_id``.
        time: Column with times, as numbers or dates; None for ``timestamp``.
        items: Frame or Parquet file of the items with their attributes, one row for each; None for none.
        seeds: Number of seeds from 2020 on, or the seeds.
        train_fraction: Shares of the users to train on.
        config_files: Yaml files of settings for all entries.
        entries: Yaml files of further entries, in the format of ``properties/compare.yaml``; one of them may declare
            ``primary`` comparisons.
        tuned: Folder of searches whose best settings are used; None for the defaults.
        protocol: Protocols, each with its own table, among ``loo``, ``gts-last``, ``gts-first``, ``gts-random``
            and ``gts-successive``; a further page compares them. None for the protocol of the settings.
        select: True to choose settings by validation among the candidates that entries declare under ``choose``; the
            runs that choose are never tested.
        select_seeds: Number of seeds from 2015 on of these runs, or the seeds; none may be among ``seeds``.
        equal: ``passes`` to add entries whose search continues until they have used as many gradient passes as their
            entry with SAM; None for no such entries.
        out: Folder of the runs.
        pages: Folder of the tables and plots; None for ``out``.
        mask_history: True to also write tables with the history masked. With ``select``, validation then masks the
            history, and the tables without masking are exploratory.
        threads: Threads of each run.
        parallel: Largest number of runs at once; None for as many as there are cores.
        gpus: GPUs of each run, such as 0.5; None for one GPU if there is one.
        address: Address of a Ray cluster to run on.
        limit_hours: Skip entries whose runs are expected to take longer.
        train: False to write only the tables of finished runs.
        console: Console for progress and tables; None for the terminal or the notebook.
        command: Command to show on the pages; None for the command that equals this call.
        settings: Settings for all entries that read them.

    Returns:
        The tables of all finished runs, and the jobs that failed.

    Raises:
        UserError: An argument, a setting or a data set cannot be used.
        KeyboardInterrupt: Ctrl-C stopped the comparison; the same call resumes it.

    Example::

        from recbole_samrec import compare_models

        compare_models(["SAMRec", "SASRec"], "ml-100k", seeds=2, epochs=5).table
    """
    require_extra("tune" if train else "report", "compare")
    models, files = _make_list(models), read_yaml_files(list(map(str, config_files)))
    out, pages = Path(out), Path(out if pages is None else pages)
    fractions = [train_fraction] if isinstance(train_fraction, (int, float)) else list(train_fraction)
    console = console or Console()
    tables = datasets if isinstance(datasets, (list, tuple)) else [datasets]
    datasets = adopt_all(tables, Roles(user, item, time), {**files, **settings}, partial(print_note, console), items)
    resources = choose_resources(threads, parallel, gpus, address)
    if limit_hours is not None and not is_accepted(Positive, limit_hours):
        raise ConfigError(f"--limit_hours={limit_hours}: must be {describe_type(Positive)}")
    chosen: dict[str, Any] = {"seeds": seeds, "fractions": fractions, "config_files": config_files}
    chosen |= {"entry_files": entries}
    chosen |= {"tuned": None if tuned is None else str(tuned), "settings": settings}
    given = {**files, **settings}
    protocols = check_protocols(_make_list(protocol), given)
    selects = _choose_selection(select, select_seeds, seeds, equal)
    if command is None:
        places: dict[str, Any] = {"out": out, "pages": pages, "mask_history": mask_history, "protocols": protocols}
        places |= {"select_seeds": selects, "equal": equal}
        command = format_command(models, datasets, **places, **chosen)
    validates_masked = bool(select and (mask_history or given.get("mask_history")))
    if validates_masked:
        given = given | {"mask_history": True}
        chosen["settings"] = {**settings, "mask_history": True}

    def extend(known: list[Entry]) -> list[Entry]:
        check_choices(known, given, select)
        check_controls(known, given)
        return add_equal_entries(known, given) if equal else known

    chosen |= {"extend": extend, "trains": train}
    preparations = _prepare_each(models, datasets, protocols, out, console, chosen)
    plans = _plan_each(preparations)
    check_validation(plans, select)
    _show_skipped(plans, console)
    require_writable(out, "--out")
    if pages != out:
        require_writable(pages, "--pages")

    limits: dict[str, Any] = {"limit_hours": limit_hours, "command": command}
    with lock_folder(out), RayConnection(resources) as connection:
        if train:
            _remember_incompatible(plans, out)
        trainer = _Trainer(train, console, lambda some, costs: train_all(some, costs, connection, console, **limits))
        choices: list[Choices] = []
        budgets: list[Mapping[str, Mapping[str, Budget]]] = []
        if select:
            selector = Selector(tuple(selects), out, trainer.train)
            choices = select_settings(preparations, selector)
            plans = _plan_each(preparations, choices)
        costs = trainer.train(_join_jobs(plans), out)
        if equal:
            for preparation, plan, made in zip(preparations, plans, choices, strict=True):
                budgets.append(continue_searches(preparation, made, plan.jobs, selector))
            plans = _plan_each(preparations, choices)
            costs = trainer.train(_join_jobs(plans), out)
        masks = (validates_masked, not validates_masked) if select else (False, True) if mask_history else (False,)
        return Conclusion(plans, costs, out, pages, masks, command, given, choices, budgets).write(console)


@dataclass(frozen=True)
class _Trainer:
    """Trains the jobs of a comparison that are not finished.

    Attributes:
        trains: False to train nothing.
        console: Where progress is shown.
        train_all: Function that trains jobs whose costs it is given.
    """

    trains: bool
    console: Console
    train_all: Callable[[Sequence[Job], CostBook], None]

    def train(self, jobs: Sequence[Job], folder: Path) -> CostBook:
        """Train jobs whose folders are all in one folder, and return their costs."""
        if self.trains:
            set_aside_damaged(jobs, partial(print_note, self.console))
        costs = CostBook(jobs, folder)
        if self.trains and not all(job.finished for job in jobs):
            train_each_once(jobs, lambda some: self.train_all(some, costs), self.console)
        return costs


def _choose_selection(
    select: bool, select_seeds: int | Sequence[int], seeds: int | Sequence[int], equal: str | None
) -> list[int]:
    """Choose the seeds of the selection; empty if nothing is selected.

    Raises:
        ConfigError: They overlap with the seeds of the comparison, or something needs ``--select``.
    """
    if equal not in (None, "passes"):
        raise ConfigError(f"--equal={equal}: only --equal=passes is supported")
    if equal and not select:
        raise ConfigError("--equal=passes requires --select; add it")
    return choose_select_seeds(select_seeds, seeds) if select else []


def _join_jobs(plans: Sequence[ComparisonPlan]) -> list[Job]:
    return [job for plan in plans for job in plan.jobs]


def _plan_each(preparations: Sequence[Preparation], choices: Sequence[Choices] = ()) -> list[ComparisonPlan]:
    """Plan the comparison under each protocol, with the choices made so far."""
    taken, plans = set[Path](), []
    for number, preparation in enumerate(preparations):
        made = choices[number] if choices else Choices()
        plans.append(preparation.plan(made.collect(preparation), made.waiting, taken=taken))
    return plans


def _show_skipped(plans: Sequence[ComparisonPlan], console: Console) -> None:
    for plan in plans:
        for dataset, reasons in plan.incompatible.items():
            for entry, reason in reasons.items():
                print_line(console, f"skipped: {entry} on {name_place(dataset, plan.protocol)}: {reason}")


def _remember_incompatible(plans: Sequence[ComparisonPlan], out: Path) -> None:
    """Keep which entries were skipped, so that the pages can be written without the data sets."""
    for plan in plans:
        for dataset in plan.datasets:
            names = [entry.name for entry in plan.entries]
            remember_incompatible(out / dataset, plan.protocol, names, plan.incompatible.get(dataset, {}))


def _prepare_each(
    models: Sequence[str],
    datasets: Sequence[str],
    protocols: Sequence[str],
    out: Path,
    console: Console,
    chosen: Mapping[str, Any],
) -> list[Preparation]:
    """Prepare the comparison under each protocol."""
    note = _note_once(console)
    return [
        prepare_comparison(models, datasets, out=out, note=note, protocol=name, **chosen) for name in protocols or [""]
    ]


def _make_list(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _note_once(console: Console) -> Callable[[str], None]:
    """Make a function that prints each warning once."""
    noted: set[str] = set()

    def note(line: str) -> None:
        if line not in noted:
            noted.add(line)
            print_note(console, line)

    return note
