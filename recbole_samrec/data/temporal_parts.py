"""RecBole's data sets for training, validation and test of a global temporal split."""

from __future__ import annotations

from collections.abc import Mapping
from logging import getLogger
from typing import Any

import numpy as np
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction

from recbole_samrec.data.known_split import find_known_split
from recbole_samrec.data.packed_dataset import EVENT, PackedDataset
from recbole_samrec.data.prefix_lists import add_lists, describe_lists
from recbole_samrec.data.temporal_held import Held, trains_on_all
from recbole_samrec.data.temporal_options import TemporalOptions, check_temporal, read_options
from recbole_samrec.data.temporal_split import Part, SplitCounts, format_time, split_events
from recbole_samrec.utils.errors import ConfigError, DataError


def build_temporal_parts(dataset: Any) -> list[Any]:
    """Split a data set that RecBole has read.

    Args:
        dataset: RecBole's data set; afterwards its interactions are those of the training part, one line each.

    Returns:
        The parts for training, validation and test; the latter two have an attribute ``held``, see :class:`Held`.

    Raises:
        ConfigError: The data set or a setting does not allow such a split.
        DataError: The times do not allow it, or there is nothing to train on or to test.
    """
    options = read_options(dataset.config["eval_args"])
    assert options is not None, "called for a global temporal split"
    check_temporal(dataset.config)
    if type(dataset) not in (Dataset, SequentialDataset, PackedDataset):
        raise ConfigError(
            f"eval_args: split GTS cannot be used with {dataset.config['model']}: it has its own data set, "
            f"{type(dataset).__name__}; choose another model"
        )
    users, items, times = _read_events(dataset)
    split = split_events(
        users,
        items,
        times,
        options,
        final=trains_on_all(dataset.config),
        n_users=dataset.user_num,
        n_items=dataset.item_num,
        known=find_known_split(dataset),
    )
    _check_counts(dataset, split.counts, options)
    make = _SequentialParts(dataset) if isinstance(dataset, SequentialDataset) else _GeneralParts(dataset)
    train = make.training_part(split.train)
    train.first_items = _find_firsts(users[split.train.events], items[split.train.events], dataset.user_num)
    train.candidates = split.served.candidates  # see data/item_counts.py
    counts = np.bincount(items[split.train.events], minlength=dataset.item_num)
    parts = [make.held_part(part) for part in (split.valid, split.test)]
    for part, of_split in zip(parts, (split.valid, split.test), strict=True):
        of_part = items[of_split.events]
        part.held = Held(of_part, of_split.starts, of_split.targets, split.served, counts)
    dataset.inter_feat = dataset.inter_feat[torch.from_numpy(split.train.events)]
    if isinstance(dataset, PackedDataset):
        dataset.events = dataset.inter_feat
    for one in (dataset, train, *parts):
        one.split_counts = split.counts
    return [train, *parts]


def _read_events(dataset: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convert the interactions of a data set to tensors in time order; return users, items and exact times."""
    Dataset._change_feat_format(dataset)  # the method of sequential data sets also makes the table of prefixes
    exact = dataset.__dict__.pop("_exact_order", None)  # see compat/time_order.py
    if exact is None:
        raise DataError(
            f"GTS: the exact times of {dataset.dataset_name} are unknown: load {dataset.time_field} as a number, and "
            "keep exact_time_order=True"
        )
    users, items = (dataset.inter_feat[field].numpy() for field in (dataset.uid_field, dataset.iid_field))
    return users, items, exact["time"].to_numpy()


def _check_counts(dataset: Any, counts: SplitCounts, options: TemporalOptions) -> None:
    """Check that there is something to train on, to validate and to test.

    Raises:
        DataError: A part is empty.
    """
    name, where = dataset.dataset_name, f"GTS: {dataset.dataset_name}"
    begins = f"{'from' if counts.at_cut else 'after'} {format_time(counts.cut)} on"
    if not counts.train_events:
        raise DataError(
            f"{where}: no user has two events before the test, which has the events {begins}; choose a later cut or a "
            "larger quantile"
        )
    if not counts.test_targets:
        raise DataError(
            f"{where}: the test set is empty, because no event {begins} has a known item and an earlier event of its "
            "user; choose an earlier cut or a smaller quantile"
        )
    if not counts.valid_targets and not trains_on_all(dataset.config):
        raise DataError(
            f"{where}: the validation set is empty; choose another validation_quantile, or validation: last_train_item"
        )
    if (longest := max(dataset.config["topk"])) > counts.candidates:
        raise ConfigError(
            f"topk={dataset.config['topk']}: {name} has only {counts.candidates} candidates for K = {longest}; lower "
            "--topk"
        )
    getLogger().info(f"Data set [{name}]: {options.describe()}; {counts}")


def _find_firsts(users: np.ndarray, items: np.ndarray, n_users: int) -> np.ndarray:
    """Find the item of each user's first event, 0 for users without events; see ``data/item_counts.py``."""
    known, earliest = np.unique(users, return_index=True)
    firsts = np.zeros(n_users, dtype=np.int64)
    firsts[known] = items[earliest]
    return firsts


class _GeneralParts:
    """Parts for models that read no sequences: a line is an event to be trained on, or a target."""

    def __init__(self, dataset: Any) -> None:
        self.dataset, self.events = dataset, dataset.inter_feat

    def training_part(self, part: Part) -> Any:
        """Make the training part of all its events, in time order as RecBole has them."""
        return self._make(np.sort(part.events))

    def held_part(self, part: Part) -> Any:
        """Make a part of the targets, users one after the other."""
        return self._make(part.events[part.targets])

    def _make(self, events: np.ndarray) -> Any:
        return _copy(self.dataset, self.events[torch.from_numpy(events)])


class _SequentialParts:
    """Parts for models that read sequences: a line is a target with the events before it."""

    def __init__(self, dataset: Any) -> None:
        dataset._aug_presets()
        self.dataset, self.events, self.width = dataset, dataset.inter_feat, dataset.max_item_list_len
        self.lists = describe_lists(dataset, self.events)

    def training_part(self, part: Part) -> Any:
        """Make the training part, each event once for packed training."""
        if not isinstance(self.dataset, PackedDataset):
            return self.held_part(part)
        data, events = self.dataset, self.events[torch.from_numpy(part.events)]
        train = data.copy(data.inter_feat)
        targets, lengths = self._place(part)
        samples = {field: events[field][targets] for field in (data.uid_field, data.iid_field)}
        samples |= {data.item_list_length_field: lengths, EVENT: targets}
        lists = {name: of for name, of in self.lists.items() if name == data.sequence_field}
        items = Interaction({data.iid_field: events[data.iid_field]})
        train.hold_events(items, events[data.uid_field].numpy(), Interaction(samples), lists)
        return train

    def held_part(self, part: Part) -> Any:
        """Make a part with RecBole's lists."""
        events = self.events[torch.from_numpy(part.events)]
        targets, lengths = self._place(part)
        samples = events[targets]
        samples.update(Interaction({self.dataset.item_list_length_field: lengths}))
        add_lists(samples, events, targets, lengths, self.lists, self.width)
        return _copy(self.dataset, samples)

    def _place(self, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
        """Return each target's position and the length of its list."""
        lengths = np.minimum(part.targets - part.starts, self.width)
        return torch.from_numpy(part.targets), torch.from_numpy(lengths)


def _copy(dataset: Any, samples: Interaction) -> Any:
    """Make a part of samples, without the columns that are loaded to prepare the data only."""
    unused: Mapping[str, Any] = dataset.config["unused_col"] or {}
    for field in unused.get("inter", ()):
        if field in samples:
            del samples[field]
    return dataset.copy(samples)
