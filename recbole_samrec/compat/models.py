"""Patches of single models of RecBole."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.general_recommender.pop import Pop

from recbole_samrec.compat import Patcher, recbole_patch


@recbole_patch(
    "model/general_recommender/pop.py 46",
    "items are counted once per batch, and sampled negatives are counted too",
    True,
)
def count_every_event(patch: Patcher) -> None:
    """Count each event of the training data once, and nothing else.

    With batches of 2048 events the most popular items of ml-100k occur in every batch, so their counts were equal.
    """
    build, count = Pop.__init__, Pop.calculate_loss

    def remember_label(self: Any, config: Any, dataset: Any) -> None:
        build(self, config, dataset)
        self.label_field = config["LABEL_FIELD"]

    def count_all(self: Any, interaction: Any) -> torch.Tensor:
        before = self.item_cnt.clone()
        loss = count(self, interaction)
        items = interaction[self.ITEM_ID]
        if self.label_field in interaction:
            items = items[interaction[self.label_field] > 0]
        self.item_cnt = before.index_add(0, items, torch.ones_like(items).unsqueeze(1))
        self.max_cnt = self.item_cnt.max(dim=0)[0]
        return loss

    patch(Pop, "__init__", remember_label)
    patch(Pop, "calculate_loss", count_all)
