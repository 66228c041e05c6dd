"""Measurements of ``gpu_check``: data sets, ways to train, and their sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import cases

OURS, RECBOLES = ("fp32", "TF32", "bf16"), ("fp32", "TF32", "fp16, scaler")
"""Precisions; RecBole's automatic mixed precision is fp16 with a scaler."""
SHAPE = "ml-1m-shape"
"""Name of the generated data set."""


@dataclass(frozen=True)
class Size:
    """Amount of work that is measured.

    Args:
        seconds: Time of the timed steps of each precision.
        users: Users of the generated set.
        items: Its items.
        length: Longest history.
        large_items: Items of the set for sampled losses.
        large_events: Its events.
        batch: Targets of a batch.
        checks: Names of the checks that are run; None for all.
        speeds: Names of the measurements of speed; None for all.
    """

    seconds: float
    users: int
    items: int
    length: int
    large_items: int
    large_events: int
    batch: int
    checks: tuple[str, ...] | None = None
    speeds: tuple[str, ...] | None = None


FULL = Size(4.0, users=604, items=3706, length=200, large_items=10**6, large_events=10**6, batch=2048)
"""A tenth of ml-1m's users: a step costs the same, and RecBole prepares them in a tenth of the time."""
TINY = Size(
    *(0.05, 12, 60, 10, 500, 2000, 128),
    checks=("train BPR", "CPU beside the device"),
    speeds=("RecBole's SASRec on ml-1m-shape", "SAMRec packed on ml-1m-shape", "SAMRec packed, SSM on 500 items"),
)
"""Enough to try the script out, on a CPU too."""


WAYS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "RecBole's SASRec": ("SASRec", {"training": "prefix", "fast_dropout": False}, True),
    "SASRec prefix": ("SASRec", {"training": "prefix"}, False),
    "SASRec packed": ("SASRec", {"training": "packed"}, False),
    "SAMRec packed": ("SAMRec", {"training": "packed", "sam_rho": 0.3}, False),
}
"""Model, settings, and whether RecBole's own trainer trains it, untouched."""
SAMPLED = {"SASRec packed, SSM": 0.0, "SAMRec packed, SSM": 0.3}
"""Ways with a sampled loss, and SAM's radius."""


def make_requests(device: str, size: Size, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Make the requests to ``gpu_measure``, in order.

    Args:
        device: ``cuda`` or ``cpu``.
        size: How much is measured.
        folder: Folder in which the generated data set is written.

    Yields:
        Name and request.
    """
    drop = {"hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2, "train_batch_size": size.batch}
    common = {**cases.COMMON, **drop}
    lengths = {"ml-100k": min(size.length, 50), SHAPE: size.length}
    for dataset, length in lengths.items():
        places = {"dataset": dataset, "MAX_ITEM_LIST_LENGTH": length}
        if dataset == SHAPE:
            places["data_path"] = str(write_shape(folder / "data", size))
        for name, (model, settings, recbole) in WAYS.items():
            yield (
                f"{name} on {dataset}",
                {
                    "settings": {**common, **places, **settings, "model": model},
                    "recbole": recbole,
                    "precisions": RECBOLES if recbole else OURS,
                    "seconds": size.seconds,
                    "device": device,
                },
            )
    for name, rho in SAMPLED.items():
        own = {**cases.GROWTH, "loss_type": "SSM", "n_negatives": min(256, size.large_items // 2), "sam_rho": rho}
        yield (
            f"{name} on {size.large_items} items",
            {
                "settings": {**common, **own, **drop, "model": "SAMRec", "dataset": "synthetic"},
                "recbole": False,
                "precisions": OURS,
                "seconds": size.seconds,
                "device": device,
                "items": size.large_items,
                "interactions": size.large_events,
            },
        )


def write_shape(folder: Path, size: Size, seed: int = 2020) -> Path:
    """Write a data set in the shape of ml-1m, unless it is there.

    The lengths of histories are log-normal with ml-1m's median of 96 events and its minimum of 20; the popularity of
    items falls like one over their rank, and each occurs.

    Returns:
        The folder in which RecBole looks for it.
    """
    file = folder / SHAPE / f"{SHAPE}.inter"
    draw = np.random.default_rng(seed)
    lengths = np.clip(np.exp(draw.normal(np.log(96), 1.0, size.users)).astype(int), 20, 2314)
    total = int(lengths.sum())
    items = np.clip(np.exp(draw.random(total) * np.log(size.items + 1)).astype(int), 1, size.items)
    places = draw.choice(total, min(size.items, total), replace=False)
    items[places] = np.arange(1, len(places) + 1)
    users = np.repeat(np.arange(1, size.users + 1), lengths)
    lines = [f"{user}\t{item}\t{time}" for time, (user, item) in enumerate(zip(users, items, strict=True))]
    content = "\n".join(["user_id:token\titem_id:token\ttimestamp:float", *lines]) + "\n"
    if not (file.exists() and file.read_text(encoding="utf-8") == content):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return folder
