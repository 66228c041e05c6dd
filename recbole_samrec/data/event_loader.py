"""Loader of full rankings for models that read no sequences, with one sample per target instead of per user."""

from __future__ import annotations

from logging import getLogger
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction


class EventLoader(FullSortEvalDataLoader):
    """Loader of samples whose user's items are ranked for one target; nothing is masked.

    RecBole's loader joins the targets of a user, which are then predicted at once, as a set.

    Args:
        config: RecBole's configuration.
        dataset: The part for validation or test of a global temporal split.
        sampler: RecBole's sampler, which is not used.
        shuffle: Ignored: the order is that of the samples.
    """

    def __init__(self, config: Any, dataset: Any, sampler: Any, shuffle: bool = False) -> None:
        self.logger = getLogger()
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        self.is_sequential = False
        users = dataset.inter_feat[self.uid_field]
        self.uid_list = users
        self.user_df = dataset.join(Interaction({self.uid_field: users}))
        self.sample_size = len(users)
        AbstractDataLoader.__init__(self, config, dataset, sampler, shuffle=False)

    def _init_batch_size_and_step(self) -> None:
        """Take ``eval_batch_size`` samples at once, which the trainer scores in parts that fit ``eval_memory``."""
        self.step = self.config["eval_batch_size"]
        self.set_batch_size(self.step)

    def collate_fn(self, index: Any) -> tuple[Interaction, None, torch.Tensor, torch.Tensor]:
        """Return users, no items to mask, the numbers of the samples and their targets."""
        chosen = torch.from_numpy(np.asarray(index))
        return self.user_df[chosen], None, torch.arange(len(chosen)), self.dataset.inter_feat[self.iid_field][chosen]
