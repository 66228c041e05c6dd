"""Where settings of a comparison come from that are no defaults, as its pages say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PROPERTIES

if TYPE_CHECKING:
    from recbole_samrec.experiments.results import Run

KEYS = {"origin", "settings", "models", "datasets"}


@dataclass(frozen=True)
class Origin:
    """A sentence on where settings come from, and the runs that it holds for.

    Args:
        sentence: The sentence.
        settings: The settings, all of which a run has that it holds for.
        models: Names of the models; empty for all.
        datasets: Names of the data sets; empty for all.
    """

    sentence: str
    settings: Mapping[str, Any]
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    def holds_for(self, run: Run) -> bool:
        """Whether a run has these settings, and is of these models and data sets."""
        config = run.result.get("config") or {}
        return (
            (not self.models or run.result.get("model") in self.models)
            and (not self.datasets or run.dataset in self.datasets)
            and all(key in config and config[key] == value for key, value in self.settings.items())
        )


def read_origins(files: Sequence[Path] = ()) -> list[Origin]:
    """The origins in ``properties/compare.yaml`` and in further files of the same form.

    Raises:
        ConfigError: One has another form.
    """
    return [
        _origin(entry, file)
        for file in (PROPERTIES / "compare.yaml", *files)
        for entry in read_yaml(file).get("origins") or []
    ]


def _origin(entry: Any, file: Path) -> Origin:
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("origin"), str)
        or not isinstance(entry.get("settings"), dict)
        or not all(isinstance(entry.get(key, []), list) for key in ("models", "datasets"))
        or set(entry) - KEYS
    ):
        raise ConfigError(
            f"{file}: each of origins needs a sentence as origin and the settings that it is about, and may have lists "
            f"of models and datasets; nothing else: {entry}"
        )
    return Origin(
        entry["origin"],
        upgrade_settings(entry["settings"]),
        *(tuple(entry.get(key, ())) for key in ("models", "datasets")),
    )


def sentences(origins: Sequence[Origin], runs: Sequence[Run]) -> str:
    """What there is to say of the settings of these runs."""
    return " ".join(one.sentence for one in origins if any(one.holds_for(run) for run in runs))
