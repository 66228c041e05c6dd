"""Whether settings are what they should be, so that a slip is told before anything is read, trained or written.

The yaml files of RecBole and of this project explain each key in a comment, ``key: value  # (type) meaning``, some with
``Range in [...]``. The same comments are read here to check values, so that there is one place that says what a key
may be; what no comment says stands in the tables below.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recbole_samrec.compat.config import YamlLoader
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import LEARNERS, nearest

_POSITIVE = (math.ulp(0.0), math.inf, "above 0")
_COUNT = (1, math.inf, "at least 1")
_NOT_NEGATIVE = (0, math.inf, "at least 0")
_SHARE = (0, math.nextafter(1, 0), "from 0 up to, but not, 1")

RANGES: dict[str, tuple[float, float, str]] = {
    **dict.fromkeys(("learning_rate", "layer_norm_eps", "eval_memory"), _POSITIVE),
    **dict.fromkeys("epochs train_batch_size eval_batch_size stopping_step MAX_ITEM_LIST_LENGTH".split(), _COUNT),
    **dict.fromkeys("max_bad_steps n_layers n_heads hidden_size inner_size embedding_size nproc".split(), _COUNT),
    "window_stride": _COUNT,
    **dict.fromkeys("eval_step weight_decay worker sam_rho sam_eta initializer_range".split(), _NOT_NEGATIVE),
    "track_sharpness": _NOT_NEGATIVE,
    **dict.fromkeys("sam_start sam_rho_from gsam_alpha fsam_sigma looksam_alpha".split(), _NOT_NEGATIVE),
    **{"looksam_k": _COUNT, "sam_rho_epochs": _POSITIVE, "sam_momentum": _SHARE},
    **dict.fromkeys(("hidden_dropout_prob", "attn_dropout_prob", "dropout_prob"), _SHARE),
    "n_negatives": _COUNT,
    **dict.fromkeys(("gbce_t", "filter_share"), (0, 1, "from 0 to 1")),
    "filter_cutoff": _COUNT,
    **{"cl_weight": _NOT_NEGATIVE, "cl_temperature": _POSITIVE},
    **dict.fromkeys(("cl_batch", "cl_batch_users"), (2, math.inf, "at least 2")),
    **dict.fromkeys(("crop_rate", "mask_rate", "reorder_rate"), (0, 1, "from 0 to 1")),
    **dict.fromkeys(("pretrain_epochs", "pretrain_batch_size", "save_step"), _COUNT),
    **dict.fromkeys(("aap_weight", "mip_weight", "map_weight", "sp_weight"), _NOT_NEGATIVE),
    **{"pretrain_learning_rate": _POSITIVE, "mask_ratio": (1e-9, 1, "above 0 and at most 1")},
    "train_fraction": (1e-9, 1, "above 0 and at most 1"),
    "seed": (0, 2**32 - 1, "from 0 to 4294967295"),
}

CHOICES: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("gelu", "relu", "swish", "tanh", "sigmoid"),
    "state": ("debug", "info", "warning", "warn", "error", "critical"),
    "rm_dup_inter": ("first", "last"),
    "transform": ("mask_itemseq", "inverse_itemseq", "crop_itemseq", "reorder_itemseq", "user_defined"),
}
"""Words that RecBole takes for keys whose comments do not list them."""

TOLERANT = frozenset(
    "gpu_id clip_grad_norm metrics topk valid_metric_bigger eval_args train_neg_sample_args val_interval "
    "additional_feat_suffix".split()
)
"""Keys that take more types than their comments name, and are checked elsewhere."""

_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (dict,),
}
_SAID = {
    "int": "a whole number",
    "float": "a number",
    "str": "a word",
    "bool": "True or False",
    "list": "a list",
    "dict": "a dictionary",
}
_LINE = re.compile(r"^([A-Za-z_]\w*)\s*:.*#\s*\(([^)]*)\)(.*)")
_RANGE = re.compile(r"[Rr]ang(?:e|ing) in \[(.*?)\]")
_INTERVAL = re.compile(r"\s*[\[(]\s*([^,;]+),([^,;]+)[\])]\s*")
_GPU = re.compile(r"-1|\d+|(GPU|MIG)-[\w/-]+")


@dataclass(frozen=True)
class Declared:
    """What a comment says of a key: the names of its types, and the words it may be, if they are listed."""

    types: frozenset[str]
    choices: tuple[str, ...] = ()


def declarations(files: Iterable[Path]) -> dict[str, Declared]:
    """Read the ``# (type) meaning`` comments of yaml files; later files win.

    Some of RecBole's comments are wrong; a key may always be of the type of its default.
    """
    found: dict[str, Declared] = {}
    for file in files:
        text = file.read_text(encoding="utf-8")
        defaults = yaml.load(text, Loader=YamlLoader) or {}
        for match in filter(None, map(_LINE.match, text.splitlines())):
            default = defaults.get(match[1])
            types = frozenset(re.findall(r"[a-z]+", match[2])) & frozenset(_TYPES)
            listed = _RANGE.search(match[3]) if types == {"str"} else None
            choices = tuple(re.findall(r"\w+", listed[1])) if listed else ()
            if types and default is not None:
                types |= {type(default).__name__} & frozenset(_TYPES)
            found[match[1]] = Declared(types, choices if default in (None, *choices) else ())
    return found


def check_keys(keys: Iterable[str], known: Iterable[str]) -> None:
    """Check that every key is one that something reads.

    Raises:
        ConfigError: Names the first unknown key and the ones it may have been meant for.
    """
    known = set(known)
    for key in keys:
        if key not in known:
            raise ConfigError(f"--{key}: nothing reads a setting of this name; {nearest(key, known)}")


def check_values(values: Mapping[str, Any], declared: Mapping[str, Declared]) -> None:
    """Check that values have the declared types, lie in their ranges and are among their choices.

    Raises:
        ConfigError: Names the key, the value and what it may be.
    """
    for key, value in values.items():
        if value is None or value == "None":
            continue
        said = declared.get(key, Declared(frozenset()))
        _check_type(key, value, said.types)
        _check_range(key, value)
        _check_choice(key, value, said.choices or CHOICES.get(key, ()))
        if key.endswith("_num_interval"):
            check_interval(key, value)
    learner = values.get("learner")
    if isinstance(learner, str) and learner.lower() not in LEARNERS:
        raise ConfigError(f"learner={learner}: there is no such optimizer; {nearest(learner, LEARNERS)}")
    _check_val_interval(values.get("val_interval"))
    _check_encoding(values.get("encoding"))
    _check_gpu_id(values.get("gpu_id"))
    _check_topk(values.get("topk"))
    _check_metrics(values.get("metrics"))
    _check_eval_args(values.get("eval_args"))


def _check_type(key: str, value: Any, types: Iterable[str]) -> None:
    allowed = tuple(t for name in types for t in _TYPES[name])
    wrong = not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)
    if allowed and wrong and key not in TOLERANT and not key.endswith("_interval"):
        raise ConfigError(f"{key}={value}: give {' or '.join(_SAID[name] for name in sorted(types))}")


def _check_range(key: str, value: Any) -> None:
    if key not in RANGES or isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    low, high, words = RANGES[key]
    if not low <= value <= high or math.isinf(value):
        raise ConfigError(f"{key}={value}: give a number {words}")


def _check_choice(key: str, value: Any, choices: Sequence[str]) -> None:
    word = value.lower() if key == "state" and isinstance(value, str) else value
    if choices and isinstance(value, str) and word not in choices:
        raise ConfigError(f"{key}={value}: choose one of {', '.join(choices)}")


def check_interval(key: str, value: Any) -> None:
    """Check an interval such as ``[5,inf)``, or several with ``;`` between them.

    Raises:
        ConfigError: It is no interval, or an empty one; RecBole would only log that and filter nothing.
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
    try:
        codecs.lookup(str(value or "utf-8"))
    except LookupError as error:
        raise ConfigError(f"encoding={value}: there is no such encoding; such as utf-8 or latin-1") from error


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
            raise ConfigError(f"metrics={value}: there is no metric {name}; {hint}there are {', '.join(metric_types)}")
    if len({metric_types[str(name).lower()] for name in names if value is not None}) > 1:
        raise ConfigError(f"metrics={value}: some rank items and some judge values, which cannot be used together")


def _check_eval_args(value: Any) -> None:
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
    if kind in ("RS", "TS") and isinstance(how, (list, tuple)) and len(how) == 3:
        numbers = all(isinstance(share, (int, float)) and 0 <= share < math.inf for share in how)
        if numbers and how[0] > 0:
            return
    raise ConfigError(
        f"eval_args: split={split}: give {{'LS': 'valid_and_test'}} (or valid_only, test_only), or three shares "
        "such as {'RS': [0.8, 0.1, 0.1]} or {'TS': [0.8, 0.1, 0.1]}"
    )


def check_evaluation(config: Any) -> None:
    """Check what only the whole configuration shows of the evaluation.

    Args:
        config: RecBole's configuration.

    Raises:
        ConfigError: The validation metric is not computed, which RecBole would find out after the first epoch, or a
            sequential model is not split by time.
    """
    name, _, cut = str(config["valid_metric"]).partition("@")
    metrics = [str(metric).lower() for metric in config["metrics"]]
    at = config["eval_type"].name == "RANKING" and name.lower() != "gauc"  # all others are measured at each K
    if name.lower() not in metrics or at != bool(cut) or (cut and cut not in map(str, config["topk"])):
        cuts = f" at topk={config['topk']}" if at else ""
        first = str(config["metrics"][0])
        example = first + (f"@{config['topk'][-1]}" if at and first.lower() != "gauc" else "")
        raise ConfigError(
            f"valid_metric={config['valid_metric']}: it is not among metrics={config['metrics']}{cuts}; "
            f"choose one of them, such as {example}"
        )
    if config["MODEL_TYPE"].name == "SEQUENTIAL" and config["eval_args"]["order"] != "TO":
        raise ConfigError(f"eval_args: {config['model']} reads sequences, which have an order; add 'order': 'TO'")
