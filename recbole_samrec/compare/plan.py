"""Which runs a comparison consists of, and which of them are finished already."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from recbole.utils import get_model

from recbole_samrec import plugin
from recbole_samrec.checks import check_keys
from recbole_samrec.compare import rows as rows_of
from recbole_samrec.compare.rows import Row
from recbole_samrec.configure import configure
from recbole_samrec.errors import ConfigError
from recbole_samrec.ranks import RANKS
from recbole_samrec.record import settings_of
from recbole_samrec.refusals import words_of
from recbole_samrec.run import RESULT
from recbole_samrec.settings import DERIVED, OF_ONE_RUN

JOB = "job.json"
"""What a run's folder was made for; written before it starts."""
NEUTRAL = OF_ONE_RUN | DERIVED | {"eval_memory", "eval_batch_size", "quiet_terminal", "pretrained_dir"}
"""Settings that do not change a result."""


@dataclass(frozen=True, eq=False)
class Job:
    """One run of a comparison.

    Args:
        row: Name of its row.
        dataset: Name of the data set.
        seed: The run's seed.
        fraction: Share of the users it is trained on.
        settings: All its settings.
        sha256: Hash of the interactions.
        folder: Where its record is, or will be.
        source: ``file.py:Name`` of a model of the user's own.
        given: Names of the settings that were given above the defaults of RecBole and of the model.
    """

    row: str
    dataset: str
    seed: int
    fraction: float
    settings: Mapping[str, Any]
    sha256: str
    folder: Path
    source: str | None = None
    given: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """How messages call it."""
        share = "" if self.fraction == 1 else f", {self.fraction:.0%} of the users"
        return f"{self.row} on {self.dataset}, seed {self.seed}{share}"

    @property
    def finished(self) -> bool:
        """Whether its record is there."""
        return (self.folder / RESULT).exists() and (self.folder / RANKS).exists()


def plan(
    rows: Sequence[Row],
    datasets: Mapping[str, str],
    seeds: Sequence[int],
    fractions: Sequence[float],
    out: Path,
    *,
    files: Mapping[str, Any] | None = None,
    given: Mapping[str, Any] | None = None,
    tables: Sequence[Path] = (),
    tuned: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> list[Job]:
    """All runs of a comparison: the first seed of every row comes before the second of any.

    Args:
        rows: The rows of the table.
        datasets: Names of the data sets, with the hashes of their interactions.
        seeds: A run for each.
        fractions: Shares of the users to train on.
        out: Folder of the comparison.
        files: Settings of the user's files, for all rows.
        given: Settings of the command line, for all rows that know them.
        tables: The user's files of rows.
        tuned: For each data set and row, the settings that a search found.
        note: Is told what looks odd.

    Raises:
        ConfigError: A setting is wrong, or no row knows it.
    """
    files, given = files or {}, given or {}
    for key in ("seed", "train_fraction", "model", "dataset", "run_dir"):
        if key in given or key in files:
            flag = {"seed": "--seeds", "run_dir": "--out"}.get(key, f"--{key}s")
            raise ConfigError(f"{key} belongs to each run of a comparison; use {flag.replace('fractions', 'fraction')}")
    for dataset in datasets:
        known = [plugin.known_keys(class_of(row), row.model, dataset) for row in rows]
        check_keys(given, set().union(*known))
    jobs: list[Job] = []
    taken: set[Path] = set()
    sources = {row.name: row.source for row in rows}
    for dataset, sha256 in datasets.items():
        chosen: dict[tuple[str, float], dict[str, Any]] = {}
        above = settings_of_rows(rows, dataset, files, given, tables, (tuned or {}).get(dataset))
        for row, settings in above.items():
            for fraction in fractions:
                config = configure(settings | {"train_fraction": fraction, "dataset": dataset}, {}, note)
                if (mode := config["eval_args"]["mode"]["test"]) != "full":
                    raise ConfigError(f"eval_args: a comparison ranks all items, not {mode}; leave mode out")
                chosen[row, fraction] = settings_of(config)
        for seed in seeds:
            for (name, fraction), settings in chosen.items():
                complete = settings | {"seed": seed}
                folder = folder_of(out / dataset, name, seed, fraction, complete, sha256, taken)
                taken.add(folder)
                more = (sources[name], tuple(above[name]))
                jobs.append(Job(name, dataset, seed, fraction, complete, sha256, folder, *more))
    return jobs


def class_of(row: Row) -> type:
    """The class of a row's model.

    Raises:
        ConfigError: A package that it needs is missing.
    """
    try:
        return get_model(row.model)
    except ImportError as error:
        raise ConfigError(f"--models: {row.name}: {words_of(error, {})}") from error


def settings_of_rows(
    rows: Sequence[Row],
    dataset: str,
    files: Mapping[str, Any],
    given: Mapping[str, Any],
    tables: Sequence[Path] = (),
    tuned: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """What each row is given on a data set, above RecBole's defaults; see :func:`plan` for the arguments.

    What a search found comes above what belongs to the row and to the data set, and below what the user gave.
    """
    of_set, settings = rows_of.of_dataset(dataset, tables), {}
    for row in rows:
        known = plugin.known_keys(class_of(row), row.model, dataset)
        own = {key: value for key, value in given.items() if key in known}
        found = (tuned or {}).get(row.name, {})
        of_data = {key: value for key, value in of_set.items() if key in known}
        settings[row.name] = row.settings(of_data, found, files, own, known=known)
    return settings


def settings_shown(jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    """Of each row the settings of its model and those that were given, as they were in the end."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(job.row, job)
    shown: dict[str, dict[str, Any]] = {}
    for row, job in first.items():
        model = job.settings["model"]
        files = [base / "properties" / "model" / f"{model}.yaml" for base in (plugin.RECBOLE, plugin.PROPERTIES.parent)]
        keys = set().union(*(plugin.read_yaml(file) for file in files if file.is_file())) | set(job.given)
        chosen = {key: job.settings[key] for key in sorted(keys - NEUTRAL - {"model"}) if key in job.settings}
        shown[row] = {"model": model} | chosen
    return shown


def as_yaml(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """What rows have alike, and what is each row's own."""
    shared: dict[str, Any] = {}
    for key in dict.fromkeys(key for of in settings.values() for key in of):
        values = [of[key] for of in settings.values() if key in of]
        if len(values) > 1 and all(_same(value, values[0]) for value in values):
            shared[key] = values[0]
    own = {row: {k: v for k, v in of.items() if k not in shared} for row, of in settings.items()}
    parts = {"all rows that know them": shared} | own
    return yaml.safe_dump(parts, sort_keys=False, default_flow_style=None, width=100)


def folder_of(
    parent: Path,
    row: str,
    seed: int,
    fraction: float,
    settings: Mapping[str, Any],
    sha256: str,
    taken: Collection[Path] = (),
) -> Path:
    """The folder of a run: the one that was made for the same settings and data, or a new one.

    Runs of one name with other settings keep their folders; this one's then has a number behind its name.
    """
    share = "" if fraction == 1 else f"-{fraction:g}"
    name = f"{slug(row)}{share}-{seed}"
    for number in range(1, 1000):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        if folder in taken:  # by another row, whose name makes the same one
            continue
        made_for = recorded(folder)
        if made_for is None or (made_for["sha256"] == sha256 and alike(made_for["settings"], settings)):
            return folder
    raise ConfigError(f"{parent}: there are a thousand runs of {row} with seed {seed}; choose another --out")


def recorded(folder: Path) -> dict[str, Any] | None:
    """The settings and the data that a folder's run was made for, or None if nothing readable is there."""
    for read in (_of_result, _of_job):
        try:
            return read(folder)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _of_result(folder: Path) -> dict[str, Any]:
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return {"settings": result["config"], "sha256": result["data"]["sha256"]}


def _of_job(folder: Path) -> dict[str, Any]:
    made_for = json.loads((folder / JOB).read_text(encoding="utf-8"))
    return {"settings": made_for["settings"], "sha256": made_for["sha256"]}


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two runs' settings give the same result.

    A setting that only one of them has was introduced after the other run; its default does what was done before.
    """
    shared = (one.keys() & other.keys()) - NEUTRAL
    return all(_same(one[key], other[key]) for key in shared)


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(other, sort_keys=True, default=str)


def slug(name: str) -> str:
    """A name that can be a folder's: ``SASRec (RecBole's rows)`` becomes ``SASRec-RecBoles-rows``."""
    return re.sub(r"[^\w+.]+", "-", name.replace("'", "")).strip("-")


def by_row(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """The jobs of each row, data set and share of the users, in the order in which they come."""
    groups: dict[tuple[str, str, float], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.row, job.dataset, job.fraction), []).append(job)
    yield from groups.values()
