"""RecBole's lists of the events before a target, made from flat events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recbole_samrec.data.sequences import align_left

Lists = Mapping[str, tuple[str, tuple[int, ...]]]
"""Names of lists, each with the field of the events that it is made of and the shape of one sample's list."""


def describe_lists(dataset: Any, events: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Describe RecBole's lists of a sequential data set, which has set the names and lengths of its lists already.

    Args:
        dataset: RecBole's sequential data set.
        events: Its events, one line each.
    """
    lists = {}
    for field in events:
        if field != dataset.uid_field:
            name = getattr(dataset, f"{field}_list_field")
            lists[name] = (field, _shape_list(dataset, field, name))
    return lists


def _shape_list(dataset: Any, field: str, name: str) -> tuple[int, ...]:
    length = dataset.field2seqlen[name]
    shape = (length,) if isinstance(length, int) else tuple(length)
    numerical = dataset.field2type[field].value.startswith("float") and field in dataset.config["numerical_features"]
    return (*shape, 2) if numerical else shape


def add_lists(samples: Any, events: Any, targets: Tensor, lengths: Tensor, lists: Lists, width: int) -> None:
    """Add the lists of the events before each target, left-aligned, to samples; existing columns keep their places.

    Args:
        samples: Samples, to which the columns are added.
        events: Flat events.
        targets: Each sample's target among the events, any shape ``[...]``.
        lengths: Number of events before it that are listed, of the same shape.
        lists: The lists.
        width: Most events of a list.
    """
    inside, before = align_left(targets - lengths, lengths, width)
    for name, (field, shape) in lists.items():
        values = events[field]
        samples[name] = torch.zeros((*targets.shape, *shape), dtype=values.dtype)
        samples[name][inside] = values[before]
