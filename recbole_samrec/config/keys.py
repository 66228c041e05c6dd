"""The settings that something reads: RecBole's, ours, and those of a user's own model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from recbole_samrec.config.own_models import own_defaults, own_keys
from recbole_samrec.config.recbole_keys import LOOKED_UP, LOOKED_UP_BY, TREES, recbole_folder, recbole_type
from recbole_samrec.config.schema import COMMAND_DEFAULTS, DEFAULTS_OF_MODELS, INTERNAL, settings_of
from recbole_samrec.config.value_types import accepts
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.utils.paths import PROPERTIES


def recbole_files(model: str | None = None, dataset: str | None = None) -> list[Path]:
    """List RecBole's yaml files with the settings of a run."""
    folder = recbole_folder() / "properties"
    names = ["overall.yaml", "dataset/sample.yaml", f"model/{TREES.get(model or '', model)}.yaml"]
    names.append(f"dataset/{dataset}.yaml")
    files = [folder / name for name in names] + sorted((folder / "quick_start_config").glob("*.yaml"))
    return [file for file in files if file.is_file()]


def defaults_of(
    model: str | None = None, dataset: str | None = None, model_class: type | None = None
) -> dict[str, Any]:
    """Return the default of every setting of a run that has one, as the yaml files have it.

    Args:
        model: Name of the model.
        dataset: Name of the data set, which may have a file of defaults.
        model_class: The class, where the model is the user's own.
    """
    defaults: dict[str, Any] = {}
    for file in recbole_files(model, dataset):
        defaults |= _read_shipped(file)
    defaults |= {one.key: one.default for one in settings_of(model).values()}
    defaults |= DEFAULTS_OF_MODELS.get(model or "", {}) | COMMAND_DEFAULTS
    if (ours := PROPERTIES / "dataset" / f"{dataset}.yaml").is_file():
        defaults |= _read_shipped(ours)
    return defaults | (own_defaults(model_class) if model_class else {})


def known_keys(model: str | None = None, dataset: str | None = None, model_class: type | None = None) -> set[str]:
    """List every setting that RecBole, this package or the model reads.

    What only other models read is not among them.

    Args:
        model: Name of the model.
        dataset: Name of the data set.
        model_class: The class, where the model is the user's own; its settings are among those of its bases.
    """
    keys = set(LOOKED_UP | INTERNAL).union(LOOKED_UP_BY.get(model or "", ()))
    keys |= set(defaults_of(model, dataset, model_class))
    if model_class is not None:
        keys |= own_keys(model_class)
        for base in model_class.__mro__[1:]:  # a class of the user's may be derived from a model of RecBole's or ours
            if base.__module__.startswith(("recbole.model.", "recbole_samrec.model.")):
                keys |= _keys_of_model(base.__name__)
    return keys


def _keys_of_model(model: str) -> set[str]:
    file = recbole_folder() / "properties" / "model" / f"{model}.yaml"
    theirs = set(_read_shipped(file)) if file.is_file() else set()
    return theirs.union(LOOKED_UP_BY.get(model, ()), settings_of(model))


def keys_of_all_models() -> set[str]:
    """List every setting that a yaml file of RecBole's or ours names for any model."""
    bases = (recbole_folder() / "properties", PROPERTIES)
    return set().union(*(_read_shipped(file) for base in bases for file in base.rglob("*.yaml")))


def types_of(
    model: str | None = None, dataset: str | None = None, model_class: type | None = None
) -> Mapping[str, Any]:
    """Map settings to their types, with ranges and choices; those of which nothing is known are missing.

    Args:
        model: Name of the model.
        dataset: Name of the data set.
        model_class: The class, where the model is the user's own.
    """
    recboles: dict[str, Any] = {}
    for file in recbole_files(model, dataset):
        shipped = _read_shipped(file)
        recboles |= {key: value for key, value in shipped.items() if value is not None or key not in recboles}
    recboles = dict.fromkeys(LOOKED_UP) | recboles
    types = {key: recbole_type(key, default, model) for key, default in recboles.items()}
    types |= {one.key: one.annotation for one in settings_of(model).values()}
    if model_class is not None:
        ours = settings_of(model)
        own = {key: value for key, value in own_defaults(model_class).items() if key not in ours}
        types |= {key: _own_type(recbole_type(key, value, model), value) for key, value in own.items()}
    return {key: annotation for key, annotation in types.items() if annotation is not None}


def _own_type(annotation: Any, default: Any) -> Any:
    """Return the type of a user's own setting: RecBole's of the same name where the default is of it."""
    return annotation if annotation is None or accepts(annotation, default) else type(default)


@cache
def _read_shipped(file: Path) -> Mapping[str, Any]:
    """Read a file that is installed and does not change."""
    return read_yaml(file)
