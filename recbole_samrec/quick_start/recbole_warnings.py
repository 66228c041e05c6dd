"""Warnings about behaviour of RecBole that this package does not change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from recbole_samrec.data.packed_dataset import PackedDataset


def warnings_about(config: Any, dataset: Any, loaders: tuple) -> list[str]:
    """Return the warnings that apply to a run, one line each; the documentation explains them.

    Args:
        config: RecBole's configuration.
        dataset: RecBole's data set.
        loaders: Loaders for training, validation and test.
    """
    return [*_about_ranking(config, dataset), *_about_the_split(config, dataset, loaders), *_about_training(config)]


def _about_ranking(config: Any, dataset: Any) -> Iterator[str]:
    modes = {str(mode) for mode in config["eval_args"]["mode"].values()}
    full, sampled = "full" in modes, any(mode.startswith(("uni", "pop")) for mode in modes)
    if _is_sequential(config) and full and not config["mask_history"]:
        yield "full ranking leaves items in it that the user had before; papers that mask them are not comparable"
    if full and (unseen := _items_nobody_had(dataset)):
        yield f"{unseen} items of the .item file occur in no interaction, and are candidates all the same"
    if sampled:
        history = ", and may draw what the user had before" if config["repeatable"] else ""
        yield f"sampled evaluation draws with replacement, anew at each evaluation{history}"
    if sampled and config["mask_history"]:
        yield "mask_history works on full rankings only; sampled evaluation passes it over"
    if sampled and _is_sequential(config) and _split(config) in ("RS", "TS"):
        yield "sampled evaluation merges a user's rows, of which this split leaves several, into one ranking"


def _about_the_split(config: Any, dataset: Any, loaders: tuple) -> Iterator[str]:
    if _split(config) == "TS" and config["eval_args"]["order"] == "RO":
        yield "a time split needs order: TO; with RO it takes the wrong rows"
    missing = dataset.user_num - 1 - _users_in(loaders[2], dataset)
    if missing > 0:
        yield f"{missing} of {dataset.user_num - 1} users have no row in the test set, most likely for want of events"


def _about_training(config: Any) -> Iterator[str]:
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


def _items_nobody_had(dataset: Any) -> int:
    """How many items only the ``.item`` file knows."""
    if dataset.item_feat is None:
        return 0
    held = dataset.events if isinstance(dataset, PackedDataset) else dataset.inter_feat
    seen = _marked(dataset.item_num, held[dataset.iid_field])
    field = getattr(dataset, f"{dataset.iid_field}_list_field", None)
    if field is not None and field in held:  # a user's first item stands only in the lists
        seen |= _marked(dataset.item_num, held[field])
    return int((~seen[1:]).sum())


def _users_in(loader: Any, dataset: Any) -> int:
    rows = loader._dataset.inter_feat
    if dataset.uid_field is None or dataset.uid_field not in rows:
        return dataset.user_num - 1
    return int(_marked(dataset.user_num, rows[dataset.uid_field])[1:].sum())


def _marked(size: int, ids: torch.Tensor) -> torch.Tensor:
    """Which of the ids from 0 to ``size`` occur."""
    return torch.bincount(ids.flatten(), minlength=size) > 0
