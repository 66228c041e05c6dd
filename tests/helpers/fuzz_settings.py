"""Generated settings: values of known settings in their spellings, and other input that people type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import yaml
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy], Any]


class Known(NamedTuple):
    """A setting with valid and invalid values."""

    good: st.SearchStrategy
    bad: st.SearchStrategy


_WORDS = st.sampled_from(["ten", "a b", "1,5", "--", "x=y", "None!", "[1", "{", "1e", "é"])
_COUNTS = Known(st.integers(1, 10**6), st.one_of(st.integers(-5, 0), st.sampled_from([1.5, True, [1], {}]), _WORDS))
_SHARES = Known(st.floats(0, 0.99), st.one_of(st.sampled_from([-0.1, 1.5, True, [0.1], 1e9]), _WORDS))
_POSITIVE = Known(st.floats(1e-9, 1e3), st.one_of(st.sampled_from([-1.0, True, [0.1]]), _WORDS))
_FLAGS = Known(st.booleans(), st.one_of(st.sampled_from([2, 0.5, [True], "maybe"]), _WORDS))
_METRICS = ["NDCG", "Hit", "MRR", "recall", "precision", "MAP"]

KNOWN: dict[str, Known] = {
    "window_stride": _COUNTS,
    "max_bad_steps": _COUNTS,
    "hidden_size": _COUNTS,
    "inner_size": _COUNTS,
    "hidden_dropout_prob": _SHARES,
    "attn_dropout_prob": _SHARES,
    "train_fraction": Known(st.floats(0.001, 1), _SHARES.bad),
    "layer_norm_eps": _POSITIVE,
    "eval_memory": _POSITIVE,
    "exact_time_order": _FLAGS,
    "mask_history": _FLAGS,
    "keep_na_tokens": _FLAGS,
    "training": Known(st.sampled_from(["packed", "prefix"]), st.sampled_from(["pack", "Packed ", 1, True, ["packed"]])),
    "sam_variant": Known(st.sampled_from(["sam", "asam"]), st.sampled_from(["sma", 3, ["sam"]])),
    "topk": Known(st.just([5, 10]) | st.lists(st.integers(1, 20), max_size=3).map(lambda more: [10, *more]),
                  st.sampled_from([0, -1, [0], [1.5], "ten", [], [True], {"a": 1}])),
    "metrics": Known(st.lists(st.sampled_from(_METRICS), max_size=3).map(lambda more: ["NDCG", *more]),
                     st.sampled_from([[], ["ndgc"], "none", [3]])),
    "user_inter_num_interval": Known(st.sampled_from(["[5,inf)", "(1,3]", "[1,2];[4,5]", "[0,0]"]),
                                     st.sampled_from(["5", "[5,", "[9,1]", "5-10", "[a,b]"])),
    "encoding": Known(st.sampled_from(["utf-8", "UTF8", "latin-1", "utf-16"]), st.sampled_from(["utf-9", "none-8"])),
}  # fmt: skip
"""Settings of which it is known by hand what they take."""

NAMES_OF_DATA = [
    "USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "RATING_FIELD", "LABEL_FIELD", "threshold", "field_separator",
    "seq_separator", "NEG_PREFIX", "ITEM_LIST_LENGTH_FIELD", "LIST_SUFFIX", "MAX_ITEM_LIST_LENGTH", "POSITION_FIELD",
    "load_col", "unload_col", "unused_col", "additional_feat_suffix", "rm_dup_inter", "val_interval",
    "filter_inter_by_user_or_item", "user_inter_num_interval", "item_inter_num_interval", "alias_of_user_id",
    "alias_of_item_id", "alias_of_entity_id", "alias_of_relation_id", "preload_weight", "normalize_field",
    "normalize_all", "discretization", "numerical_features", "benchmark_filename", "eval_args", "repeatable", "topk",
    "metrics", "valid_metric", "train_batch_size", "eval_batch_size", "train_neg_sample_args", "encoding", "seq_len",
    "keep_na_tokens", "exact_time_order", "shuffle", "seed", "reproducibility", "train_fraction", "dataset", "model",
    "data_path", "selected_features", "item_attribute", "worker", "transform", "learner", "loss_type", "gpu_id",
]  # fmt: skip
"""Settings that the reading of data depends on."""

TEXTS = st.one_of(
    st.sampled_from([
        "", " ", "None", "null", "~", "True", "False", "true", "0", "1", "-1", "2", "3", "1e9", "1/0", "2**99", "nan",
        "inf", "[]", "{}", "()", "[1]", "[None]", "['user_id']", "user_id", "item_id", "timestamp", "rating", "kind",
        "toy", "::", ",", "\\t", "|", "(", "*", "é", "'", '"', "first", "last", "[5,inf)", "[0,1]", "{'rating': 3}",
        "{'rating': '[0,9]'}", "{'kind': ['k1']}", "{'kind': 3}", "{'nothing': 1}", "{'inter': ['user_id']}",
        "{'inter': '*'}", "{'inter': None}",
        "{'inter': ['user_id', 'item_id', 'timestamp', 'rating'], 'item': ['item_id', 'kind', 'price']}",
        "{'item': ['kind']}", "{'inter': 3}", "{1: 2}", "['rating']", "['price']", "['kind']", "['train','test']",
        "SASRec", "BPR", "GRU4Rec", "FM", "SAMRec", "SASRecF", "S3Rec", "NARM", "Caser", "BERT4Rec", "nothing",
        "uni100", "{'split': {'RS': [8,1,1]}}", "{'split': {'RS': [0,0,0]}}", "{'split': {'LS': 'x'}}",
        "{'split': None}", "{'order': 'RO'}", "{'group_by': None}", "{'mode': 'uni5'}", "{'mode': 'labeled'}",
        "{'mode': {'valid': 'full'}}", "{'split': {'TS': [1,1,1]}}",
        "{'distribution': 'popularity', 'sample_num': 2}", "{'distribution': 'uniform', 'sample_num': 0}",
        "{'distribution': 'x'}", "{'distribution': 'uniform', 'sample_num': 1, 'dynamic': True}", "{'LB': ['price']}",
        "{'method': 'ED', 'bucket': 3}", "{'price': {'method': 'ED', 'bucket': 3}}", "{'kind': 2}", "{'rating': 0}",
        "{'iid': 'v'}", "mask_itemseq", "NDCG@10", "NDCG@1", "AUC", "['AUC']", "MRR", "utf-8", "utf-16", "latin-1",
        "rot13", "base64", "idna", "adam", "CE",
    ]),
    st.text(max_size=6),
    st.integers().map(str),
    st.floats().map(str),
)  # fmt: skip
"""Whatever is typed as a value."""


@st.composite
def valued(draw: Draw) -> tuple[str, Any, bool, str]:
    """Draw a setting, its value, whether it is valid, and one of its spellings on the command line."""
    key = draw(st.sampled_from(sorted(KNOWN)))
    is_good = draw(st.booleans())
    value = draw(KNOWN[key].good if is_good else KNOWN[key].bad)
    return key, value, is_good, draw(st.sampled_from(spellings(value)))


def spellings(value: Any) -> list[str]:
    """Spell a value for the command line."""
    if isinstance(value, str):
        return [value, repr(value)] if value.isidentifier() else [value]
    if isinstance(value, bool):
        return [str(value), str(value).lower()]
    if isinstance(value, float):
        return [repr(value), f"{value:.17e}"]
    if isinstance(value, int):
        return [str(value), f"{value} ", f"{value}*1"]
    return [repr(value), repr(value).replace(" ", ""), f" {value!r}"]


def yaml_of(key: str, value: Any) -> str:
    """Write a setting in yaml."""
    return yaml.safe_dump({key: value}, allow_unicode=True)


@st.composite
def typed(draw: Draw, names: list[str]) -> list[str]:
    """Draw arguments ``--key=value`` with arbitrary text after the equals sign."""
    keys = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
    return [f"--{key}={draw(TEXTS)}" for key in keys]


def misspelled(known: list[str]) -> st.SearchStrategy[str]:
    """A name with one letter dropped, doubled or exchanged."""

    def spoil(name: str, place: int, kind: int) -> str:
        place %= len(name)
        return [name[:place] + name[place + 1 :], name[:place] + name[place] + name[place:], name.upper()][kind]

    return st.builds(spoil, st.sampled_from(known), st.integers(0, 30), st.integers(0, 2)).filter(str.isidentifier)
