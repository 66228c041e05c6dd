"""Leave-one-out of general models with the targets of sequential ones."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from recbole.data.dataset import SequentialDataset


def keep_first_events(split: Callable) -> Callable:
    """Let ``Dataset._split_index_by_leave_one_out`` hold out what it holds out for sequential models.

    RecBole leaves at least one event of each user for training. For a sequential model it counts samples, which are the
    events but a user's first; for a general model it counts all events. Users with two events are then tested by
    general models alone, and those with three are validated by them alone. With ``sequential_targets`` the first event
    does not count for general models either, and is for training.
    """

    @functools.wraps(split)
    def split_index(self: Any, grouped_index: Iterable[Iterable[int]], leave_one_num: int) -> list[list[int]]:
        if isinstance(self, SequentialDataset) or not self.config["sequential_targets"]:
            return split(self, grouped_index, leave_one_num)
        users = [list(index) for index in grouped_index]
        train, *held_out = split(self, [index[1:] for index in users if len(index) > 1], leave_one_num)
        return [[*(index[0] for index in users), *train], *held_out]

    return split_index
