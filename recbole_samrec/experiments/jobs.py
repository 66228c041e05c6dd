"""Jobs of a comparison: one for each entry, data set, share of the users and seed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recbole.utils import get_model

from recbole_samrec.config.build import configure, report_unread
from recbole_samrec.config.keys import collect_defaults, list_known_keys
from recbole_samrec.config.validate import check_keys
from recbole_samrec.data.files import hash_attributes
from recbole_samrec.data.find import is_here
from recbole_samrec.data.temporal_options import complete_split, read_options, set_option
from recbole_samrec.experiments.entries import Entry, dataset_settings
from recbole_samrec.experiments.job_folders import MADE_FOR, are_equal, complete_from_record, find_folder, is_finished
from recbole_samrec.experiments.protocols import align_unseen_users, describe_aligned, describe_unable, list_general
from recbole_samrec.integration import registry
from recbole_samrec.quick_start.record import extract_settings
from recbole_samrec.utils.error_messages import describe_error
from recbole_samrec.utils.errors import ConfigError, DataError
from recbole_samrec.utils.settings import NO_GPU

OWN_SETTINGS = {
    "seed": "--seeds",
    "train_fraction": "--train_fraction",
    "model": "--models",
    "dataset": "--datasets",
    "run_dir": "--out",
}
"""Settings that each job has for itself, and the argument that chooses them."""


@dataclass(frozen=True, eq=False)
class Job:
    """A run, with everything that a process needs to train it.

    Args:
        entry: Name of its entry.
        dataset: Name of the data set.
        seed: The run's seed.
        fraction: Share of the users it is trained on.
        settings: All its settings.
        sha256: Hash of the interactions.
        folder: Folder of its record.
        source: ``file.py:Name`` of a user's own model.
        given: Names of the settings that were given above the defaults of RecBole and of the model.
        chosen: Names of those among them that differ from the defaults.
        attributes_sha256: Hash of the other files of the data set that the entry reads, such as ``.item``, if any.
        source_sha256: Hash of the source of a user's own model.
        protocol: Name of its protocol, if the comparison has several.
        tested: Whether the test set is scored; a run that only chooses settings must not see it.
        without_data: Whether the data set is not on this machine; a record then counts whatever attributes it read.
    """

    entry: str
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
    protocol: str = ""
    tested: bool = True
    without_data: bool = False

    @property
    def made_for(self) -> dict[str, Any]:
        """Fields that distinguish the job from others of its entry."""
        return {name: getattr(self, name) for name in MADE_FOR}

    @property
    def title(self) -> str:
        """Name in messages."""
        share = "" if self.fraction == 1 else f", {self.fraction:.0%} of the users"
        protocol = f", {self.protocol}" if self.protocol else ""
        return f"{self.entry} on {self.dataset}{protocol}, seed {self.seed}{share}"

    @property
    def finished(self) -> bool:
        """True if the record is complete."""
        return is_finished(self.folder, self.tested)


def plan_jobs(
    entries: Sequence[Entry],
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
    skip: Callable[[str, str, DataError], None] | None = None,
    protocol: str = "",
    taken: set[Path] | None = None,
    chosen: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
    tested: bool = True,
    short: Collection[str] = (),
) -> list[Job]:
    """Plan all jobs of a comparison: the first seed of every entry comes before the second of any.

    Args:
        entries: Entries of the table.
        datasets: Names of the data sets, with the hashes of their interactions.
        seeds: Seeds; each gets a job.
        fractions: Shares of the users to train on.
        out: Folder of the comparison.
        files: Settings of the user's files, for all entries.
        given: Settings of the command line, for all entries that read them.
        tables: The user's files of entries.
        tuned: For each data set and entry, the settings that a search found.
        note: Called with warnings.
        skip: Called with an entry that is incompatible with a data set, the data set's name and the
            error.
        protocol: Name of the protocol, for several of one comparison.
        taken: Folders of other jobs of the comparison, to which those of these jobs are added.
        chosen: For each data set and entry, the settings that validation chose, above all but the entry's fixed ones.
        tested: False for runs without a test, whose settings do not name its targets.
        short: Data sets with users that have too few events for leave-one-out to hold out the same for all models.

    Raises:
        ConfigError: A setting is wrong, or no entry reads it.
        DataError: A data set is incompatible with an entry, and ``skip`` is None.
    """
    files, given = files or {}, given or {}
    for key, flag in OWN_SETTINGS.items():
        if key in given or key in files:
            raise ConfigError(f"{key} cannot be set for a comparison; use {flag}")
    check_gpu_id(files, given, note)
    known: set[str] = set()
    for dataset in datasets:
        of_set = set().union(*(list_known_keys(entry.model, dataset, model_class(entry)) for entry in entries))
        check_keys(given, of_set)
        known |= of_set
    report_unread(files, known, note)
    jobs: list[Job] = []
    taken = set() if taken is None else taken
    for dataset, sha256 in datasets.items():
        above = choose_settings(
            entries, dataset, files, given, tables, (tuned or {}).get(dataset), (chosen or {}).get(dataset)
        )
        patterns: list[Job] = []
        for entry in entries:
            try:
                for share in fractions:
                    pattern = _make_pattern(entry, dataset, share, above[entry.name], sha256, files, note)
                    patterns.append(pattern if tested else _omit_test(pattern))
            except DataError as error:
                if skip is None:
                    raise
                skip(entry.name, dataset, error)
        if dataset in short:
            patterns = _align_targets(patterns, dataset, note)
        for seed in seeds:
            for pattern in patterns:
                job = replace(pattern, seed=seed, settings={**pattern.settings, "seed": seed}, protocol=protocol)
                job = replace(job, folder=find_folder(out / dataset, job, taken, note))
                jobs.append(complete_from_record(job) if job.without_data else job)
                taken.add(job.folder)
    return jobs


def _align_targets(patterns: list[Job], dataset: str, note: Callable[[str], None]) -> list[Job]:
    """Hold out the same events for all entries, as leave-one-out differs between general and sequential models."""
    key = "sequential_targets"
    general = list_general({job.entry: job.settings for job in patterns if key not in job.given})
    if general:
        note(describe_aligned(general, dataset))
    return [
        replace(job, settings={**job.settings, key: True}, given=(*job.given, key), chosen=(*job.chosen, key))
        if job.entry in general
        else job
        for job in patterns
    ]


def _omit_test(job: Job) -> Job:
    """Return a job without a test; its settings are the same for all targets, and it is not trained again."""
    settings = complete_split(job.settings, with_target=False)
    if read_options(settings.get("eval_args")) is not None:
        settings["eval_args"] = set_option(settings["eval_args"], "retrain", False)
    return replace(job, settings=settings, tested=False)


def check_gpu_id(files: Mapping[str, Any], given: Mapping[str, Any], note: Callable[[str], None]) -> None:
    """Check that the user does not choose the GPU of each run, since Ray does.

    Args:
        files: Settings of the user's files, such as those of a finished run, whose ``gpu_id`` has no effect.
        given: Settings of the command line.
        note: Called with a warning of files that name another GPU than the first.

    Raises:
        ConfigError: The command line names one.
    """
    variable = "CUDA_VISIBLE_DEVICES"
    if (ids := given.get("gpu_id")) is not None and str(ids) not in NO_GPU:
        raise ConfigError(
            f"--gpu_id={ids}: Ray gives each run its GPU; set {variable}={ids} to choose among them, or give --gpus=0 "
            "for the CPU"
        )
    if str(ids := files.get("gpu_id") or 0) != "0":
        note(
            f"gpu_id={ids} in the files has no effect: Ray gives each run its GPU; set {variable} to choose among them"
        )


def _make_pattern(
    entry: Entry,
    dataset: str,
    fraction: float,
    above: Mapping[str, Any],
    sha256: str,
    read: Collection[str],
    note: Callable[[str], None],
) -> Job:
    """Make the job of an entry on a data set, without its seed and folder."""
    config = configure({**above, "train_fraction": fraction, "dataset": dataset}, {}, note, read, plans=True)
    if (mode := config["eval_args"]["mode"]["test"]) != "full":
        raise ConfigError(f"eval_args: a comparison ranks all items, not {mode}; remove mode")
    defaults = collect_defaults(entry.model, dataset, model_class(entry))
    return Job(
        entry=entry.name,
        dataset=dataset,
        seed=0,
        fraction=fraction,
        settings=extract_settings(config),
        sha256=sha256,
        folder=Path(),
        source=entry.source,
        given=tuple(above),
        chosen=tuple(key for key in above if key not in defaults or not are_equal(above[key], defaults[key])),
        attributes_sha256=hash_attributes(config),
        source_sha256=registry.source_hash(model_class(entry)),
        without_data=not is_here(dataset, Path(config["data_path"]).parent),
    )


def model_class(entry: Entry) -> type:
    """Import the class of an entry's model.

    Raises:
        ConfigError: A package that it needs is missing.
    """
    try:
        return get_model(entry.model)
    except ImportError as error:
        raise ConfigError(f"--models: {entry.name}: {describe_error(error, {})}") from error


def choose_settings(
    entries: Sequence[Entry],
    dataset: str,
    files: Mapping[str, Any],
    given: Mapping[str, Any],
    tables: Sequence[Path] = (),
    tuned: Mapping[str, Mapping[str, Any]] | None = None,
    chosen: Mapping[str, Mapping[str, Any]] | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> dict[str, dict[str, Any]]:
    """Choose each entry's settings on a data set, above RecBole's defaults; see :func:`plan_jobs` for the arguments.

    Settings that a search found come above those of the entry and of the data set, and below those of the user; those
    that validation chose come above these. A user's own model gets all settings of the files, as it may read more than
    can be seen.
    """
    of_set, settings = dataset_settings(dataset, tables), {}
    for entry in entries:
        known = list_known_keys(entry.model, dataset, model_class(entry))
        own = {key: value for key, value in given.items() if key in known}
        found = (tuned or {}).get(entry.name, {})
        of_data = {key: value for key, value in of_set.items() if key in known}
        theirs = entry.model not in registry.model_names()
        of_files = {key: value for key, value in files.items() if theirs or key in known}
        by_validation = (chosen or {}).get(entry.name, {})
        settings[entry.name] = entry.settings(of_data, found, of_files, own, known=known, chosen=by_validation)
    if unable := align_unseen_users(settings):
        note(describe_unable(unable, dataset))
    return settings


def group_by_entry(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Group jobs by entry, data set, share of the users and protocol, in the order in which they come."""
    groups: dict[tuple[str, str, float, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.entry, job.dataset, job.fraction, job.protocol), []).append(job)
    yield from groups.values()
