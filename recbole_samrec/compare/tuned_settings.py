"""Best settings of finished searches, as the entries of a comparison take them."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_samrec.compare.provenance import SearchBudget, Tuning
from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.experiments.entries import Entry
from recbole_samrec.utils.errors import ConfigError

SEARCH, BEST, TRIALS = "search.json", "best.yaml", "trials.csv"
"""Files in the folder of a search: its record, the best settings, and the table of its trials."""
FAILED = "failed"
"""Status in this table of a trial that failed."""
OF_EACH_RUN = {"model", "dataset", "seed", "train_fraction", "run_dir"}
"""Settings that each run of a comparison has for itself."""
STOP_EARLY = ("asha", "median")
"""Schedulers that stop trials after a number of epochs."""


@dataclass(frozen=True)
class SearchRecord:
    """The record of a search.

    Args:
        folder: Its folder.
        entry: Name of the entry whose settings were searched.
        dataset: Name of the data set.
        sha256: Hash of its interactions.
        budget: Trials, epochs and seeds of the search.
        searched: Names of the settings that were searched.
        complete: True if all trials have ended.
        trial: Number of the best trial; None if no trial has a score, or not all have ended.
        passes: Gradient passes of all trials; NaN if an earlier version did not record them.
    """

    folder: Path
    entry: str
    dataset: str
    sha256: str
    budget: SearchBudget
    searched: tuple[str, ...]
    complete: bool
    trial: int | None
    passes: float = math.nan


@dataclass(frozen=True)
class Tuned:
    """Settings that an entry takes from a search.

    Args:
        search: The search; None if the entry keeps its defaults.
        settings: The best settings.
        remarks: Remarks for the reader of a table.
    """

    search: SearchRecord | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def find_searches(folders: Sequence[Path]) -> list[SearchRecord]:
    """Find the records of all searches in some folders and below them, sorted by name.

    Raises:
        ConfigError: A record cannot be read.
    """
    files = {file.resolve(): file for folder in folders for file in sorted(folder.rglob(SEARCH))}
    return [_read_record(file) for file in files.values()]


def _read_record(file: Path) -> SearchRecord:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        complete, space = bool(record.get("complete")), record["space"]
        best = record["found"]["best"] if complete else None
        return SearchRecord(
            folder=file.parent,
            entry=str(record["entry"] if "entry" in record else record["row"]),
            dataset=str(record["dataset"]),
            sha256=str(record["sha256"]),
            budget=_make_budget(record),
            searched=tuple(
                upgrade_settings(dict.fromkeys([*(each["name"] for each in space["parameters"]), *space["follow"]]))
            ),
            complete=complete,
            trial=None if best is None else int(best["trial"]),
            passes=_sum_passes(file.with_name(TRIALS)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file}: not a valid record of a search ({type(error).__name__}: {error}); run the search again, or "
            "name the folder of other searches with --tuned=DIR"
        ) from error


def _sum_passes(file: Path) -> float:
    """Sum the gradient passes of the trials in a search's table; NaN if they are not all known.

    A trial that failed may not have reported any, and counts at least one.
    """
    try:
        table = pd.read_csv(file)
        passes = table["passes"]
        failed = table["status"] == FAILED
    except (OSError, ValueError, KeyError):
        return math.nan
    return float(passes.where(~failed, passes.fillna(0.0).clip(lower=1.0)).sum(skipna=False))


def _make_budget(record: Mapping[str, Any]) -> SearchBudget:
    strategy, epochs = record["strategy"], int(record["epochs"])
    grace = int(strategy["grace"]) if strategy["scheduler"] in STOP_EARLY else 0
    return SearchBudget(
        trials=_count_trials(record),
        search=str(strategy["search"]),
        scheduler=str(strategy["scheduler"]),
        grace=min(grace, epochs),
        epochs=epochs,
        seeds=tuple(int(seed) for seed in record["seeds"]),
        metric=str(record["metric"]),
        passes=strategy.get("passes"),
    )


def _count_trials(record: Mapping[str, Any]) -> int:
    """Count the trials of a search; with a budget in passes, those that have ended."""
    statuses = (record.get("found") or {}).get("statuses")
    if record["strategy"].get("passes") is None or statuses is None:
        return int(record["trials"])
    return sum(int(count) for count in statuses.values())


def tune_entries(
    searches: Sequence[SearchRecord],
    entries: Sequence[Entry],
    dataset: str,
    wishes: Mapping[str, Any],
    where: str,
) -> dict[str, Tuned]:
    """Collect the settings that each entry takes from these searches on a data set.

    Args:
        searches: All searches.
        entries: Entries of the table.
        dataset: Name of the data set.
        wishes: Settings of the user's files and of the command line, which override the found ones.
        where: The folders that were searched, for error messages.

    Raises:
        ConfigError: An entry has two complete searches, its best settings cannot be read or are of another model, or
            no entry has a search.
    """
    tuned = {}
    for entry in entries:
        of_entry = [search for search in searches if (search.entry, search.dataset) == (entry.name, dataset)]
        tuned[entry.name] = _tune_entry(entry, of_entry, wishes)
    if not any(one.search for one in tuned.values()):
        model = shlex.quote(entries[0].source or entries[0].name)
        remarks = [f"{entry}: {remark}" for entry, one in tuned.items() for remark in one.remarks]
        remedies = remarks or [f"make one: python -m recbole_samrec tune --model={model} --dataset={dataset}"]
        raise ConfigError(f"--tuned={where}: no entry has a finished search on {dataset}; {'; '.join(remedies)}")
    return tuned


def _tune_entry(entry: Entry, searches: Sequence[SearchRecord], wishes: Mapping[str, Any]) -> Tuned:
    complete = [search for search in searches if search.complete]
    if len(complete) > 1:
        one, other, *_ = (search.folder for search in complete)
        raise ConfigError(
            f"--tuned: {entry.name} on {complete[0].dataset} has two searches, in {one} and in {other}; name the one "
            "to take with --tuned=DIR"
        )
    if not complete:
        return Tuned(remarks=tuple(_explain_unfinished(search.folder) for search in searches))
    (search,) = complete
    if search.trial is None:
        return Tuned(remarks=(f"no trial of the search in {search.folder} has a score; see its trials.csv",))
    settings = _read_best(search, entry)
    return Tuned(search, settings, tuple(_list_replaced(entry, search, settings, wishes)))


def _explain_unfinished(folder: Path) -> str:
    command = f"python -m recbole_samrec tune --resume={shlex.quote(str(folder))}"
    return f"the search in {folder} is not finished; resume it with {command}"


def _read_best(search: SearchRecord, entry: Entry) -> dict[str, Any]:
    """Read the settings in a search's ``best.yaml``, without those that each run of a comparison sets itself.

    Raises:
        ConfigError: It cannot be read, or is of another model or data set.
    """
    file = search.folder / BEST
    if not file.is_file():
        raise ConfigError(f"{file}: it is missing although the search has finished; run the search again")
    settings = upgrade_settings(read_yaml(file))
    if missing := [name for name in (*search.searched, "model", "dataset") if name not in settings]:
        raise ConfigError(f"{file}: it lacks {', '.join(missing)}; run the search again")
    for key, wanted in (("model", entry.model), ("dataset", search.dataset)):
        if settings[key] != wanted:
            raise ConfigError(
                f"{file}: its {key} is {settings[key]}, but the entry {entry.name} has {wanted}; run a search for "
                "the entry, or name another search with --tuned=DIR"
            )
    return {key: value for key, value in settings.items() if key not in OF_EACH_RUN}


def _list_replaced(
    entry: Entry, search: SearchRecord, settings: Mapping[str, Any], wishes: Mapping[str, Any]
) -> list[str]:
    """List the searched settings for which the user gave other values."""
    given = [key for key in search.searched if key in wishes and key not in entry.fixed]
    keys = [key for key in given if wishes[key] != settings[key]]
    return [f"{key} is {wishes[key]} as given, but its search found {settings[key]}" for key in keys]


def describe_tuning(tuned: Mapping[str, Tuned], sha256: str) -> list[Tuning]:
    """Describe how the entries of a data set were tuned.

    Args:
        tuned: Settings that each entry takes from a search.
        sha256: Hash of the interactions on which the entries are trained.
    """
    described = []
    for entry, one in tuned.items():
        if one.search is None:
            described.append(Tuning(entry, remarks=one.remarks))
            continue
        other = () if one.search.sha256 == sha256 else ("its search was on other data of this name",)
        found = (one.search.budget, one.search.trial, str(one.search.folder))
        described.append(Tuning(entry, *found, (*one.remarks, *other)))
    return described
