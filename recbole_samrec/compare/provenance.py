"""Sources of a comparison's settings that are not defaults: stated origins, and searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PROPERTIES

if TYPE_CHECKING:
    from recbole_samrec.experiments.results import Run

KEYS = {"origin", "settings", "models", "datasets"}


@dataclass(frozen=True)
class Origin:
    """A statement of the origin of settings, and the runs that it applies to.

    Args:
        sentence: The sentence.
        settings: The settings; it applies to runs that have all of them.
        models: Names of the models; empty for all.
        datasets: Names of the data sets; empty for all.
    """

    sentence: str
    settings: Mapping[str, Any]
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    def applies_to(self, run: Run) -> bool:
        """Return True if a run has these settings, and one of these models and data sets."""
        config = run.result.get("config") or {}
        return (
            (not self.models or run.result.get("model") in self.models)
            and (not self.datasets or run.dataset in self.datasets)
            and all(key in config and config[key] == value for key, value in self.settings.items())
        )


@dataclass(frozen=True)
class SearchBudget:
    """The budget of a search.

    Attributes:
        trials: Number of trials.
        search: How they were drawn.
        scheduler: What stopped bad ones.
        grace: Epochs before which it stopped none; 0 where it does not matter.
        epochs: Most epochs of a trial.
        seeds: Seeds of each trial.
        metric: The metric on validation data that they were chosen by.
        passes: Gradient passes that the trials were to use; None if their number was the budget.
    """

    trials: int
    search: str
    scheduler: str
    grace: int
    epochs: int
    seeds: tuple[int, ...]
    metric: str
    passes: float | None = None

    def __str__(self) -> str:
        """Return the number of trials, with the passes that were planned for them."""
        return str(self.trials) if self.passes is None else f"{self.trials} in {self.passes:,g} passes"


@dataclass(frozen=True)
class Tuning:
    """The tuning of an entry.

    Attributes:
        entry: Its name.
        budget: The budget of its search; None if it has its defaults.
        trial: Number of the best trial.
        folder: Folder of the search.
        remarks: What else a reader needs to know.
    """

    entry: str
    budget: SearchBudget | None = None
    trial: int | None = None
    folder: str = ""
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return in one line the entry, its trial (if it is tuned), and the remarks."""
        source = "not tuned" if self.budget is None else f"trial {self.trial} of the search in {self.folder}"
        return f"{self.entry}: {'; '.join([source, *self.remarks])}"


def read_origins(files: Sequence[Path] = ()) -> list[Origin]:
    """Read the origins in ``properties/compare.yaml`` and in further files of the same form.

    Raises:
        ConfigError: One has another form.
    """
    return [
        _parse_origin(entry, file)
        for file in (PROPERTIES / "compare.yaml", *files)
        for entry in read_yaml(file).get("origins") or []
    ]


def _parse_origin(entry: Any, file: Path) -> Origin:
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("origin"), str)
        or not isinstance(entry.get("settings"), dict)
        or not all(isinstance(entry.get(key, []), list) for key in ("models", "datasets"))
        or set(entry) - KEYS
    ):
        raise ConfigError(
            f"{file}: each item of origins needs a sentence as origin and the settings that it is about, and may have "
            f"lists of models and datasets, but nothing else: {entry}"
        )
    names = (tuple(entry.get(key, ())) for key in ("models", "datasets"))
    return Origin(entry["origin"], upgrade_settings(entry["settings"]), *names)


def list_origins(origins: Sequence[Origin], runs: Sequence[Run]) -> str:
    """Return the origins that apply to some runs as a yaml list, in the format of entries' files; empty if none do."""
    shown = [
        {
            "origin": one.sentence,
            "settings": dict(one.settings),
            **{key: list(names) for key in ("models", "datasets") if (names := getattr(one, key))},
        }
        for one in origins
        if any(one.applies_to(run) for run in runs)
    ]
    return yaml.safe_dump(shown, sort_keys=False, width=100, allow_unicode=True) if shown else ""
