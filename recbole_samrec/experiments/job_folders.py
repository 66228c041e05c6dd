"""Folders of a comparison's runs: find the folder of a job, and check whether its run is finished."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.data.temporal_options import complete_split, read_options
from recbole_samrec.evaluator.test_ranks import RANKS
from recbole_samrec.quick_start.record import RESULT
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.files import read_mapping
from recbole_samrec.utils.settings import DERIVED, OF_ONE_RUN

if TYPE_CHECKING:
    from recbole_samrec.experiments.jobs import Job

JOB = "job.json"
"""File with the settings and hashes that a run's folder was made for; written before the run starts."""
NEUTRAL = OF_ONE_RUN | DERIVED | {"eval_memory", "eval_batch_size", "quiet_terminal", "pretrained_dir"}
"""Settings that do not change a result."""
WEIGHTS = "best.pth"
"""Weights of a finished run's best epoch."""
HASHED = {
    "sha256": "the interactions",
    "attributes_sha256": "the attributes in the data set's other files",
    "source_sha256": "the source of the model",
}
"""Hashes in the record of a run; older records lack some."""
OF_DATA = ("item_attribute", "load_col", "sequential_targets")
"""Settings that are completed from the files of a data set."""
MADE_FOR = (*HASHED, "chosen", "settings")
"""Fields of a job, and keys of ``job.json``, that distinguish the runs of an entry."""


def find_folder(
    parent: Path, job: Job, taken: Collection[Path] = (), note: Callable[[str], None] = lambda line: None
) -> Path:
    """Find the folder of a job: the one that was made for the same settings, data and source, or a new one.

    Runs of the same name that were made for others keep their folders; this one's then ends in a number.

    Args:
        parent: Folder of the data set's runs.
        job: The job.
        taken: Folders of other jobs.
        note: Called with a line for data or a source that changed since a run, which is then trained
            again.

    Raises:
        ConfigError: There are a thousand such folders.
    """
    share = "" if job.fraction == 1 else f"-{job.fraction:g}"
    name = f"{slug(job.entry)}{share}-{job.seed}"
    changed: list[str] = []
    for number in range(1, 1000):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        if folder in taken:  # by another entry with the same slug
            continue
        if (made_for := read_made_for(folder)) is None:
            for key in changed:
                note(
                    f"{job.entry} on {job.dataset}: {HASHED[key]} changed since the run was trained; training it again"
                )
            return folder
        changed = _changed_hashes(made_for, job)
        if _was_made_for(made_for, job):
            return folder
    raise ConfigError(f"{parent}: there are a thousand runs of {job.entry} with seed {job.seed}; choose another --out")


def find_other_seeds(job: Job) -> Iterator[Path]:
    """Find folders of finished runs that differ from a job only in their seed, its own included."""
    for folder in sorted(job.folder.parent.glob(f"{slug(job.entry)}*")):
        if not is_finished(folder, job.tested) or (made_for := read_made_for(folder)) is None:
            continue
        its_seed = replace(job, settings={**job.settings, "seed": made_for["settings"].get("seed")})
        if _was_made_for(made_for, its_seed):
            yield folder


def find_same_training(job: Job, *, with_weights: bool = True) -> Path | None:
    """Find the folder of a finished run whose training equals a job's and which tested other targets of the users.

    The validation of a global temporal split does not depend on the targets.

    Args:
        job: The job.
        with_weights: Whether the weights must exist; a run on another computer leaves only its results here.
    """
    if read_options(job.settings.get("eval_args")) is None:
        return None
    wanted = complete_split(job.settings, with_target=False)
    for folder in sorted(job.folder.parent.glob(f"{slug(job.entry)}*")):
        if folder == job.folder or not is_finished(folder) or with_weights > (folder / WEIGHTS).exists():
            continue
        made_for = read_made_for(folder)
        if made_for is not None:
            settings = complete_split(made_for["settings"], with_target=False)
            if _was_made_for({**made_for, "settings": settings}, replace(job, settings=wanted)):
                return folder
    return None


def read_recorded_hash(parent: Path) -> str | None:
    """Read the hash of a data set's interactions from its records, the most frequent one; None without records.

    Args:
        parent: Folder of the data set's runs.
    """
    records = (read_made_for(folder) for folder in sorted(parent.glob("*/")))
    hashes = Counter(str(one["sha256"]) for one in records if one is not None)
    return hashes.most_common(1)[0][0] if hashes else None


def complete_from_record(job: Job) -> Job:
    """Complete what only the data show from a job's record: the settings of the attributes, and their hash."""
    made_for = read_made_for(job.folder) or {"settings": {}}
    found = {key: made_for["settings"][key] for key in OF_DATA if key in made_for["settings"]}
    given = (*job.given, "sequential_targets") if found.get("sequential_targets") else job.given
    hashed = made_for.get("attributes_sha256", job.attributes_sha256)
    return replace(job, settings={**job.settings, **found}, attributes_sha256=hashed, given=given)


def is_finished(folder: Path, tested: bool = True) -> bool:
    """Check whether the record of a run is complete; one that is not tested has no ranks."""
    return (folder / RESULT).exists() and (not tested or (folder / RANKS).exists())


def read_made_for(folder: Path) -> dict[str, Any] | None:
    """Read the settings that a folder was made for; None if unreadable. Older records have fewer keys."""
    made_for = {name: value for name, value in read_mapping(folder / JOB).items() if name in MADE_FOR}
    result = read_mapping(folder / RESULT)
    data = result.get("data")
    if "config" in result and isinstance(data, dict):
        found = {"settings": result["config"], **data, **result}
        made_for |= {name: found[name] for name in MADE_FOR if name in found}
    if "sha256" not in made_for or not isinstance(made_for.get("settings"), dict):
        return None
    renamed: dict[str, Any] = {"settings": upgrade_settings(made_for["settings"])}
    if made_for.get("chosen"):
        renamed["chosen"] = list(upgrade_settings(dict.fromkeys(made_for["chosen"])))
    return made_for | renamed


def have_equal_results(one: Mapping[str, Any], other: Mapping[str, Any], chosen: Collection[str] = ()) -> bool:
    """Check whether two runs' settings give the same result.

    A setting that only one of them has was introduced after the other run; its default does what was done before.

    Args:
        one: Settings of a run.
        other: Settings of the other.
        chosen: Settings that one of them was given in place of their defaults; these count even if the other run has
            none.
    """
    one, other = complete_split(one), complete_split(other)
    keys = (one.keys() & other.keys()).union(chosen) - NEUTRAL
    return all(are_equal(one.get(key), other.get(key)) for key in keys)


def are_equal(one: Any, other: Any) -> bool:
    """Compare two values as JSON, so that tuples equal lists."""
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(other, sort_keys=True, default=str)


def slug(name: str) -> str:
    """Turn a name into a folder name: ``SASRec (RecBole's rows)`` becomes ``SASRec-RecBoles-rows``."""
    return re.sub(r"[^\w+.]+", "-", name.replace("'", "")).strip("-")


def _changed_hashes(made_for: Mapping[str, Any], job: Job) -> list[str]:
    known = [key for key in HASHED if key in made_for and not (job.without_data and key == "attributes_sha256")]
    return [key for key in known if made_for[key] != job.made_for[key]]


def _was_made_for(made_for: Mapping[str, Any], job: Job) -> bool:
    settings, chosen = dict(made_for["settings"]), {*(made_for.get("chosen") or ()), *job.chosen}
    for key in set(OF_DATA) - set(job.chosen) if job.without_data else ():
        settings.pop(key, None)
        chosen.discard(key)
    return not _changed_hashes(made_for, job) and have_equal_results(settings, job.settings, chosen)
