"""Defaults of this package, which RecBole's ``Config`` loads after its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recbole_samrec.config.own_models import collect_own_defaults
from recbole_samrec.config.recbole_config import is_typed
from recbole_samrec.config.recbole_keys import TREES, find_recbole_folder
from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.validate import check_eval_args, check_own_values
from recbole_samrec.data.temporal_options import GTS, check_kind
from recbole_samrec.utils.paths import PROPERTIES


def add_our_defaults(config: Any, model: str, model_class: type, dataset: str) -> None:
    """Add our defaults to RecBole's: for every model, our models, data sets and our commands.

    Args:
        config: A ``Config`` under construction, which already has external settings and RecBole's defaults.
        model: Name of the model.
        model_class: Its class; a user's own class may declare defaults.
        dataset: Name of the data set.

    Raises:
        ConfigError: A setting of ours has the wrong type or is out of range.
    """
    config.external_config_dict = given = upgrade_settings(config.external_config_dict)
    check_own_values(given, model)
    _complete_temporal_split(config, model, model_class)
    ours = [find_recbole_folder() / "properties" / "model" / f"{TREES.get(model)}.yaml"]
    ours += [PROPERTIES / "overall.yaml", PROPERTIES / "model" / f"{model}.yaml"]
    ours.append(PROPERTIES / "dataset" / f"{dataset}.yaml")
    for file in ours:
        if file.is_file():
            config._update_internal_config_dict(file)
    config.internal_config_dict |= collect_own_defaults(model_class)
    if is_typed(config) and config.variable_config_dict.of_command:
        _add_defaults_of_commands(config, model_class)


def _complete_temporal_split(config: Any, model: str, model_class: Any) -> None:
    """Check the options of a global temporal split, and add the settings that it implies unless others were given.

    The kind of the model is checked first: RecBole would refuse full rankings of models that predict values.
    """
    given = config.external_config_dict
    evaluation = given.get("eval_args")
    if not isinstance(evaluation, Mapping) or GTS not in (evaluation.get("split") or {}):
        return
    check_eval_args(evaluation)
    check_kind(model, model_class.type.name)
    config.external_config_dict = {"repeatable": True} | given | {"eval_args": {"order": "TO", **evaluation}}


def _add_defaults_of_commands(config: Any, model_class: Any) -> None:
    defaults, given = config.internal_config_dict, config.external_config_dict
    if not _predicts_values(defaults | given):
        config._update_internal_config_dict(PROPERTIES / "command.yaml")
    if needs_times(model_class, (given.get("eval_args") or {}).get("order")):
        defaults["load_col"] = add_time_column(defaults, given)


def needs_times(model_class: Any, order: str | None) -> bool:
    """Return True if a run needs the times of events: its model reads sequences or times, or the split is by time.

    Args:
        model_class: Class of the model; ``reads_times = True`` says that it reads times.
        order: ``order`` of ``eval_args``, which is ``TO`` for a split by time.
    """
    return bool(model_class.type.name == "SEQUENTIAL" or getattr(model_class, "reads_times", False) or order == "TO")


def add_time_column(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Add the time column to the default columns to load.

    Args:
        defaults: The defaults.
        given: The user's settings, which may give the columns other names.

    Returns:
        Columns to load, by kind of file.
    """
    settings = {**defaults, **given}
    loaded = {source: list(columns) for source, columns in (defaults.get("load_col") or {}).items()}
    if loaded.get("inter") == ["user_id", "item_id"]:  # RecBole's default for any data set
        loaded["inter"] = [settings[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD")]
    return loaded


def _predicts_values(settings: Mapping[str, Any]) -> bool:
    """Return True if a model is evaluated by predicted values instead of rankings."""
    from recbole.evaluator import metric_types

    metrics = settings.get("metrics") or []
    metrics = [metrics] if isinstance(metrics, str) else metrics
    return any(getattr(metric_types.get(str(metric).lower()), "name", "") == "VALUE" for metric in metrics)
