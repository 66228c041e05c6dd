"""The data set of a search: read once, and passed to all trials through Ray's object store."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from typing import Any

from recbole.data import create_dataset
from recbole.utils.argument_list import dataset_arguments

from recbole_samrec.quick_start.context import read_data
from recbole_samrec.utils.errors import ConfigError


def share_data_set(names: Iterable[str]) -> bool:
    """Return True if trials that differ in these settings read the same data set."""
    return not set(names) & {*dataset_arguments, "item_attribute", "exact_time_order", "keep_na_tokens"}


def pack(config: Any) -> bytes:
    """Read a data set as bytes that never leave Ray; each trial makes its own data set from them.

    Raises:
        UserError: The data cannot be read, split or ranked with these settings, so that every trial would fail.
    """
    packed = b""

    def read(config: Any) -> Any:
        nonlocal packed
        dataset = create_dataset(config)
        dataset.config = None  # every trial has its own
        packed = pickle.dumps(dataset, protocol=pickle.HIGHEST_PROTOCOL)
        dataset.config = config
        return dataset

    if not read_data(config, read=read).valid_data:
        raise ConfigError("eval_args: the split leaves nothing for validation, by which a search chooses")
    return packed


def make_reader(data: bytes) -> Callable[[Any], Any]:
    """Make the function that replaces RecBole's ``create_dataset`` in a trial."""

    def read(config: Any) -> Any:
        dataset = pickle.loads(data)
        dataset.config = config
        return dataset

    return read
