"""Warnings about behavior of RecBole that this package does not change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from recbole_samrec.data.packed_dataset import PackedDataset


def list_warnings(config: Any, dataset: Any, loaders: tuple) -> list[str]:
    """Return the warnings that apply to a run, one line each; the documentation explains them.

    Args:
        config: RecBole's configuration.
        dataset: RecBole's data set.
        loaders: Loaders for training, validation and test.
    """
    return [
        *_ranking_warnings(config, dataset),
        *_split_warnings(config, dataset, loaders),
        *_training_warnings(config),
    ]


def _ranking_warnings(config: Any, dataset: Any) -> Iterator[str]:
    modes = {str(mode) for mode in config["eval_args"]["mode"].values()}
    full, sampled = "full" in modes, any(mode.startswith(("uni", "pop")) for mode in modes)
    if _is_sequential(config) and full and not config["mask_history"]:
        yield "full ranking includes items that the user had before; papers that mask them are not comparable"
    if full and (unseen := _count_unseen_items(dataset)):
        yield f"{unseen} items of the .item file occur in no interaction, and are candidates all the same"
    if sampled:
        history = ", and may draw what the user had before" if config["repeatable"] else ""
        yield f"sampled evaluation draws with replacement, again at each evaluation{history}"
    if sampled and config["mask_history"]:
        yield "mask_history works on full rankings only; sampled evaluation passes it over"
    if sampled and _is_sequential(config) and _split(config) in ("RS", "TS"):
        yield "sampled evaluation merges a user's samples, of which this split has several, into one ranking"


def _split_warnings(config: Any, dataset: Any, loaders: tuple) -> Iterator[str]:
    if _split(config) == "TS" and config["eval_args"]["order"] == "RO":
        yield "a time split needs order: TO; with RO it takes the wrong samples"
    missing = dataset.user_num - 1 - _count_users(loaders[2], dataset)
    if missing > 0:
        yield (
            f"{missing} of {dataset.user_num - 1} users have no sample in the test set, most likely because they have "
            "too few events"
        )


def _training_warnings(config: Any) -> Iterator[str]:
    if config["model"] == "BERT4Rec":
        yield "RecBole's BERT4Rec leaves about one in seven masked positions without a label"
    if config["worker"]:
        yield "worker above 0 draws other negatives than worker: 0, and gives another loss"


def _is_sequential(config: Any) -> bool:
    return config["MODEL_TYPE"].name == "SEQUENTIAL"


def _split(config: Any) -> str | None:
    """``RS``, ``LS`` or ``TS``; None for benchmark files, which are split already."""
    if config["benchmark_filename"]:
        return None
    return next(iter(config["eval_args"]["split"] or {}), None)


def _count_unseen_items(dataset: Any) -> int:
    """Count the items that occur only in the ``.item`` file."""
    if dataset.item_feat is None:
        return 0
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
