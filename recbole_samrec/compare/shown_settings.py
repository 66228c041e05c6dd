"""Settings of a comparison's entries, as its pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.experiments.job_folders import NEUTRAL, are_equal
from recbole_samrec.experiments.jobs import Job
from recbole_samrec.integration import registry
from recbole_samrec.utils.paths import PROPERTIES

SHARED = "all entries that read them"


def select_settings(jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    """Select, for each entry, the settings of its model and those that were given, with their final values."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(job.entry, job)
    shown: dict[str, dict[str, Any]] = {}
    for entry, job in first.items():
        model = job.settings["model"]
        bases = (registry.RECBOLE / "properties", PROPERTIES)
        files = [base / "model" / f"{model}.yaml" for base in bases]
        keys = set().union(*(read_yaml(file) for file in files if file.is_file())) | set(job.given)
        chosen = {key: job.settings[key] for key in sorted(keys - NEUTRAL - {"model"}) if key in job.settings}
        shown[entry] = {"model": model} | chosen
    return shown


def format_settings(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """Format settings as yaml: first those that entries share, then each entry's own."""
    shared: dict[str, Any] = {}
    for key in dict.fromkeys(key for of in settings.values() for key in of):
        values = [of[key] for of in settings.values() if key in of]
        if len(values) > 1 and all(are_equal(value, values[0]) for value in values):
            shared[key] = values[0]
    own = {entry: {k: v for k, v in of.items() if k not in shared} for entry, of in settings.items()}
    above = {SHARED: shared} if shared else {}
    return yaml.safe_dump(above | own, sort_keys=False, default_flow_style=None, width=100)
