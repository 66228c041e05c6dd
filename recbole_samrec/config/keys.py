"""Keys, defaults and types of known settings: RecBole's, ours, and those of a user's own model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from recbole_samrec.config.own_models import collect_own_defaults, list_own_keys
from recbole_samrec.config.recbole_keys import LOOKED_UP, LOOKED_UP_BY, TREES, find_recbole_folder, infer_recbole_type
from recbole_samrec.config.schema import COMMAND_DEFAULTS, DEFAULTS_OF_MODELS, INTERNAL, collect_model_settings
from recbole_samrec.config.value_types import is_accepted
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.utils.paths import PROPERTIES


def list_recbole_files(model: str | None = None, dataset: str | None = None) -> list[Path]:
    """List RecBole's yaml files with the settings of a run."""
    folder = find_recbole_folder() / "properties"
    names = ["overall.yaml", "dataset/sample.yaml", f"model/{TREES.get(model or '', model)}.yaml"]
    names.append(f"dataset/{dataset}.yaml")
    files = [folder / name for name in names] + sorted((folder / "quick_start_config").glob("*.yaml"))
    return [file for file in files if file.is_file()]


def collect_defaults(
    model: str | None = None, dataset: str | None = None, model_class: type | None = None
) -> dict[str, Any]:
    """Collect the default of every setting of a run that has one, as in the yaml files.

    Args:
        model: Name of the model.
        dataset: Name of the data set, which may have a file of defaults.
        model_class: The class of a user's own model.
    """
    defaults: dict[str, Any] = {}
    for file in list_recbole_files(model, dataset):
        defaults |= _read_shipped(file)
    defaults |= {one.key: one.default for one in collect_model_settings(model).values()}
    defaults |= DEFAULTS_OF_MODELS.get(model or "", {}) | COMMAND_DEFAULTS
    if (ours := PROPERTIES / "dataset" / f"{dataset}.yaml").is_file():
        defaults |= _read_shipped(ours)
    return defaults | (collect_own_defaults(model_class) if model_class else {})


def list_known_keys(model: str | None = None, dataset: str | None = None, model_class: type | None = None) -> set[str]:
    """List every setting that RecBole, this package or the model reads.

    Settings that only other models read are not included.

    Args:
        model: Name of the model.
        dataset: Name of the data set.
        model_class: The class of a user's own model, whose settings include those of its bases.
    """
    keys = set(LOOKED_UP | INTERNAL).union(LOOKED_UP_BY.get(model or "", ()))
    keys |= set(collect_defaults(model, dataset, model_class))
    if model_class is not None:
        keys |= list_own_keys(model_class)
        for base in model_class.__mro__[1:]:  # a user's class may be derived from a model of RecBole or of this package
            if base.__module__.startswith(("recbole.model.", "recbole_samrec.model.")):
                keys |= _list_model_keys(base.__name__)
    return keys


def _list_model_keys(model: str) -> set[str]:
    file = find_recbole_folder() / "properties" / "model" / f"{model}.yaml"
    theirs = set(_read_shipped(file)) if file.is_file() else set()
    return theirs.union(LOOKED_UP_BY.get(model, ()), collect_model_settings(model))


def list_keys_of_all_models() -> set[str]:
    """List every setting that RecBole's yaml files or ours contain for any model."""
    bases = (find_recbole_folder() / "properties", PROPERTIES)
    return set().union(*(_read_shipped(file) for base in bases for file in base.rglob("*.yaml")))


def collect_types(
    model: str | None = None, dataset: str | None = None, model_class: type | None = None
) -> Mapping[str, Any]:
    """Collect the types of settings, with ranges and choices; settings of unknown types are missing.

    Args:
        model: Name of the model.
        dataset: Name of the data set.
        model_class: The class of a user's own model.
    """
    recboles: dict[str, Any] = {}
    for file in list_recbole_files(model, dataset):
        shipped = _read_shipped(file)
        recboles |= {key: value for key, value in shipped.items() if value is not None or key not in recboles}
    recboles = dict.fromkeys(LOOKED_UP) | recboles
    types = {key: infer_recbole_type(key, default, model) for key, default in recboles.items()}
    types |= {one.key: one.annotation for one in collect_model_settings(model).values()}
    if model_class is not None:
        ours = collect_model_settings(model)
        own = {key: value for key, value in collect_own_defaults(model_class).items() if key not in ours}
        types |= {key: _choose_own_type(infer_recbole_type(key, value, model), value) for key, value in own.items()}
    return {key: annotation for key, annotation in types.items() if annotation is not None}


def _choose_own_type(annotation: Any, default: Any) -> Any:
    """Return the type of a user's own setting: RecBole's type of the same name if it accepts the default."""
    return annotation if annotation is None or is_accepted(annotation, default) else type(default)


@cache
def _read_shipped(file: Path) -> Mapping[str, Any]:
    """Read an installed file, which does not change."""
    return read_yaml(file)
