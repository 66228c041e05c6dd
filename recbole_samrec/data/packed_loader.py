"""Loader of packed training, which replaces RecBole's loader of prefixes."""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger
from typing import Any

import torch
from recbole.data.interaction import Interaction

from recbole_samrec.data.batches import Batch, PackedBatches
from recbole_samrec.data.packed_dataset import PackedDataset
from recbole_samrec.utils.errors import ConfigError

BATCH_TARGETS = "batch_targets"
"""Field by which each process divides the sum of its losses, so that DDP's mean is the mean over the batch."""

TARGET_POSITIONS = "target_positions"
"""Field with the positions of a batch's targets in its flattened sequences, as one row ``[1, n]``."""


class PackedLoader(PackedBatches):
    """Loader of batches of whole sequences for RecBole's trainer.

    A batch contains the users ``[B]``, their items ``[B, L]``, left-aligned and 0 after the end, the number of items
    ``[B]``, under the name of the item field the target at each position ``[B, L]``, 0 for none, and the positions of
    the targets, :data:`TARGET_POSITIONS`. With several processes each gets a share of the sequences, and
    :data:`BATCH_TARGETS` is the whole batch's number of targets divided by the number of processes, ``[B]``.

    Args:
        config: RecBole's configuration.
        dataset: The training part of a :class:`PackedDataset`.
        sampler: RecBole's sampler of negative items, which packed training does not use.
        shuffle: Whether a new order is drawn from ``generator`` for each epoch.

    Raises:
        ConfigError: The data set is not packed, or negative items are requested that this loader does not draw.
    """

    def __init__(self, config: Any, dataset: PackedDataset, sampler: Any = None, shuffle: bool = False) -> None:
        if not isinstance(dataset, PackedDataset):
            raise ConfigError(
                f"training=packed: {type(dataset).__name__} is not a packed data set; use create_dataset(config), "
                "or use training=prefix"
            )
        generator = torch.Generator()
        generator.manual_seed(config["seed"])
        self._dataset, self._negatives = dataset, sampler
        self._lay_out(config, generator, shuffle)

    def _lay_out(self, config: Any, generator: torch.Generator, shuffle: bool) -> None:
        _check_negatives(config["train_neg_sample_args"])
        self.config = config
        alone = bool(config["single_spec"])
        super().__init__(
            self._dataset.events[self._dataset.iid_field].numpy(),
            self._dataset.offsets,
            self._dataset.list_targets(),
            length=config["MAX_ITEM_LIST_LENGTH"],
            batch_size=config["train_batch_size"],
            stride=config["window_stride"],
            generator=generator,
            shuffle=shuffle,
            device=config["device"],
            rank=0 if alone else torch.distributed.get_rank(),
            world=1 if alone else torch.distributed.get_world_size(),
        )
        self._users = torch.from_numpy(self._dataset.users).to(config["device"])
        windows = self.windows
        getLogger().info(
            f"Packed training: {len(self)} steps per epoch ({-(-len(windows.targets) // self.batch_size)} with "
            f"training=prefix), {len(windows)} windows of {windows.lengths.sum()} items with "
            f"{len(windows.targets)} targets"
        )

    @property
    def dataset(self) -> PackedDataset:
        """Training part of the data."""
        return self._dataset

    @property
    def sampler(self) -> PackedLoader:
        """The loader itself; RecBole passes the epoch to the samplers of its loaders."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Ignore the epoch's number: all processes draw the same order from generators in the same state."""

    def update_config(self, config: Any) -> None:
        """Apply another configuration, as RecBole does with loaders that it has read from a file."""
        self._lay_out(config, self.generator, self.shuffle)

    def __iter__(self) -> Iterator[Interaction]:
        return map(self._interaction, super().__iter__())

    def _interaction(self, batch: Batch) -> Interaction:
        data = self._dataset
        fields = {
            data.uid_field: self._users[batch.users],
            data.sequence_field: batch.items,
            data.item_list_length_field: batch.lengths,
            data.iid_field: batch.targets,
            TARGET_POSITIONS: batch.positions.unsqueeze(0),
        }
        if self.world > 1:
            fields[BATCH_TARGETS] = torch.full(batch.lengths.shape, batch.size / self.world, device=batch.items.device)
        return Interaction(fields)


def _check_negatives(wanted: Any) -> None:
    """Check that at most one uniform negative item per target is requested, which the loss draws.

    Raises:
        ConfigError: Other negative items are requested.
    """
    wanted = wanted or {}
    if wanted.get("distribution", "none") == "none":
        return
    plain = wanted["distribution"] == "uniform" and wanted.get("sample_num", 1) == 1 and not wanted.get("dynamic")
    if not plain:
        raise ConfigError(
            f"train_neg_sample_args={wanted}: in packed training the loss itself draws negative items, uniformly; "
            "remove the setting or add --training=prefix"
        )
