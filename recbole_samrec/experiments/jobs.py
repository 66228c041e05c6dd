"""Which runs a comparison consists of, and which of them are finished already."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from recbole.utils import get_model

from recbole_samrec.config.build import configure, note_unread
from recbole_samrec.config.keys import defaults_of, known_keys
from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.validate import check_keys
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.evaluator.test_ranks import RANKS
from recbole_samrec.experiments import entries as rows_of
from recbole_samrec.experiments.entries import Row
from recbole_samrec.integration import registry
from recbole_samrec.quick_start.context import attributes_hash
from recbole_samrec.quick_start.record import RESULT, settings_of
from recbole_samrec.utils.error_messages import words_of
from recbole_samrec.utils.errors import ConfigError, DataError
from recbole_samrec.utils.paths import PROPERTIES
from recbole_samrec.utils.settings import DERIVED, OF_ONE_RUN

JOB = "job.json"
"""What a run's folder was made for; written before it starts."""
NEUTRAL = OF_ONE_RUN | DERIVED | {"eval_memory", "eval_batch_size", "quiet_terminal", "pretrained_dir"}
"""Settings that do not change a result."""
HASHED = {
    "sha256": "the interactions",
    "attributes_sha256": "the attributes in the data set's other files",
    "source_sha256": "the source of the model",
}
"""Of what the record of a run holds hashes; older ones lack some."""
MADE_FOR = (*HASHED, "chosen", "settings")
"""What tells one run of a row from another; the names of a job's fields, and of what ``job.json`` holds."""


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
        chosen: Those of them that are not as the defaults are.
        attributes_sha256: Hash of the other files of the data set that the row reads, such as ``.item``, if any.
        source_sha256: Hash of the source of a model of the user's own.
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
    chosen: tuple[str, ...] = ()
    attributes_sha256: str | None = None
    source_sha256: str | None = None

    @property
    def made_for(self) -> dict[str, Any]:
        """What tells it from other runs of its row."""
        return {name: getattr(self, name) for name in MADE_FOR}

    @property
    def title(self) -> str:
        """How messages call it."""
        share = "" if self.fraction == 1 else f", {self.fraction:.0%} of the users"
        return f"{self.row} on {self.dataset}, seed {self.seed}{share}"

    @property
    def finished(self) -> bool:
        """Whether its record is there."""
        return _finished(self.folder)


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
    left_out: Callable[[str, str, DataError], None] | None = None,
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
        left_out: Is told of a row that a data set does not suit, with the data set's name and the reason.

    Raises:
        ConfigError: A setting is wrong, or no row knows it.
        DataError: A data set does not suit a row, and nobody is to be told.
    """
    files, given = files or {}, given or {}
    for key in ("seed", "train_fraction", "model", "dataset", "run_dir"):
        if key in given or key in files:
            flag = {"seed": "--seeds", "run_dir": "--out"}.get(key, f"--{key}s")
            raise ConfigError(f"{key} belongs to each run of a comparison; use {flag.replace('fractions', 'fraction')}")
    known: set[str] = set()
    for dataset in datasets:
        of_set = set().union(*(known_keys(row.model, dataset, class_of(row)) for row in rows))
        check_keys(given, of_set)
        known |= of_set
    note_unread(files, known, note)
    jobs: list[Job] = []
    taken: set[Path] = set()
    for dataset, sha256 in datasets.items():
        above = settings_of_rows(rows, dataset, files, given, tables, (tuned or {}).get(dataset))
        patterns: list[Job] = []
        for row in rows:
            try:
                patterns += [_pattern(row, dataset, share, above[row.name], sha256, files, note) for share in fractions]
            except DataError as error:
                if left_out is None:
                    raise
                left_out(row.name, dataset, error)
        for seed in seeds:
            for pattern in patterns:
                job = replace(pattern, seed=seed, settings={**pattern.settings, "seed": seed})
                jobs.append(replace(job, folder=folder_of(out / dataset, job, taken, note)))
                taken.add(jobs[-1].folder)
    return jobs


def _pattern(
    row: Row,
    dataset: str,
    fraction: float,
    above: Mapping[str, Any],
    sha256: str,
    read: Collection[str],
    note: Callable[[str], None],
) -> Job:
    """A row's run on a data set, but for its seed and folder."""
    config = configure({**above, "train_fraction": fraction, "dataset": dataset}, {}, note, read)
    if (mode := config["eval_args"]["mode"]["test"]) != "full":
        raise ConfigError(f"eval_args: a comparison ranks all items, not {mode}; leave mode out")
    defaults = defaults_of(row.model, dataset, class_of(row))
    return Job(
        row=row.name,
        dataset=dataset,
        seed=0,
        fraction=fraction,
        settings=settings_of(config),
        sha256=sha256,
        folder=Path(),
        source=row.source,
        given=tuple(above),
        chosen=tuple(key for key in above if key not in defaults or not _same(above[key], defaults[key])),
        attributes_sha256=attributes_hash(config),
        source_sha256=registry.source_hash(class_of(row)),
    )


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

    What a search found comes above what belongs to the row and to the data set, and below what the user gave. A model
    of the user's own is given all that is in the files, as it may read more than can be seen.
    """
    of_set, settings = rows_of.of_dataset(dataset, tables), {}
    for row in rows:
        known = known_keys(row.model, dataset, class_of(row))
        own = {key: value for key, value in given.items() if key in known}
        found = (tuned or {}).get(row.name, {})
        of_data = {key: value for key, value in of_set.items() if key in known}
        theirs = row.model not in registry.model_names()
        of_files = {key: value for key, value in files.items() if theirs or key in known}
        settings[row.name] = row.settings(of_data, found, of_files, own, known=known)
    return settings


def settings_shown(jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    """Of each row the settings of its model and those that were given, as they were in the end."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(job.row, job)
    shown: dict[str, dict[str, Any]] = {}
    for row, job in first.items():
        model = job.settings["model"]
        bases = (registry.RECBOLE / "properties", PROPERTIES)
        files = [base / "model" / f"{model}.yaml" for base in bases]
        keys = set().union(*(read_yaml(file) for file in files if file.is_file())) | set(job.given)
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
    parent: Path, job: Job, taken: Collection[Path] = (), note: Callable[[str], None] = lambda line: None
) -> Path:
    """The folder of a run: the one that was made for the same settings, data and source, or a new one.

    Runs of one name that were made for others keep their folders; this one's then has a number behind its name.

    Args:
        parent: Folder of the data set's runs.
        job: The run.
        taken: Folders of other runs.
        note: Is told of data or a source that have changed since a run, which is then trained again.
    """
    share = "" if job.fraction == 1 else f"-{job.fraction:g}"
    name = f"{slug(job.row)}{share}-{job.seed}"
    changed: list[str] = []
    for number in range(1, 1000):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        if folder in taken:  # by another row, whose name makes the same one
            continue
        if (made_for := recorded(folder)) is None:
            for key in changed:
                what = f"{HASHED[key]} changed since it was trained; it has to be trained again"
                note(f"{job.row} on {job.dataset}: {what}")
            return folder
        changed = _changed(made_for, job)
        if _alike(made_for, job):
            return folder
    raise ConfigError(f"{parent}: there are a thousand runs of {job.row} with seed {job.seed}; choose another --out")


def with_other_seeds(job: Job) -> Iterator[Path]:
    """Folders of finished runs that differ from a run in their seed alone, or are that run."""
    for folder in sorted(job.folder.parent.glob(f"{slug(job.row)}*")):
        if not _finished(folder) or (made_for := recorded(folder)) is None:
            continue
        its_seed = replace(job, settings={**job.settings, "seed": made_for["settings"].get("seed")})
        if _alike(made_for, its_seed):
            yield folder


def _finished(folder: Path) -> bool:
    return (folder / RESULT).exists() and (folder / RANKS).exists()


def _changed(made_for: Mapping[str, Any], job: Job) -> list[str]:
    """Which of the hashes that a folder's run was made for are not those of a run."""
    return [key for key in HASHED if key in made_for and made_for[key] != job.made_for[key]]


def _alike(made_for: Mapping[str, Any], job: Job) -> bool:
    """Whether a folder's run was made for the data, source and settings of a run."""
    chosen = {*(made_for.get("chosen") or ()), *job.chosen}
    return not _changed(made_for, job) and alike(made_for["settings"], job.settings, chosen)


def recorded(folder: Path) -> dict[str, Any] | None:
    """What a folder's run was made for, or None if nothing readable is there; older records say less."""
    made_for = {name: value for name, value in _stored(folder / JOB).items() if name in MADE_FOR}
    result = _stored(folder / RESULT)
    data = result.get("data")
    if "config" in result and isinstance(data, dict):
        found = {"settings": result["config"], **data, **result}
        made_for |= {name: found[name] for name in MADE_FOR if name in found}
    if "sha256" not in made_for or not isinstance(made_for.get("settings"), dict):
        return None
    renamed = {"settings": upgrade_settings(made_for["settings"])}
    if made_for.get("chosen"):
        renamed["chosen"] = list(upgrade_settings(dict.fromkeys(made_for["chosen"])))
    return made_for | renamed


def _stored(file: Path) -> dict[str, Any]:
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def alike(one: Mapping[str, Any], other: Mapping[str, Any], chosen: Collection[str] = ()) -> bool:
    """Whether two runs' settings give the same result.

    A setting that only one of them has was introduced after the other run; its default does what was done before.

    Args:
        one: Settings of a run.
        other: Settings of the other.
        chosen: Settings that one of them was given in place of their defaults; these count also where the other has
            none.
    """
    keys = (one.keys() & other.keys()).union(chosen) - NEUTRAL
    return all(_same(one.get(key), other.get(key)) for key in keys)


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
