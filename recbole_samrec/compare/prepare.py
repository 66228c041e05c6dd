"""Prepares a comparison: reads its entries, checks settings and data, and plans its jobs before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole.utils import ModelType, get_model

from recbole_samrec.compare.declarations import Declarations, read_declarations
from recbole_samrec.compare.provenance import Origin, Tuning, read_origins
from recbole_samrec.compare.tuned_settings import Tuned, describe_tuning, find_searches, tune_entries
from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.yaml_files import read_yaml_files
from recbole_samrec.data.temporal_options import GTS
from recbole_samrec.experiments.entries import Entry, read_entries
from recbole_samrec.experiments.jobs import Job, choose_settings, plan_jobs
from recbole_samrec.experiments.protocols import PROTOCOLS
from recbole_samrec.experiments.seeds import choose_seeds
from recbole_samrec.utils.errors import ConfigError, DataError


@dataclass(frozen=True)
class ComparisonPlan:
    """A comparison that can start.

    Args:
        entries: Its entries; the first is the reference of the tables.
        jobs: Its jobs.
        incompatible: For each data set, the entries that are incompatible with it, and why.
        tuning: For each data set, how its entries were tuned.
        origins: Where settings come from that are no defaults.
        protocol: Name of its protocol, if the comparison has several.
        declared: The comparisons that the files of entries declare.
    """

    entries: Sequence[Entry]
    jobs: Sequence[Job]
    incompatible: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tuning: Mapping[str, Sequence[Tuning]] = field(default_factory=dict)
    origins: Sequence[Origin] = ()
    protocol: str = ""
    declared: Declarations = field(default_factory=Declarations)

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets, also of those that all entries are incompatible with."""
        return list(dict.fromkeys([*(job.dataset for job in self.jobs), *self.incompatible]))


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
    taken: set[Path] | None = None,
) -> ComparisonPlan:
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
        note: Function that is called with warnings.
        protocol: Name of a protocol; empty for the one of the settings.
        taken: Folders of other jobs of the comparison, to which those of this plan are added.

    Raises:
        UserError: A setting is wrong, or no data set can be used.
    """
    tables = [Path(file) for file in entry_files]
    entries = read_entries(models, tables)
    declared = read_declarations(tables, entries)
    origins = read_origins(tables)
    numbers, shares = choose_seeds(seeds), _check_fractions(fractions)
    given, files = dict(settings or {}), read_yaml_files([str(file) for file in config_files], note)
    if protocol:
        given |= {"eval_args": PROTOCOLS[protocol]}
    best = _collect_tuned(tuned, entries, datasets, {**files, **given})
    found = {dataset: {entry: one.settings for entry, one in of.items()} for dataset, of in best.items()}
    incompatible: dict[str, dict[str, str]] = {}

    def skip(entry: str, dataset: str, error: DataError) -> None:
        incompatible.setdefault(dataset, {})[entry] = str(error)

    def settings_on(dataset: str) -> dict[str, dict[str, Any]]:
        return choose_settings(entries, dataset, files, given, tables, found.get(dataset), note)

    hashes = _check_datasets(datasets, settings_on, files, note, skip)
    tuning = {name: describe_tuning(best[name], sha256) for name, sha256 in hashes.items() if name in best}
    for dataset, of in tuning.items():
        for one in of:
            note(f"{dataset}: {one}")
    jobs = plan_jobs(
        entries,
        hashes,
        numbers,
        shares,
        out,
        files=files,
        given=given,
        tables=tables,
        tuned=found,
        note=note,
        skip=skip,
        protocol=protocol,
        taken=taken,
    )
    for line in _warn_of_mixed_predictions(jobs):
        note(line)
    return ComparisonPlan(entries, jobs, incompatible, tuning, origins, protocol, declared)


def _warn_of_mixed_predictions(jobs: Sequence[Job]) -> Iterator[str]:
    """Warn of entries on one data set that are not compared if a user has several test events."""
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
        raise ConfigError(f"--train_fraction={named}: give different numbers above 0 and at most 1")
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


def _check_datasets(
    names: Sequence[str],
    settings_on: Callable[[str], Mapping[str, Mapping[str, Any]]],
    files: Mapping[str, Any],
    note: Callable[[str], None],
    skip: Callable[[str, str, DataError], None],
) -> dict[str, str]:
    """Find the data sets and check their files once, as the first compatible entry reads them; return their hashes.

    Raises:
        DataError: One of them cannot be read, or all are incompatible with all entries.
    """
    hashes: dict[str, str] = {}
    errors: list[DataError] = []
    for name in names:
        for entry, settings in settings_on(name).items():
            try:
                config = configure({**settings, "dataset": name}, {}, note, files, plans=True)
            except DataError as error:
                errors.append(error)
                skip(entry, name, error)
            else:
                hashes[name] = check_data(config, note).sha256
                break
    if not hashes:
        raise errors[0]
    return hashes
