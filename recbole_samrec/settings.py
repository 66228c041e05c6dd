"""What a run's settings are, as plain data: which to keep, and whether a value is of the right kind.

The yaml files of RecBole and of this project explain each key in a comment, ``key: value  # (type) meaning``. Here the
same comments are read to check values, so that there is one place that says what a key may be.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import json
import math
import operator
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from recbole_samrec.errors import ConfigError

DERIVED = frozenset(
    "MODEL_TYPE MODEL_INPUT_TYPE eval_type device valid_metric_bigger single_spec local_rank valid_neg_sample_args "
    "test_neg_sample_args world_size ip port nproc offset config_files config_file".split()
)
"""Keys that RecBole computes from the others or from the machine."""

OF_ONE_RUN = frozenset(
    "run_dir resume checkpoint_dir show_progress state log_wandb wandb_project gpu_id use_gpu data_path worker "
    "trust_checkpoint".split()
)
"""Keys that say where or how a run is carried out and leave its result alone."""

LEARNERS = ("adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam")

RANGES: dict[str, tuple[float, float, str]] = {
    "learning_rate": (0, math.inf, "above 0"),
    "epochs": (1, math.inf, "at least 1"),
    "train_batch_size": (1, math.inf, "at least 1"),
    "eval_batch_size": (1, math.inf, "at least 1"),
    "stopping_step": (1, math.inf, "at least 1"),
    "eval_step": (0, math.inf, "at least 0"),
    "weight_decay": (0, math.inf, "at least 0"),
    "MAX_ITEM_LIST_LENGTH": (1, math.inf, "at least 1"),
    "hidden_dropout_prob": (0, 1, "from 0 up to, but not, 1"),
    "attn_dropout_prob": (0, 1, "from 0 up to, but not, 1"),
    "dropout_prob": (0, 1, "from 0 up to, but not, 1"),
    "sam_rho": (0, math.inf, "at least 0"),
    "sam_eta": (0, math.inf, "at least 0"),
    "max_bad_steps": (1, math.inf, "at least 1"),
    "seed": (0, 2**32 - 1, "from 0 to 4294967295"),
}
TOLERANT = ("gpu_id", "clip_grad_norm", "metrics", "topk", "valid_metric_bigger", "eval_args", "train_neg_sample_args")
"""Keys for which RecBole takes more types than its comments name, and checks them itself."""

_NOT_ITSELF = {"learning_rate": 0.0, "hidden_dropout_prob": 1.0, "attn_dropout_prob": 1.0, "dropout_prob": 1.0}

_LINE = re.compile(r"^\s*([A-Za-z_]\w*)\s*:.*#\s*\(([^)]*)\)")
_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (dict,),
}


def declared_types(files: Iterable[Path]) -> dict[str, set[str]]:
    """Read the ``# (type) meaning`` comments of yaml files.

    Returns:
        For each key the names of the types it may have, such as ``{"float"}`` or ``{"list", "int"}``.
    """
    types: dict[str, set[str]] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            match = _LINE.match(line)
            if match:
                types[match[1]] = set(re.findall(r"[a-z]+", match[2])) & set(_TYPES)
    return types


def check_values(values: Mapping[str, Any], types: Mapping[str, set[str]]) -> None:
    """Check that values have the declared types and lie in their ranges.

    Raises:
        ConfigError: Names the key, the value and what it may be.
    """
    for key, value in values.items():
        kinds = types.get(key)
        if kinds and value is not None and value != "None":
            allowed = tuple(t for kind in kinds for t in _TYPES[kind])
            wrong = not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)
            if wrong and key not in TOLERANT and not key.endswith("_interval"):
                raise ConfigError(f"{key}={value}: give {' or '.join(_said(kind) for kind in sorted(kinds))}")
        _check_range(key, value)
    learner = values.get("learner")
    if isinstance(learner, str) and learner.lower() not in LEARNERS:
        raise ConfigError(f"learner={learner}: there is no such optimizer; {nearest(learner, LEARNERS)}")


def _check_range(key: str, value: Any) -> None:
    if key not in RANGES or isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    low, high, words = RANGES[key]
    if not low <= value <= high or value == _NOT_ITSELF.get(key) or math.isinf(value):
        raise ConfigError(f"{key}={value}: give a number {words}")


def _said(kind: str) -> str:
    words = {"int": "a whole number", "float": "a number", "str": "a word", "bool": "True or False"}
    return words.get(kind, {"list": "a list", "dict": "a dictionary"}.get(kind, kind))


def check_keys(keys: Iterable[str], known: Iterable[str]) -> None:
    """Check that every key is one that something reads.

    Raises:
        ConfigError: Names the first unknown key and the ones it may have been meant for.
    """
    known = set(known)
    for key in keys:
        if key not in known:
            raise ConfigError(f"--{key}: nothing reads a setting of this name; {nearest(key, known)}")


def nearest(word: str, known: Iterable[str], count: int = 3) -> str:
    """Words such as ``did you mean learning_rate?`` or, if nothing is near, the list of what there is."""
    known = sorted(known)
    lower = {name.lower(): name for name in known}
    found = [lower[n] for n in difflib.get_close_matches(word.lower(), lower, n=count, cutoff=0.6)]
    if found:
        return f"did you mean {' or '.join(found)}?"
    return f"there are: {', '.join(known)}" if len(known) <= 12 else "none has a name like it"


def literal(text: str) -> Any:
    """Read a setting from text without running it: a Python literal or simple arithmetic, else the text itself.

    ``"[5, 10]"`` is a list, ``"1e-3"`` and ``"1/3"`` are numbers, ``"true"`` is True, ``"SAMRec"`` stays a word.
    """
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (ValueError, SyntaxError, TypeError, ArithmeticError, MemoryError, RecursionError):
        return {"true": True, "false": False}.get(text.lower(), text)


_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def _value(node: ast.AST) -> Any:
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        numbers = all(isinstance(side, (int, float)) for side in (left, right))
        if numbers and type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](left, right)
        if numbers and isinstance(node.op, ast.Pow) and abs(right) <= 64 and abs(left) <= 1e6:
            return left**right
    return ast.literal_eval(node)


def plain_config(config: Any) -> dict[str, Any]:
    """The settings of a run as plain data that RecBole's ``Config`` takes again, without what it derives itself.

    Args:
        config: RecBole's ``Config``.
    """
    settings = {key: _plain(value) for key, value in config.final_config_dict.items() if key not in DERIVED}
    path = Path(str(settings.pop("data_path", "dataset")))
    if path.parent.name != "dataset_example":  # RecBole's own ml-100k, which it finds by itself
        settings["data_path"] = str(path.parent) if path.name == settings["dataset"] else str(path)
    negatives = settings.get("train_neg_sample_args")
    if isinstance(negatives, dict) and negatives.get("distribution") == "none":
        settings["train_neg_sample_args"] = None
    return settings


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)) and not isinstance(value, Enum):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(entry) for entry in value]
    return str(value)


def fingerprint(settings: Mapping[str, Any]) -> str:
    """A short hash of the settings that decide a result; equal for runs that would come out alike."""
    chosen = {key: value for key, value in settings.items() if key not in OF_ONE_RUN | DERIVED}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True, default=str).encode()).hexdigest()[:16]
