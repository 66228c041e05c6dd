"""RecBole's sequential data without the table of all prefixes: samples are made from the flat events on access."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction

from recbole_samrec.data.prefix_lists import Lists, add_lists, describe_lists
from recbole_samrec.data.temporal_options import read_options
from recbole_samrec.utils.errors import ConfigError

EVENT = "event_of_row"
"""Column with the position of each sample's target among the events, from which the lists are made."""


class PackedDataset(SequentialDataset):
    """Sequential data set whose training part stores each event once.

    RecBole makes and stores a sample for every prefix of a user's events. Here a sample stores only the index of its
    target event; RecBole orders and splits these samples as usual. The validation and the test part get RecBole's lists
    afterwards, column for column; the lists of the training part are made on access.

    Args:
        config: RecBole's configuration.

    Attributes:
        events: The events, users one after the other, each in time order.
        users: The users that have events, ascending, shape ``[U]``.
        offsets: The events of ``users[n]`` are ``offsets[n]`` to ``offsets[n + 1] - 1``, shape ``[U + 1]``.

    Raises:
        ConfigError: The data are benchmark files, or samples are to be transformed.
    """

    inter_feat: Any

    def __init__(self, config: Any) -> None:
        if config["benchmark_filename"] is not None:
            raise ConfigError(
                "benchmark_filename: benchmark files contain separate samples and do not support packed training; "
                "add --training=prefix"
            )
        if config["transform"] is not None:
            raise ConfigError(
                f"transform={config['transform']}: it changes single prefixes, which packed training does not use; "
                "add --training=prefix"
            )
        super().__init__(config)

    def data_augmentation(self) -> None:
        """Make RecBole's sample for every event but a user's first, with columns of width 0 in place of lists."""
        self._aug_presets()
        self._check_field("uid_field", "time_field")
        self.sort(by=[self.uid_field, self.time_field], ascending=True)
        self.events = self.inter_feat
        users = self.events[self.uid_field].numpy()
        first = np.flatnonzero(np.diff(users, prepend=-1))
        self.users, self.offsets = users[first], np.append(first, len(users))
        targets = np.delete(np.arange(len(users)), first)
        history = targets - np.repeat(first, np.diff(self.offsets) - 1)
        event = torch.from_numpy(targets)
        samples = {field: self.events[field][event] for field in self.events}
        samples[self.item_list_length_field] = torch.from_numpy(np.minimum(history, self.max_item_list_len))
        self._lists = describe_lists(self, self.events)
        samples |= {name: torch.empty((len(event), 0)) for name in self._lists}
        self.inter_feat = Interaction({**samples, EVENT: event})

    def build(self) -> list[PackedDataset]:
        """Split as RecBole does; lists are made for validation and test only.

        Returns:
            The parts for training, validation and test.
        """
        if read_options(self.config["eval_args"]):
            return super().build()  # split by data/temporal_parts.py, whose parts are complete
        train, *others = super().build()
        lists = {name: made_of for name, made_of in self._lists.items() if name in self.inter_feat}
        for part in others:
            part._lists = lists
            part._add_lists(part.inter_feat)
        fields = (self.uid_field, self.iid_field, self.item_list_length_field, EVENT)
        train.inter_feat = Interaction({field: train.inter_feat[field] for field in fields})
        for name in lists:
            del self.inter_feat[name]
        items = Interaction({self.iid_field: self.events[self.iid_field]})
        for part in (self, train, *others):
            part.events = items
            part._lists = {name: lists[name] for name in lists if name == self.sequence_field}
        return [train, *others]

    @property
    def sequence_field(self) -> str:
        """Name of the field with the list of items."""
        return self.iid_field + self.config["LIST_SUFFIX"]

    def __getitem__(self, index: Any, join: bool = True) -> Interaction:
        samples = self.inter_feat[index]
        if EVENT in samples:
            self._add_lists(samples)
        return self.join(samples) if join else samples

    def _add_lists(self, samples: Interaction) -> None:
        """Make the lists of samples in place of their placeholders, or as last columns where there are none."""
        target, length = samples[EVENT], samples[self.item_list_length_field]
        del samples[EVENT]
        add_lists(samples, self.events, target, length, self._lists, self.max_item_list_len)

    def hold_events(self, events: Interaction, owners: np.ndarray, samples: Interaction, lists: Lists) -> None:
        """Store events in a training part.

        Args:
            events: The items of the events, users one after the other, each in time order.
            owners: User of each event, shape ``[N]``.
            samples: Samples with the columns user, target, length and :data:`EVENT`.
            lists: The list of items.
        """
        first = np.flatnonzero(np.diff(owners, prepend=-1))
        self.users, self.offsets = owners[first], np.append(first, len(owners))
        self.events, self.inter_feat, self._lists = events, samples, dict(lists)

    def list_targets(self) -> np.ndarray:
        """List this part's targets, events in ascending order, shape ``[samples]``; only for parts without lists."""
        return np.sort(self.inter_feat[EVENT].numpy())

    def find_items_before(self, samples: np.ndarray) -> np.ndarray:
        """Find the item before each target; only for parts without lists.

        Args:
            samples: Mask of the samples, of the shape ``[samples]``.
        """
        return self.events[self.iid_field].numpy()[self.inter_feat[EVENT].numpy()[samples] - 1]

    def inter_matrix(self, form: str = "coo", value_field: str | None = None) -> Any:
        """Build the matrix of users and items, including the users' first items, which are not targets.

        Args:
            form: ``coo`` or ``csr``.
            value_field: Field of the values; 1 by default.
        """
        if EVENT not in self.inter_feat:
            return super().inter_matrix(form, value_field)
        first = torch.nonzero(self.inter_feat[self.item_list_length_field] == 1).squeeze(-1)
        before = self.inter_feat[EVENT][first] - 1
        fields = [field for field in (self.iid_field, value_field) if field is not None]
        pairs = {field: torch.cat([self.inter_feat[field], self.events[field][before]]) for field in fields}
        users = self.inter_feat[self.uid_field]
        pairs[self.uid_field] = torch.cat([users, users[first]])
        return self._create_sparse_matrix(Interaction(pairs), self.uid_field, self.iid_field, form, value_field)
