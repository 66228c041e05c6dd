"""Settings of a run as plain data: parse them from text, serialize them, suggest names."""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

DERIVED = frozenset(
    "MODEL_TYPE MODEL_INPUT_TYPE eval_type device valid_metric_bigger single_spec local_rank valid_neg_sample_args "
    "test_neg_sample_args world_size ip port nproc offset config_files config_file".split()
)
"""Keys that RecBole computes from the others or from the machine."""

OF_ONE_RUN = frozenset(
    "run_dir resume checkpoint_dir show_progress state log_wandb wandb_project gpu_id use_gpu data_path "
    "trust_checkpoint pretrained_dir known_data changed_data".split()
)
"""Keys that determine where or how a run is executed, without effect on its result."""

NOT_SEARCHED = (
    OF_ONE_RUN
    | DERIVED
    | frozenset(
        "model dataset seed epochs eval_step metrics topk valid_metric valid_metric_bigger eval_args mask_history "
        "recbole_metrics repeatable benchmark_filename load_col unload_col unused_col rm_dup_inter "
        "filter_inter_by_user_or_item val_interval threshold user_inter_num_interval item_inter_num_interval "
        "exact_time_order sequential_targets keep_na_tokens train_fraction".split()
    )
)
"""Keys that decide what is measured, for how long and where: runs that differ in them cannot be ranked."""

NO_GPU = ("", "-1")
"""Values of ``gpu_id`` that stand for the CPU."""


def suggest_nearest(word: str, known: Iterable[str], count: int = 3) -> str:
    """Suggest names, as in ``did you mean learning_rate?``, or list the nearest ones if none is similar."""
    known = sorted(known)
    lower = {name.lower(): name for name in known}
    found = [lower[n] for n in difflib.get_close_matches(word.lower(), lower, n=count, cutoff=0.6)]
    if found:
        return f"did you mean {' or '.join(found)}?"
    if len(known) <= 12:
        return f"there are: {', '.join(known)}"
    far = [lower[n] for n in difflib.get_close_matches(word.lower(), lower, n=count, cutoff=0.0)]
    return f"the nearest names are {', '.join(far)}"


def is_number(text: str) -> bool:
    """Return True for a text that Python reads as a number, such as ``1e-3``, ``inf`` and ``nan``."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def parse_literal(text: str) -> Any:
    """Read a setting from text without running it: a Python literal or simple arithmetic, else the text itself.

    ``"[5, 10]"`` is a list, ``"1e-3"`` and ``"1/3"`` are numbers, ``"true"`` is True, ``"SAMRec"`` stays a word.
    """
    try:
        value = _evaluate(ast.parse(text.strip(), mode="eval").body)
    except (ValueError, SyntaxError, TypeError, ArithmeticError, MemoryError, RecursionError):
        return {"true": True, "false": False}.get(text.lower(), text)
    return value if value is None or isinstance(value, (bool, int, float, str, list, tuple, dict)) else text


_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def _evaluate(node: ast.AST | None) -> Any:
    if isinstance(node, (ast.List, ast.Tuple)):
        return (list if isinstance(node, ast.List) else tuple)(map(_evaluate, node.elts))
    if isinstance(node, ast.Dict):
        return {_evaluate(key): _evaluate(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_parse_number(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_parse_number(node.left), _parse_number(node.right))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base, exponent = _parse_number(node.left), _parse_number(node.right)
        if abs(base) <= 1e6 and abs(exponent) <= 64:  # larger ones would take long
            return base**exponent
    if node is None:
        raise ValueError("a dictionary cannot be unpacked in a setting")
    return ast.literal_eval(node)


def _parse_number(node: ast.AST) -> int | float:
    value = _evaluate(node)
    if not isinstance(value, (int, float)):
        raise ValueError(f"{value!r} is not a number")
    return value


def serialize_config(config: Any) -> dict[str, Any]:
    """Serialize the settings of a run to plain data that RecBole's ``Config`` accepts, without derived keys.

    Args:
        config: RecBole's ``Config``.
    """
    settings = {key: _serialize(value) for key, value in config.final_config_dict.items() if key not in DERIVED}
    path = Path(str(settings.pop("data_path", "dataset")))
    if path.parent.name != "dataset_example":  # RecBole's own ml-100k, which it finds by itself
        settings["data_path"] = str(path.parent) if path.name == settings["dataset"] else str(path)
    negatives = settings.get("train_neg_sample_args")
    if isinstance(negatives, dict) and negatives.get("distribution") == "none":
        settings["train_neg_sample_args"] = None
    return settings


def _serialize(value: Any) -> Any:
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, dict):
        return {str(key): _serialize(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_serialize(entry) for entry in value]
    return str(value)
