"""Prepares a comparison: reads its entries, checks settings and data, and plans its jobs before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recbole.utils import ModelType, get_model

from recbole_samrec.compare.declarations import Declarations, read_declarations
from recbole_samrec.compare.incompatible import recall_incompatible
from recbole_samrec.compare.provenance import Origin, Tuning, read_origins
from recbole_samrec.compare.tuned_settings import Tuned, describe_tuning, find_searches, tune_entries
from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.yaml_files import read_yaml_files
from recbole_samrec.data.find import is_here
from recbole_samrec.data.temporal_options import GTS
from recbole_samrec.experiments.entries import Entry, read_entries
from recbole_samrec.experiments.job_folders import read_recorded_hash
from recbole_samrec.experiments.jobs import Job, choose_settings, plan_jobs
from recbole_samrec.experiments.protocols import ALIKE, PROTOCOLS
from recbole_samrec.experiments.seeds import choose_seeds
from recbole_samrec.utils.errors import ConfigError, DataError

Chosen = Mapping[str, Mapping[str, Mapping[str, Any]]]
Waiting = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class ComparisonPlan:
    """A comparison that can start.

    Args:
        entries: Its entries; the first is the reference of the tables.
        jobs: Its jobs.
        incompatible: For each data set, the entries that are incompatible with it, and why.
        tuning: For each data set, how its entries were tuned.
        origins: Origins of settings that are not defaults.
        protocol: Name of its protocol, if the comparison has several.
        declared: The comparisons that the files of entries declare.
        waiting: For each data set, the entries that have no jobs yet, as their settings are not chosen, and why.
    """

    entries: Sequence[Entry]
    jobs: Sequence[Job]
    incompatible: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tuning: Mapping[str, Sequence[Tuning]] = field(default_factory=dict)
    origins: Sequence[Origin] = ()
    protocol: str = ""
    declared: Declarations = field(default_factory=Declarations)
    waiting: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets, including those that no entry is compatible with."""
        return list(dict.fromkeys([*(job.dataset for job in self.jobs), *self.incompatible, *self.waiting]))


@dataclass(frozen=True)
class Preparation:
    """Checked entries, data and settings from which the jobs of a comparison are planned.

    Args:
        entries: Its entries; the first is the reference of the tables.
        hashes: Names of the data sets, with the hashes of their interactions.
        seeds: The seeds.
        fractions: Shares of the users to train on.
        out: Folder of the comparison.
        files: Settings of the user's files, for all entries.
        given: Settings of the command line, for all entries that read them.
        tables: The user's files of entries.
        tuned: For each data set and entry, what it takes from a search.
        incompatible: For each data set, the entries that are incompatible with it, and why; filled by planning.
        origins: Origins of settings that are not defaults.
        protocol: Name of its protocol, if the comparison has several.
        declared: The comparisons that the files of entries declare.
        note: Called with warnings.
        short: Data sets with users that have too few events for leave-one-out to hold out the same for all models.
    """

    entries: Sequence[Entry]
    hashes: Mapping[str, str]
    seeds: Sequence[int]
    fractions: Sequence[float]
    out: Path
    files: Mapping[str, Any]
    given: Mapping[str, Any]
    tables: Sequence[Path]
    tuned: Mapping[str, Mapping[str, Tuned]]
    incompatible: dict[str, dict[str, str]]
    origins: Sequence[Origin]
    protocol: str
    declared: Declarations
    note: Callable[[str], None]
    short: Collection[str] = ()

    @property
    def found(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """For each data set and entry, the settings that a search found."""
        return {
            dataset: {entry: one.settings for entry, one in self.list_tuned(dataset).items()} for dataset in self.tuned
        }

    def list_tuned(self, dataset: str) -> dict[str, Tuned]:
        """List the settings that each entry takes from a search on a data set: its own, or that of its ``tuned_as``.

        Of another entry it takes what was searched; the rest may be what it differs in. An entry that continues the
        search of another one takes all.
        """
        of = self.tuned.get(dataset, {})
        listed = {}
        for entry in self.entries if of else ():
            one = of[entry.tuned_as or entry.name]
            if entry.tuned_as and not entry.continues and one.search is not None:
                one = replace(one, settings={key: one.settings[key] for key in one.search.searched})
            listed[entry.name] = one
        return listed

    def plan(self, chosen: Chosen | None = None, waiting: Waiting | None = None, **options: Any) -> ComparisonPlan:
        """Plan the jobs of the comparison.

        Args:
            chosen: For each data set and entry, the settings that validation chose.
            waiting: For each data set, the entries whose settings are not chosen yet, and why; they get no jobs.
            options: Further arguments of :func:`~recbole_samrec.experiments.jobs.plan_jobs`.
        """
        waiting = {name: dict(of) for name, of in (waiting or {}).items() if of}
        jobs = self.plan_jobs(
            self.entries,
            self.seeds,
            self.fractions,
            self.out,
            tuned=self.found,
            chosen=chosen,
            skip=self._skip,
            **options,
        )
        self._recall_incompatible({job.dataset for job in jobs if job.without_data})
        left_out = {name: {*waiting.get(name, {}), *self.incompatible.get(name, {})} for name in self.hashes}
        jobs = [job for job in jobs if job.entry not in left_out[job.dataset]]
        for line in _warn_of_mixed_predictions(jobs):
            self.note(line)
        tuning = {name: self._describe_tuning(name) for name in self.hashes if name in self.tuned}
        what = (tuning, self.origins, self.protocol, self.declared, waiting)
        return ComparisonPlan(self.entries, jobs, self.incompatible, *what)

    def plan_jobs(
        self, entries: Sequence[Entry], seeds: Sequence[int], fractions: Sequence[float], out: Path, **options: Any
    ) -> list[Job]:
        """Plan jobs of some entries on all data sets; see :func:`~recbole_samrec.experiments.jobs.plan_jobs`."""
        return plan_jobs(
            entries,
            self.hashes,
            seeds,
            fractions,
            out,
            files=self.files,
            given=self.given,
            tables=self.tables,
            note=self.note,
            protocol=self.protocol,
            short=self.short,
            **options,
        )

    def _recall_incompatible(self, datasets: Iterable[str]) -> None:
        """Skip the entries that were incompatible with data sets that are not on this machine."""
        names = {entry.name for entry in self.entries}
        for dataset in datasets:
            for name, reason in recall_incompatible(self.out / dataset, self.protocol).items():
                if name in names:
                    self.incompatible.setdefault(dataset, {})[name] = reason

    def _skip(self, entry: str, dataset: str, error: DataError) -> None:
        self.incompatible.setdefault(dataset, {})[entry] = str(error)

    def _describe_tuning(self, dataset: str) -> list[Tuning]:
        described = describe_tuning(self.list_tuned(dataset), self.hashes[dataset])
        for one in described:
            self.note(f"{dataset}: {one}")
        return described


def prepare_comparison(
    models: Sequence[str],
    datasets: Sequence[str],
    *,
    seeds: int | Sequence[int],
    fractions: Sequence[float],
    out: Path,
    config_files: Sequence[str | Path] = (),
    entry_files: Sequence[str | Path] = (),
    tuned: str | None = None,
    settings: Mapping[str, Any] | None = None,
    note: Callable[[str], None] = lambda line: None,
    protocol: str = "",
    extend: Callable[[list[Entry]], list[Entry]] = lambda entries: entries,
    trains: bool = True,
) -> Preparation:
    """Prepare a comparison; see :func:`recbole_samrec.compare.api.compare_models` for the arguments.

    Args:
        models: Models or entries.
        datasets: Data sets.
        seeds: Number of seeds, or the seeds.
        fractions: Shares of the users to train on.
        out: Folder of the comparison.
        config_files: Yaml files of settings.
        entry_files: Yaml files of entries.
        tuned: Folders of searches, separated by blanks; None to use defaults.
        settings: Settings for all entries that read them.
        note: Called with warnings.
        protocol: Name of a protocol; empty for the one of the settings.
        extend: Function that adds entries.
        trains: False if nothing is trained, so that a data set with records need not be on this machine.

    Raises:
        UserError: A setting is wrong, or no data set can be used.
    """
    tables = [Path(file) for file in entry_files]
    entries = extend(read_entries(models, tables))
    declared = read_declarations(tables, entries)
    origins = read_origins(tables)
    numbers, shares = choose_seeds(seeds), _check_fractions(fractions)
    given, files = dict(settings or {}), read_yaml_files([str(file) for file in config_files], note)
    if protocol:
        given |= {"eval_args": PROTOCOLS[protocol]}
    best = _collect_tuned(tuned, entries, datasets, {**files, **given})
    before = Preparation(
        entries=entries,
        hashes=dict.fromkeys(datasets, ""),
        seeds=numbers,
        fractions=shares,
        out=out,
        files=files,
        given=given,
        tables=tables,
        tuned=best,
        incompatible={},
        origins=origins,
        protocol=protocol,
        declared=declared,
        note=note,
    )

    def settings_on(dataset: str) -> dict[str, dict[str, Any]]:
        return choose_settings(entries, dataset, files, given, tables, before.found.get(dataset), note=note)

    records = None if trains else out
    hashes, short = _check_datasets(datasets, settings_on, files, note, before._skip, records)
    return replace(before, hashes=hashes, short=short)


def check_validation(plans: Sequence[ComparisonPlan], select: bool) -> None:
    """Check that entries which are tested or chosen by one rule are all validated with the history masked, or none.

    Args:
        plans: The comparison under each protocol.
        select: Whether validation chooses settings, so that this applies to all entries and not the declared ones only.

    Raises:
        ConfigError: Some are validated with the history masked and some are not.
    """
    first: dict[bool, Job] = {}
    for plan in plans:
        for job in plan.jobs:
            if select or job.entry in plan.declared.names:
                first.setdefault(bool(job.settings.get("mask_history")), job)
    if len(first) > 1:
        masked, other = (f"{first[form].entry} on {first[form].dataset}" for form in (True, False))
        why = "--select" if select else "primary and equivalence"
        raise ConfigError(
            f"mask_history: validation masks the history of {masked}, but not that of {other}; for {why}, give all "
            "entries the same mask_history"
        )


def _warn_of_mixed_predictions(jobs: Sequence[Job]) -> Iterator[str]:
    """Warn about entries of one data set that are not compared if a user has several test events."""
    first: dict[str, dict[bool, str]] = {}
    for job in jobs:
        if {"LS", GTS}.isdisjoint((job.settings.get("eval_args") or {}).get("split") or {}):
            sequential = get_model(job.settings["model"]).type == ModelType.SEQUENTIAL
            first.setdefault(job.dataset, {}).setdefault(sequential, job.entry)
    for dataset, kinds in first.items():
        if len(kinds) > 1:
            yield (
                f"{dataset}: {kinds[True]} predicts a user's test events one by one and {kinds[False]} at once; "
                "there will be no table of both if a user has several; a leave-one-out split (LS) has one"
            )


def _check_fractions(fractions: Sequence[float]) -> list[float]:
    if not fractions or not all(0 < share <= 1 for share in fractions) or len(set(fractions)) < len(fractions):
        named = ",".join(f"{share:g}" for share in fractions)
        raise ConfigError(f"--train_fraction={named}: give distinct numbers in (0, 1]")
    return sorted(fractions)


def _collect_tuned(
    folders: str | None, entries: Sequence[Entry], datasets: Sequence[str], wishes: Mapping[str, Any]
) -> dict[str, dict[str, Tuned]]:
    """Collect, for each data set, the settings that the entries take from searches."""
    if folders is None:
        return {}
    if not folders.split():
        raise ConfigError("--tuned: name a folder of searches")
    searches = find_searches([Path(folder) for folder in folders.split()])
    return {dataset: tune_entries(searches, entries, dataset, wishes, folders) for dataset in datasets}


def _hash_records(config: Any, records: Path | None, note: Callable[[str], None]) -> str | None:
    """Return the recorded hash of a data set that is not on this machine; None if it is, or without records."""
    name, folder = config["dataset"], Path(config["data_path"])
    if records is None or is_here(name, folder.parent):
        return None
    if found := read_recorded_hash(records / name):
        note(f"{name} is not in {folder}; the tables are made of the records in {records / name} alone")
    return found


def _check_datasets(
    names: Sequence[str],
    settings_on: Callable[[str], Mapping[str, Mapping[str, Any]]],
    files: Mapping[str, Any],
    note: Callable[[str], None],
    skip: Callable[[str, str, DataError], None],
    records: Path | None,
) -> tuple[dict[str, str], set[str]]:
    """Find the data sets and check their files once, as the first compatible entry reads them.

    With a folder of records, the hash of a data set that is not on this machine is that of its records.

    Returns:
        Their hashes, and the data sets with users that have too few events for the same leave-one-out of all models.

    Raises:
        DataError: One of them cannot be read, or all are incompatible with all entries.
    """
    hashes: dict[str, str] = {}
    short: set[str] = set()
    errors: list[DataError] = []
    for name in names:
        for entry, settings in settings_on(name).items():
            try:
                config = configure({**settings, "dataset": name}, {}, note, files, plans=True)
            except DataError as error:
                errors.append(error)
                skip(entry, name, error)
            else:
                if (recorded := _hash_records(config, records, note)) is not None:
                    hashes[name] = recorded
                    break
                summary = check_data(config, note)
                hashes[name] = summary.sha256
                if summary.findings.shortest < ALIKE:
                    short.add(name)
                break
    if not hashes:
        raise errors[0]
    return hashes, short
