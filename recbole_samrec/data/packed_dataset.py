"""RecBole's sequential data without the table of every prefix: rows are made of the flat events when they are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction

from recbole_samrec.data.sequences import align_left
from recbole_samrec.utils.errors import ConfigError

EVENT = "event_of_row"
"""Column with the place of each row's target among the events; it stands for the lists until they are made."""


class PackedDataset(SequentialDataset):
    """A sequential data set whose training part holds each event once.

    RecBole makes a row of every prefix of a user's events, and stores it. Here a row says only which event is its
    target; it goes through RecBole's ordering and splitting like any other row. The validation and the test part get
    RecBole's lists afterwards, column for column; rows of the training part are made if somebody asks for them.

    Args:
        config: RecBole's configuration.

    Attributes:
        events: The events that rows are made of, users one after the other, each in the order of time.
        users: The users that have events, ascending, shape ``[U]``.
        offsets: The events of ``users[n]`` begin at ``offsets[n]`` and end at ``offsets[n + 1]``, shape ``[U + 1]``.

    Raises:
        ConfigError: The data are benchmark files, or rows are to be transformed.
    """

    inter_feat: Any

    def __init__(self, config: Any) -> None:
        if config["benchmark_filename"] is not None:
            raise ConfigError(
                "benchmark_filename: the rows of benchmark files stand alone and cannot be packed; "
                "add --training=prefix"
            )
        if config["transform"] is not None:
            raise ConfigError(
                f"transform={config['transform']}: it changes each prefix by itself, and packed training makes none; "
                "add --training=prefix"
            )
        super().__init__(config)

    def data_augmentation(self) -> None:
        """Make RecBole's row for every event but a user's first; its lists are columns of width 0 that keep a place."""
        self._aug_presets()
        self._check_field("uid_field", "time_field")
        self.sort(by=[self.uid_field, self.time_field], ascending=True)
        self.events = self.inter_feat
        users = self.events[self.uid_field].numpy()
        first = np.flatnonzero(np.diff(users, prepend=-1))
        self.users, self.offsets = users[first], np.append(first, len(users))
        targets = np.delete(np.arange(len(users)), first)
        history = targets - np.repeat(first, np.diff(self.offsets) - 1)
        row = torch.from_numpy(targets)
        rows = {field: self.events[field][row] for field in self.events}
        rows[self.item_list_length_field] = torch.from_numpy(np.minimum(history, self.max_item_list_len))
        self._lists = {}
        for field in self.events:
            if field != self.uid_field:
                name = getattr(self, f"{field}_list_field")
                self._lists[name] = (field, self._list_shape(field, name))
                rows[name] = torch.empty((len(row), 0))
        self.inter_feat = Interaction({**rows, EVENT: row})

    def _list_shape(self, field: str, name: str) -> tuple[int, ...]:
        """The shape of one row of a list."""
        length = self.field2seqlen[name]
        shape = (length,) if isinstance(length, int) else tuple(length)
        return (*shape, 2) if self._is_numerical(field) else shape

    def _is_numerical(self, field: str) -> bool:
        return self.field2type[field].value.startswith("float") and field in self.config["numerical_features"]

    def build(self) -> list[PackedDataset]:
        """Split as RecBole does; lists are made for validation and test only.

        Returns:
            The parts for training, validation and test.
        """
        train, *others = super().build()
        lists = {name: made_of for name, made_of in self._lists.items() if name in self.inter_feat}
        for part in others:
            part._lists = lists
            part._complete(part.inter_feat)
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
        """Name of the list of items."""
        return self.iid_field + self.config["LIST_SUFFIX"]

    def __getitem__(self, index: Any, join: bool = True) -> Interaction:
        rows = self.inter_feat[index]
        if EVENT in rows:
            self._complete(rows)
        return self.join(rows) if join else rows

    def _complete(self, rows: Interaction) -> None:
        """Put the lists of some rows in their places, or behind the other columns if no place was kept."""
        target, length = rows[EVENT], rows[self.item_list_length_field]
        del rows[EVENT]
        inside, events = align_left(target - length, length, self.max_item_list_len)
        for name, (field, shape) in self._lists.items():
            values = self.events[field]
            rows[name] = torch.zeros((*target.shape, *shape), dtype=values.dtype)
            rows[name][inside] = values[events]

    def list_targets(self) -> np.ndarray:
        """The events that are this part's targets, ascending, shape ``[rows]``; not for parts that have lists."""
        return np.sort(self.inter_feat[EVENT].numpy())

    def find_items_before(self, samples: np.ndarray) -> np.ndarray:
        """The item before each target, of a part without lists.

        Args:
            rows: Which rows, as a mask of shape ``[rows]``.
        """
        return self.events[self.iid_field].numpy()[self.inter_feat[EVENT].numpy()[samples] - 1]

    def inter_matrix(self, form: str = "coo", value_field: str | None = None) -> Any:
        """The matrix of users and items, with the users' first items, which are no targets.

        Args:
            form: ``coo`` or ``csr``.
            value_field: Field of the values, which are 1 without it.
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
