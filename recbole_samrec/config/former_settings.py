"""Settings of RecBole 0.x and 1.0, which RecBole 1.2.1 silently ignores, and their successors."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from recbole_samrec.utils.errors import ConfigError

_OF_EVALUATION = ("eval_setting", "split_ratio", "leave_one_num", "group_by_user", "eval_neg_sample_args")
_OF_NEGATIVES = ("training_neg_sample_num", "training_neg_sample_distribution", "neg_sampling")
_OF_VALUES = ("lowest_val", "highest_val", "equal_val", "not_equal_val")
_OF_USERS = ("min_user_inter_num", "max_user_inter_num")
_OF_ITEMS = ("min_item_inter_num", "max_item_inter_num")

SUCCESSORS: dict[str, str] = {
    **dict.fromkeys(_OF_EVALUATION, "eval_args"),
    **dict.fromkeys(_OF_NEGATIVES, "train_neg_sample_args"),
    **dict.fromkeys(_OF_VALUES, "val_interval"),
    **dict.fromkeys(_OF_USERS, "user_inter_num_interval"),
    **dict.fromkeys(_OF_ITEMS, "item_inter_num_interval"),
    **dict.fromkeys(("drop_filter_field", "drop_threshold_field", "drop_preload_weight"), "unused_col"),
    "fields_in_same_space": "alias_of_user_id or alias_of_item_id",
    "full_sort_batch_size": "eval_batch_size",
    "gpu_ids": "gpu_id",
    "config_file": "config_files",
    "config_file_list": "config_files",
}
"""Settings that RecBole 1.2.1 reads in place of former ones."""

WITHOUT_SUCCESSOR: dict[str, str] = {
    "augmentation": "every prefix of a sequence is a training sample",
    "min_delta": "any improvement counts",
    "fill_nan": "missing values are always filled",
    "real_time_process": "negatives are always drawn in each epoch",
    "SOURCE_ID_FIELD": ".net files of social networks are not read",
    "TARGET_ID_FIELD": ".net files of social networks are not read",
    "bucket": "sequences are not sorted by length",
    "dataset_visualize": "nothing is drawn",
    "draw_loss_pic": "tensorboard shows the loss",
    "draw_pic": "tensorboard shows the loss",
    "print_latex_code": "compare writes tables in LaTeX",
}
"""Former settings that nothing replaces, and what holds now."""

HARMLESS = frozenset(
    "drop_filter_field drop_threshold_field drop_preload_weight fill_nan real_time_process bucket dataset_visualize "
    "draw_loss_pic draw_pic print_latex_code full_sort_batch_size SOURCE_ID_FIELD TARGET_ID_FIELD".split()
)
"""Former settings that are only noted, as a run without them gives what was meant, or nearly so."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "group_by_user": (True,),
    "min_user_inter_num": (0,),
    "min_item_inter_num": (0,),
    "augmentation": (True,),
    "min_delta": (0,),
    "neg_sampling": (None, "None"),
}
"""Values with which a former setting says what holds anyway; it is noted then."""

OF_MODELS = frozenset(
    "CCL_margin CCL_weight L UI_aggregation_weight act_fct critic_layers_1 critic_layers_2 critic_layers_3 drop_out "
    "drop_prob encode_hidden_size included_features item_layers_dim kl_loss_weight l2_weight lamb latent_dimendion "
    "lgb_learning_rates lgb_model lgb_silent lgb_verbose_eval max_seq_len min_y_hat num_attention_heads "
    "num_hidden_layers onecall reg_1 reg_2 regs relative_threshold train_or_cv use_att use_knn use_louvain use_random "
    "user_item_aggregation_weight user_layers_dim xgb_base_margin xgb_cv_folds xgb_cv_fpreproc xgb_cv_nfold "
    "xgb_cv_seed xgb_cv_show_stdv xgb_cv_shuffle xgb_cv_stratified xgb_feature_names xgb_feature_types xgb_feval "
    "xgb_label_field xgb_maximize xgb_missing xgb_obj xgb_weight".split()
)
"""Settings that models of earlier versions of RecBole read, and none of 1.2.1."""


def describe_successor(key: str) -> str:
    """Describe what replaces a former setting, as in ``use eval_args``; empty for other settings."""
    if key in SUCCESSORS:
        return f"use {SUCCESSORS[key]} in its place"
    return f"RecBole 1.2.1 has no such setting ({WITHOUT_SUCCESSOR[key]})" if key in WITHOUT_SUCCESSOR else ""


def check_former_settings(
    settings: Mapping[str, Any], origin: str, note: Callable[[str], None] = lambda line: None
) -> None:
    """Check that settings are not those of an earlier RecBole, which would have no effect.

    Args:
        settings: Settings of a file.
        origin: Name of the file.
        note: Receives a line about each former setting without which a run gives the same.

    Raises:
        ConfigError: A former setting differs from RecBole's defaults; the message lists all of them and what to
            write in their place.
    """
    former = {key: value for key, value in settings.items() if key in SUCCESSORS or key in WITHOUT_SUCCESSOR}
    noted = {key for key, value in former.items() if key in HARMLESS or _is_neutral(key, value)}
    for key in sorted(noted):
        if former[key] is not None or key in NEUTRAL:
            note(f"{origin}: {key} has no effect; {describe_successor(key)}")
    refused = {key: value for key, value in former.items() if key not in noted}
    if refused:
        raise ConfigError(f"{origin}: settings of an earlier RecBole: {'; '.join(_describe_refused(refused, former))}")


def _is_neutral(key: str, value: Any) -> bool:
    return value is None or any(value == one and type(value) is type(one) for one in NEUTRAL.get(key, ()))


def _describe_refused(refused: Collection[str], former: Mapping[str, Any]) -> Iterator[str]:
    """Describe former settings and their replacements, grouped by successor."""
    for successor in dict.fromkeys(SUCCESSORS[key] for key in refused if key in SUCCESSORS):
        keys = [key for key in refused if SUCCESSORS.get(key) == successor]
        translate = _TRANSLATIONS.get(successor)
        value = translate(former) if translate else None
        yield f"write {successor}{f': {value}' if value else ''} in place of {', '.join(keys)}"
    for key in refused:
        if key in WITHOUT_SUCCESSOR:
            yield f"leave {key} out ({WITHOUT_SUCCESSOR[key]})"


def _translate_evaluation(former: Mapping[str, Any]) -> dict[str, Any]:
    """Translate ``eval_setting: TO_LS,uni100`` and the settings that belong to it."""
    words = former.get("eval_setting") or ""
    words = ",".join(map(str, words)) if isinstance(words, list | tuple) else str(words)
    ratio, left_out = former.get("split_ratio"), former.get("leave_one_num")
    found: dict[str, Any] = {}
    if "LS" in words or (left_out and "RS" not in words):
        found["split"] = {"LS": "test_only" if left_out == 1 else "valid_and_test"}
    elif "RS" in words or ratio:
        found["split"] = {"RS": list(ratio) if isinstance(ratio, list | tuple) else [0.8, 0.1, 0.1]}
    if order := re.search(r"\b(RO|TO)", words):
        found["order"] = order[1]
    if isinstance(grouped := former.get("group_by_user"), bool):
        found["group_by"] = "user" if grouped else "none"
    sampled, mode = former.get("eval_neg_sample_args"), re.search(r"full|(?:uni|pop)\d+", words)
    if mode:
        found["mode"] = mode[0]
    elif isinstance(sampled, Mapping) and isinstance(number := sampled.get("sample_num"), int):
        found["mode"] = f"{'pop' if str(sampled.get('distribution')).startswith('pop') else 'uni'}{number}"
    return found


def _translate_negatives(former: Mapping[str, Any]) -> dict[str, Any] | str | None:
    number, given = former.get("training_neg_sample_num"), former.get("neg_sampling")
    distribution = former.get("training_neg_sample_distribution") or "uniform"
    if isinstance(given, Mapping) and len(given) == 1:
        distribution, number = next(iter(given.items()))
    if number == 0:
        return "~"
    return {"distribution": distribution, "sample_num": number} if isinstance(number, int) else None


def _translate_values(former: Mapping[str, Any]) -> dict[str, str]:
    forms = ("[{},inf)", "(-inf,{}]", "[{0},{0}]", "(-inf,{0});({0},inf)")
    found: dict[str, list[str]] = {}
    for key, form in zip(_OF_VALUES, forms, strict=True):
        if isinstance(limits := former.get(key), Mapping):
            for field, limit in limits.items():
                found.setdefault(str(field), []).append(form.format(limit))
    return {field: _intersect(intervals) for field, intervals in found.items()}


def _intersect(intervals: list[str]) -> str:
    """Join ``[3,inf)`` and ``(-inf,5]`` to ``[3,5]``."""
    lower = next((one for one in intervals if one.endswith(",inf)") and one.startswith("[")), None)
    upper = next((one for one in intervals if one.startswith("(-inf,") and one.endswith("]")), None)
    if lower and upper:
        return lower.removesuffix("inf)") + upper.removeprefix("(-inf,")
    return intervals[0]


def _translate_counts(lowest: str, highest: str) -> Callable[[Mapping[str, Any]], str]:
    def translate(former: Mapping[str, Any]) -> str:
        low, high = former.get(lowest) or 0, former.get(highest)
        return f'"[{low},inf)"' if high in (None, 0) else f'"[{low},{high}]"'

    return translate


_TRANSLATIONS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "eval_args": _translate_evaluation,
    "train_neg_sample_args": _translate_negatives,
    "val_interval": _translate_values,
    "user_inter_num_interval": _translate_counts(*_OF_USERS),
    "item_inter_num_interval": _translate_counts(*_OF_ITEMS),
}
