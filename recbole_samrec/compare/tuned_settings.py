"""What searches found, as the rows of a comparison take it: the best settings, and what a table says of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_samrec.compare.provenance import Budget, Tuning
from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.experiments.entries import Row
from recbole_samrec.utils.errors import ConfigError

SEARCH, BEST = "search.json", "best.yaml"
"""Files in the folder of a search: its record, and the best settings."""
FOLDER = "runs/tune"
"""Where searches are if nobody says otherwise."""
OF_EACH_RUN = {"model", "dataset", "seed", "train_fraction", "run_dir"}
"""Settings that a comparison gives to each run itself."""
STOP_EARLY = ("asha", "median")
"""Schedulers that stop trials after some epochs of grace."""


@dataclass(frozen=True)
class Search:
    """The record of a search.

    Args:
        folder: Where it is.
        row: Name of the row whose settings were searched.
        dataset: Name of the data set.
        sha256: Hash of its interactions.
        budget: What the search was given.
        searched: Names of the settings that were searched.
        complete: Whether all trials have ended.
        trial: Number of the best trial; None if no trial came to a score, or not all have ended.
    """

    folder: Path
    row: str
    dataset: str
    sha256: str
    budget: Budget
    searched: tuple[str, ...]
    complete: bool
    trial: int | None


@dataclass(frozen=True)
class Tuned:
    """What a row takes from a search.

    Args:
        search: The search; None if the row keeps its defaults.
        settings: The best settings.
        remarks: What a reader has to know besides.
    """

    search: Search | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def searches_under(folders: Sequence[Path]) -> list[Search]:
    """The records of all searches in some folders and below them, in the order of their names.

    Raises:
        ConfigError: A record cannot be read.
    """
    files = {file.resolve(): file for folder in folders for file in sorted(folder.rglob(SEARCH))}
    return [_recorded(file) for file in files.values()]


def _recorded(file: Path) -> Search:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        complete, space = bool(record.get("complete")), record["space"]
        best = record["found"]["best"] if complete else None
        return Search(
            folder=file.parent,
            row=str(record["row"]),
            dataset=str(record["dataset"]),
            sha256=str(record["sha256"]),
            budget=_budget(record),
            searched=tuple(
                upgrade_settings(dict.fromkeys([*(each["name"] for each in space["parameters"]), *space["follow"]]))
            ),
            complete=complete,
            trial=None if best is None else int(best["trial"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file}: this is no record of a search ({type(error).__name__}: {error}); make the search anew, or name "
            "the folders of others with --tuned=DIR"
        ) from error


def _budget(record: Mapping[str, Any]) -> Budget:
    strategy, epochs = record["strategy"], int(record["epochs"])
    grace = int(strategy["grace"]) if strategy["scheduler"] in STOP_EARLY else 0
    return Budget(
        trials=int(record["trials"]),
        search=str(strategy["search"]),
        scheduler=str(strategy["scheduler"]),
        grace=min(grace, epochs),
        epochs=epochs,
        seeds=tuple(int(seed) for seed in record["seeds"]),
        metric=str(record["metric"]),
    )


def tuned_rows(
    searches: Sequence[Search],
    rows: Sequence[Row],
    dataset: str,
    wishes: Mapping[str, Any],
    where: str,
) -> dict[str, Tuned]:
    """What each row takes from these searches on a data set.

    Args:
        searches: All there are.
        rows: The rows of the table.
        dataset: Name of the data set.
        wishes: Settings of the user's files and of the command line, which win over what was found.
        where: The folders that were looked through, as an error names them.

    Raises:
        ConfigError: A row has two complete searches, its best settings cannot be read or are of another model, or no
            row has a search.
    """
    tuned = {}
    for row in rows:
        of_row = [search for search in searches if (search.row, search.dataset) == (row.name, dataset)]
        tuned[row.name] = _of_row(row, of_row, wishes)
    if not any(one.search for one in tuned.values()):
        model = shlex.quote(rows[0].source or rows[0].name)
        remarks = [f"{row}: {remark}" for row, one in tuned.items() for remark in one.remarks]
        remedies = remarks or [f"make one: python -m recbole_samrec tune --model={model} --dataset={dataset}"]
        raise ConfigError(f"--tuned={where}: no row has a finished search on {dataset}; {'; '.join(remedies)}")
    return tuned


def _of_row(row: Row, searches: Sequence[Search], wishes: Mapping[str, Any]) -> Tuned:
    complete = [search for search in searches if search.complete]
    if len(complete) > 1:
        one, other, *_ = (search.folder for search in complete)
        raise ConfigError(
            f"--tuned: {row.name} on {complete[0].dataset} has two searches, in {one} and in {other}; name the one to "
            "take with --tuned=DIR"
        )
    if not complete:
        return Tuned(remarks=tuple(_unfinished(search.folder) for search in searches))
    (search,) = complete
    if search.trial is None:
        return Tuned(remarks=(f"no trial of the search in {search.folder} came to a score; its trials.csv says why",))
    settings = _best_settings(search, row)
    return Tuned(search, settings, tuple(_replaced(row, search, settings, wishes)))


def _unfinished(folder: Path) -> str:
    command = f"python -m recbole_samrec tune --resume={shlex.quote(str(folder))}"
    return f"the search in {folder} is not finished; go on with {command}"


def _best_settings(search: Search, row: Row) -> dict[str, Any]:
    """The settings in a search's ``best.yaml``, without those that a comparison gives to each run.

    Raises:
        ConfigError: It cannot be read, or is of another model or data set.
    """
    file = search.folder / BEST
    if not file.is_file():
        raise ConfigError(f"{file}: it is missing, and the search is finished; make the search anew")
    settings = upgrade_settings(read_yaml(file))
    if missing := [name for name in (*search.searched, "model", "dataset") if name not in settings]:
        raise ConfigError(f"{file}: it says nothing of {', '.join(missing)}; make the search anew")
    for key, wanted in (("model", row.model), ("dataset", search.dataset)):
        if settings[key] != wanted:
            raise ConfigError(
                f"{file}: it is of the {key} {settings[key]}, and the row {row.name} is of {wanted}; make a search for "
                "the row, or name another with --tuned=DIR"
            )
    return {key: value for key, value in settings.items() if key not in OF_EACH_RUN}


def _replaced(row: Row, search: Search, settings: Mapping[str, Any], wishes: Mapping[str, Any]) -> list[str]:
    """What the user gave in place of what the search found."""
    keys = [key for key in search.searched if key in wishes and key not in row.fixed and wishes[key] != settings[key]]
    return [f"{key} is {wishes[key]} as given, where its search found {settings[key]}" for key in keys]


def describe_tuning(tuned: Mapping[str, Tuned], sha256: str) -> list[Tuning]:
    """Describe how the entries of a data set were tuned.

    Args:
        tuned: What each entry takes from a search.
        sha256: Hash of the interactions that the entries are trained on.
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
