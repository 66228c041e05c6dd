"""Record the fields that a model has weights for."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recbole.data.dataset import Dataset

from recbole_samrec.compat import Patcher


@contextmanager
def record_read_fields() -> Iterator[set[str]]:
    """Record the fields whose number of tokens a model reads in its constructor to size its weights.

    Yields:
        A set that is filled with the names of the fields.
    """
    read: set[str] = set()
    num = Dataset.num

    @functools.wraps(num)
    def record(self: Any, field: str) -> int:
        read.add(field)
        return num(self, field)

    patch = Patcher()
    patch(Dataset, "num", record)
    try:
        yield read
    finally:
        patch.undo()
