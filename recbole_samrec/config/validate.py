"""Checks of settings, so that an error is reported before anything is read, trained or written.

Types, ranges and choices of single settings come from :mod:`recbole_samrec.config.keys`; this module compares values
with them and checks the settings with a special form.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, get_type_hints

from recbole_samrec.config.former_settings import describe_successor
from recbole_samrec.config.keys import collect_types
from recbole_samrec.config.recbole_keys import LEARNERS, SYNONYMS
from recbole_samrec.config.schema import RENAMED, collect_model_settings
from recbole_samrec.config.value_types import (
    NonNegativeInt,
    OpenShare,
    describe_type,
    has_form,
    is_accepted,
    list_base_types,
    list_choices,
)
from recbole_samrec.data.temporal_options import GTS, TemporalOptions, check_temporal, parse_cut, read_options
from recbole_samrec.data.temporal_options import NAMES as TEMPORAL_NAMES
from recbole_samrec.utils.encodings import is_text_encoding
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import suggest_nearest

_INTERVAL = re.compile(r"\s*[\[(]\s*([^,;]+),([^,;]+)[\])]\s*")
RANKS_NOTHING = "it scores feature vectors and ranks no items"
"""Why models of boosted trees are not evaluated by rankings."""
_GPU = re.compile(r"-1|\d+|(GPU|MIG)-[\w/-]+")


def check_keys(keys: Iterable[str], known: Collection[str]) -> None:
    """Check that every key is known.

    Raises:
        ConfigError: A key is unknown; the message suggests similar ones.
    """
    for key in keys:
        if key not in known:
            raise ConfigError(f"unknown setting --{key}; {suggest(key, known)}")


def suggest(key: str, known: Collection[str]) -> str:
    """Suggest a known setting in place of an unknown one.

    Args:
        key: The unknown setting.
        known: The known settings.

    Returns:
        A suggestion such as ``did you mean learning_rate?`` or ``it is now called sam_exclude``.
    """
    if key in RENAMED:
        return f"it is now called {RENAMED[key]}"
    if successor := describe_successor(key):
        return successor
    meant = [name for name in SYNONYMS.get(key.lower(), ()) if name in known]
    return f"did you mean {' or '.join(meant)}?" if meant else suggest_nearest(key, known)


def check_values(values: Mapping[str, Any], types: Mapping[str, Any] | None = None) -> None:
    """Check that values have the types of their settings and are in their ranges and among their choices.

    Args:
        values: Settings; None means the default.
        types: Types of settings, from :func:`recbole_samrec.config.keys.collect_types`; by default those of every
            model's settings.

    Raises:
        ConfigError: A value is wrong; the message contains the key, the value and the permitted values.
    """
    types = collect_types() if types is None else types
    for key, value in values.items():
        if value is None or value == "None":
            continue
        if key in types:
            check_value(key, value, types[key])
        if key.endswith("_num_interval"):
            check_interval(key, value)
    learner = values.get("learner")
    if isinstance(learner, str) and learner.lower() not in LEARNERS:
        raise ConfigError(f"learner={learner}: there is no such optimizer; {suggest_nearest(learner, LEARNERS)}")
    _check_val_interval(values.get("val_interval"))
    _check_encoding(values.get("encoding"))
    _check_separators(values)
    _check_gpu_id(values.get("gpu_id"))
    _check_topk(values.get("topk"))
    _check_metrics(values.get("metrics"))
    check_eval_args(values.get("eval_args"))


def check_value(key: str, value: Any, annotation: Any) -> None:
    """Check one value.

    Raises:
        ConfigError: A value is wrong; the message contains the key, the value and the permitted values.
    """
    word = value.lower() if key == "state" and isinstance(value, str) else value
    if not is_accepted(annotation, word):
        near = suggest_nearest(str(value), map(str, list_choices(annotation))) if list_choices(annotation) else ""
        hint = f"; {near}" if near.startswith("did you mean") else ""
        if list_base_types(annotation) == (str,) and not list_choices(annotation) and not has_form(annotation):
            hint = f"; quoted twice it stays text, as in --{key}=\"'10'\""
        raise ConfigError(f"{key}={value}: must be {describe_type(annotation)}{hint}")


def check_own_values(values: Mapping[str, Any], model: str) -> None:
    """Check the settings of this package among others.

    Raises:
        ConfigError: A value is wrong; the message contains the key, the value and the permitted values.
    """
    ours = {key: one.annotation for key, one in collect_model_settings(model).items()}
    for key, value in values.items():
        if key in ours and value is not None and value != "None":
            check_value(key, value, ours[key])


def check_interval(key: str, value: Any) -> None:
    """Check an interval such as ``[5,inf)``, or several with ``;`` between them.

    Raises:
        ConfigError: It is not an interval, or an empty one; RecBole would only log that and filter nothing.
    """
    for part in str(value).split(";"):
        match = _INTERVAL.fullmatch(part)
        try:
            if match and float(match[1]) <= float(match[2]):
                continue
        except ValueError:
            pass
        raise ConfigError(f'{key}={value}: give an interval such as "[5,inf)" or "[5,100]"')


def _check_val_interval(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise ConfigError(f"val_interval={value}: give a dictionary such as {{'rating': '[3,5]'}}")
    for field, interval in value.items():
        if isinstance(interval, str):
            check_interval(f"val_interval of {field}", interval)


def _check_encoding(value: Any) -> None:
    if not is_text_encoding("utf-8" if value is None else str(value)):
        raise ConfigError(f"encoding={value}: there is no such encoding; use one such as utf-8 or latin-1")


def _check_separators(values: Mapping[str, Any]) -> None:
    for key, example in (("field_separator", ","), ("seq_separator", " ")):
        if values.get(key) == "":
            raise ConfigError(f"{key} is empty: give the text between the cells, such as --{key}={example!r}")


def _check_gpu_id(value: Any) -> None:
    ids = value if isinstance(value, (list, tuple)) else str("" if value is None else value).split(",")
    if not all(_GPU.fullmatch(str(one).strip()) for one in ids if str(one).strip()):
        raise ConfigError(f"gpu_id={value}: give the numbers of GPUs, such as 0 or 0,1")


def _check_topk(value: Any) -> None:
    cuts = value if isinstance(value, (list, tuple)) else [value]
    if value is not None and not (cuts and all(type(k) is int and k > 0 for k in cuts)):
        raise ConfigError(f"topk={value}: give whole numbers of at least 1, such as [5, 10, 20]")


def _check_metrics(value: Any) -> None:
    from recbole.evaluator import metric_types

    names = value if isinstance(value, (list, tuple)) else [value]
    if value is not None and not names:
        raise ConfigError("metrics=[]: name at least one, such as ['NDCG', 'Hit']")
    for name in names if value is not None else ():
        if str(name).lower() not in metric_types:
            hint = f"write a list as \"['{name[1:-1]}']\"; " if str(name).startswith("[") else ""
            raise ConfigError(
                f"metrics={value}: there is no metric {name}; {hint}choose from {', '.join(metric_types)}"
            )
    if len({metric_types[str(name).lower()] for name in names if value is not None}) > 1:
        raise ConfigError(
            f"metrics={value}: ranking metrics and value metrics cannot be used together; choose one kind"
        )


def check_eval_args(value: Any) -> None:
    """Check ``eval_args``.

    Raises:
        ConfigError: A part of it is unknown or has a wrong value.
    """
    if value is None:
        return
    parts = ("split", "order", "group_by", "mode")
    if not isinstance(value, dict) or not value.keys() <= set(parts):
        raise ConfigError(f"eval_args={value}: give a dictionary with any of {', '.join(parts)}")
    if value.get("order", "TO") not in ("RO", "TO"):
        raise ConfigError(f"eval_args: order={value['order']}: choose RO (random) or TO (by time)")
    if value.get("group_by") not in (None, "user", "none", "None"):
        raise ConfigError(f"eval_args: group_by={value['group_by']}: choose user or none")
    mode = value.get("mode", "full")
    for one in mode.values() if isinstance(mode, dict) else [mode]:
        if not re.fullmatch(r"full|labeled|(uni|pop)[1-9]\d*", str(one)):
            raise ConfigError(f"eval_args: mode={one}: choose full, labeled, or sampled items such as uni100 or pop100")
    if "split" in value:
        _check_split(value["split"])


def _check_split(split: Any) -> None:
    kind, how = next(iter(split.items())) if isinstance(split, dict) and len(split) == 1 else (None, None)
    if kind == "LS" and how in ("valid_and_test", "valid_only", "test_only"):
        return
    if kind == GTS and how is not None:
        _check_temporal_options(how)
        return
    if kind in ("RS", "TS") and isinstance(how, (list, tuple)) and len(how) == 3:
        numbers = all(isinstance(share, (int, float)) and 0 <= share < math.inf for share in how)
        if numbers and how[0] > 0:
            return
    raise ConfigError(
        f"eval_args: split={split}: give {{'LS': 'valid_and_test'}} (or valid_only, test_only), or three shares "
        "such as {'RS': [0.8, 0.1, 0.1]} or {'TS': [0.8, 0.1, 0.1]}, or the options of a global temporal split such as "
        "{'GTS': {'quantile': 0.9}}"
    )


_TEMPORAL_RANGES: dict[str, Any] = {
    "quantile": OpenShare,
    "validation_quantile": OpenShare,
    "split_seed": NonNegativeInt,
}


def _check_temporal_options(given: Any) -> None:
    """Check the options of a global temporal split.

    Raises:
        ConfigError: An option is unknown, has a wrong value or excludes another one.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f"eval_args: split GTS={given}: give a dictionary such as {{'quantile': 0.9}}")
    for key in given:
        if key not in TEMPORAL_NAMES:
            raise ConfigError(f"eval_args: split GTS has no option {key}; {suggest_nearest(str(key), TEMPORAL_NAMES)}")
    types = get_type_hints(TemporalOptions) | _TEMPORAL_RANGES
    for key, value in given.items():
        if key != "cut" and value is not None:
            check_value(f"eval_args: split GTS: {key}", value, types[key])
    if given.get("cut") is None:
        return
    if given.get("quantile") is not None:
        raise ConfigError("eval_args: split GTS has both a quantile and a cut; give one of them")
    try:
        finite = not isinstance(cut := parse_cut(given["cut"]), float) or math.isfinite(cut)
    except ValueError:
        finite = False
    if not finite or isinstance(given["cut"], bool):
        raise ConfigError(
            f"eval_args: split GTS: cut={given['cut']}: give a date such as 2018-01-01, in UTC, or a number as in the "
            "data"
        )


def check_evaluation(config: Any, chooses: bool = True) -> None:
    """Check the evaluation settings that depend on one another.

    Args:
        config: RecBole's configuration.
        chooses: Whether ``valid_metric`` is read, as in training, which chooses the best epoch by it.

    Raises:
        ConfigError: The validation metric is not computed, which RecBole would report after the first epoch, a
            sequential model is not split by time, or a model of boosted trees is to rank.
    """
    name, _, cut = str(config["valid_metric"]).partition("@")
    metrics = [str(metric).lower() for metric in config["metrics"]]
    at = config["eval_type"].name == "RANKING" and name.lower() != "gauc"  # all other metrics have a value for each K
    computed = name.lower() in metrics and at == bool(cut) and (not cut or cut in map(str, config["topk"]))
    if chooses and not computed:
        cuts = f" at topk={config['topk']}" if at else ""
        first = str(config["metrics"][0])
        example = first + (f"@{config['topk'][-1]}" if at and first.lower() != "gauc" else "")
        raise ConfigError(
            f"valid_metric={config['valid_metric']}: it is not among metrics={config['metrics']}{cuts}; "
            f"choose one of them, such as {example}"
        )
    if read_options(config["eval_args"]):
        check_temporal(config)
    if config["MODEL_TYPE"].name == "DECISIONTREE" and config["eval_type"].name == "RANKING":
        raise ConfigError(
            f"metrics={config['metrics']} cannot be used with {config['model']}: {RANKS_NOTHING}; use AUC"
        )
    if config["MODEL_TYPE"].name == "SEQUENTIAL" and config["eval_args"]["order"] != "TO":
        raise ConfigError(
            f"eval_args: {config['model']} is a sequential model and needs the time order; add 'order': 'TO'"
        )
