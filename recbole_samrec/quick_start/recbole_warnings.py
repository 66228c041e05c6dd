"""Warnings about behavior of RecBole that this package does not change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch
from recbole.utils import FeatureType, InputType

from recbole_samrec.data.features import describe_unread_floats
from recbole_samrec.data.packed_dataset import PackedDataset
from recbole_samrec.data.temporal_held import find_counts
from recbole_samrec.data.vectors import describe_unread_vectors


def list_warnings(config: Any, dataset: Any, loaders: tuple) -> list[str]:
    """Return the warnings that apply to a run, one line each; the documentation explains them.

    Args:
        config: RecBole's configuration.
        dataset: RecBole's data set.
        loaders: Loaders for training, validation and test.
    """
    return [*list_notes(config, dataset), *_split_warnings(config, dataset, loaders)]


def list_notes(config: Any, dataset: Any) -> list[str]:
    """Return the warnings that the check of the files does not report already; see :func:`list_warnings`."""
    return [
        *_ranking_warnings(config, dataset),
        *_label_warnings(config, dataset),
        *_training_warnings(config, dataset),
        *filter(None, [describe_unread_floats(config, dataset), describe_unread_vectors(config)]),
    ]


def _ranking_warnings(config: Any, dataset: Any) -> Iterator[str]:
    modes = {str(mode) for mode in config["eval_args"]["mode"].values()}
    full, sampled = "full" in modes, any(mode.startswith(("uni", "pop")) for mode in modes)
    if _is_sequential(config) and full and not config["mask_history"]:
        yield "full ranking includes items that the user had before; papers that mask them are not comparable"
    if full and not find_counts(dataset) and (unseen := _count_unseen_items(dataset)):
        suffixes = ["item"] if dataset.item_feat is not None else []
        files = " or ".join(f".{suffix}" for suffix in [*suffixes, *(config["additional_feat_suffix"] or ())])
        where = f"the {files} file" if files else "other files"
        yield f"{unseen} items of {where} occur in no interaction but are ranked as candidates"
    if sampled:
        history = ", and may draw items that the user had before" if config["repeatable"] else ""
        yield f"sampled evaluation draws with replacement, again at each evaluation{history}"
    if modes != {"full"} and config["mask_history"]:
        kind = "sampled" if sampled else "labeled"
        yield f"mask_history applies to full rankings only; {kind} evaluation ignores it"
    if sampled and _is_sequential(config) and _split(config) in ("RS", "TS"):
        yield "sampled evaluation merges a user's samples, of which this split has several, into one ranking"


def describe_split(dataset: Any) -> list[str]:
    """Describe the numbers of a global temporal split, a line each; nothing for other splits."""
    counts = find_counts(dataset)
    return counts.describe() if counts else []


def _label_warnings(config: Any, dataset: Any) -> Iterator[str]:
    field, threshold = config["LABEL_FIELD"], config["threshold"]
    if set(config["eval_args"]["mode"].values()) == {"labeled"} or field not in dataset.inter_feat:
        return
    labels, kept = dataset.inter_feat[field], "(0,inf)"
    if dataset.field2type[field] == FeatureType.TOKEN:
        names = pd.to_numeric(pd.Series(dataset.field2id_token[field]), errors="coerce")
        labels, kept = torch.from_numpy((~(names <= 0)).to_numpy())[labels], "['1']"
    if not (negative := int((labels <= 0).sum())):
        return
    what, interval = (f"column {field}", {field: kept})
    if threshold:
        what = f"threshold={threshold}"
        interval = {rating: f"[{value:g},inf)" for rating, value in threshold.items()}
    remedy = f'--val_interval="{interval}" leaves them out'
    if config["benchmark_filename"]:
        remedy = "leave them out of the benchmark files"
    yield (
        f"{what} has no effect on a ranking, which treats every event as positive, including the "
        f"{negative} of {len(labels)} "
        f"with label 0; {remedy}"
    )


def _split_warnings(config: Any, dataset: Any, loaders: tuple) -> Iterator[str]:
    if _split(config) == "TS" and config["eval_args"]["order"] == "RO":
        yield "a time split needs order: TO; with RO it selects the wrong samples"
    if find_counts(dataset):
        return
    missing = dataset.user_num - 1 - _count_users(loaders[2], dataset)
    if missing > 0:
        yield (
            f"{missing} of {dataset.user_num - 1} users have no sample in the test set, most likely because they have "
            "too few events"
        )


def _training_warnings(config: Any, dataset: Any) -> Iterator[str]:
    if _trains_on_labels(config) and config["LABEL_FIELD"] in dataset.inter_feat:
        if (dataset.inter_feat[config["LABEL_FIELD"]] > 0).all():
            yield (
                f"every {config['LABEL_FIELD']} is positive and train_neg_sample_args=None samples nothing: "
                f"{config['model']} is trained without negatives; raise the threshold or sample items"
            )
    if config["model"] == "BERT4Rec":
        yield "RecBole's BERT4Rec leaves about one in seven masked positions without a label"
    if config["worker"]:
        yield "worker above 0 draws other negatives than worker: 0, so the loss differs"


def _trains_on_labels(config: Any) -> bool:
    """Return True if a model may read labels that are not replaced by those of sampled items."""
    samples = (config["train_neg_sample_args"] or {}).get("distribution", "none") != "none"
    return config["MODEL_INPUT_TYPE"] == InputType.POINTWISE and not samples and not _is_sequential(config)


def _is_sequential(config: Any) -> bool:
    return config["MODEL_TYPE"].name == "SEQUENTIAL"


def _split(config: Any) -> str | None:
    """``RS``, ``LS`` or ``TS``; None for benchmark files, which are split already."""
    if config["benchmark_filename"]:
        return None
    return next(iter(config["eval_args"]["split"] or {}), None)


def _count_unseen_items(dataset: Any) -> int:
    """Count the items that occur only in other files, such as ``.item``."""
    held = dataset.events if isinstance(dataset, PackedDataset) else dataset.inter_feat
    seen = _mark_ids(dataset.item_num, held[dataset.iid_field])
    field = getattr(dataset, f"{dataset.iid_field}_list_field", None)
    if field is not None and field in held:  # a user's first item occurs only in the lists
        seen |= _mark_ids(dataset.item_num, held[field])
    return int((~seen[1:]).sum())


def _count_users(loader: Any, dataset: Any) -> int:
    samples = loader._dataset.inter_feat
    if dataset.uid_field is None or dataset.uid_field not in samples:
        return dataset.user_num - 1
    return int(_mark_ids(dataset.user_num, samples[dataset.uid_field])[1:].sum())


def _mark_ids(size: int, ids: torch.Tensor) -> torch.Tensor:
    """Mark which of the ids from 0 to ``size`` occur."""
    return torch.bincount(ids.flatten(), minlength=size) > 0
