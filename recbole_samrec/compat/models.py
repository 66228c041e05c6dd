"""Patches of individual models of RecBole."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.abstract_recommender import ContextRecommender
from recbole.model.context_aware_recommender.fwfm import FwFM
from recbole.model.general_recommender.ncl import NCL
from recbole.model.general_recommender.pop import Pop
from recbole.model.layers import ContextSeqEmbAbstractLayer
from recbole.model.sequential_recommender.sasrecf import SASRecF

from recbole_samrec.compat import Patcher, recbole_patch
from recbole_samrec.utils.errors import ConfigError


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


@recbole_patch("model/layers.py 1208", "models with features of items cannot read two numerical features")
def stack_numerical_features(patch: Patcher) -> None:
    """Give each numerical feature its own row; RecBole joins the pairs of all features in one row."""
    embed = ContextSeqEmbAbstractLayer.embed_float_fields

    def embed_stacked(self: Any, float_fields: torch.Tensor | None, *args: Any, **kwargs: Any) -> torch.Tensor | None:
        if float_fields is not None:
            float_fields = float_fields.reshape(*float_fields.shape[:-2], -1, 2)
        return embed(self, float_fields, *args, **kwargs)

    patch(ContextSeqEmbAbstractLayer, "embed_float_fields", embed_stacked)


@recbole_patch("model/sequential_recommender/sasrecf.py 39", "SASRecF cannot read float_seq features")
def count_features_of_sasrecf(patch: Patcher) -> None:
    """Count a sequence of numbers as one feature, as it is embedded."""
    build = SASRecF.__init__

    def build_counted(self: Any, config: Any, dataset: Any) -> None:
        build(self, config, dataset)
        number = self.feature_embed_layer.num_feature_field["item"]
        if number != self.num_feature_field:
            self.num_feature_field = number
            self.concat_layer = torch.nn.Linear(self.hidden_size * (1 + number), self.hidden_size)
            self._init_weights(self.concat_layer)

    patch(SASRecF, "__init__", build_counted)


@recbole_patch("model/context_aware_recommender/fwfm.py 85", "FwFM cannot read float_seq features")
def number_sequences_in_fwfm(patch: Patcher) -> None:
    """Assign a field to sequences of numbers, too."""
    number = FwFM._get_feature2field

    def number_all(self: Any) -> None:
        self.feature_names = (*self.feature_names, self.float_seq_field_names)
        number(self)

    patch(FwFM, "_get_feature2field", number_all)


@recbole_patch(
    "model/abstract_recommender.py 262, 500",
    "DSSM counts numbers that it does not read, and gives sequences of numbers of items to the tower of users",
    True,
)
def give_numbers_to_their_tower(patch: Patcher) -> None:
    """Count only the numerical features of users and items, with those of users first."""
    build, embed = ContextRecommender.__init__, ContextRecommender.embed_input_fields

    def build_counted(self: Any, config: Any, dataset: Any) -> None:
        build(self, config, dataset)
        if self.double_tower:
            names = [*self.float_seq_field_names, *self.float_field_names]
            self.user_float_field_num = sum(name in self.user_field_names for name in names)
            self.item_float_field_num = len(names) - self.user_float_field_num
            self.users_first = sorted(range(len(names)), key=lambda place: names[place] not in self.user_field_names)

    def embed_ordered(self: Any, interaction: Any) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        sparse, dense = embed(self, interaction)
        return sparse, dense[:, self.users_first] if self.double_tower and dense is not None else dense

    patch(ContextRecommender, "__init__", build_counted)
    patch(ContextRecommender, "embed_input_fields", embed_ordered)


@recbole_patch("model/general_recommender/ncl.py 89", "NCL with more clusters than users or items ends in a traceback")
def explain_clusters(patch: Patcher) -> None:
    """Name the setting when there are too few users or items for the clusters."""
    cluster = NCL.run_kmeans

    def cluster_or_explain(self: Any, x: Any) -> Any:
        if self.k > len(x):
            raise ConfigError(
                f"num_clusters={self.k}: NCL cannot make more clusters than there are users or items, {len(x):,} of "
                "one kind; lower num_clusters"
            )
        return cluster(self, x)

    patch(NCL, "run_kmeans", cluster_or_explain)
