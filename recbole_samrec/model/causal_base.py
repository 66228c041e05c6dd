"""Base of models with their own causal Transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor, nn

from recbole_samrec.layers import transformer as fast
from recbole_samrec.layers.item_loss import ItemLoss
from recbole_samrec.model.packed_forward import find_ends
from recbole_samrec.utils.errors import ConfigError


class CausalBase(SequentialRecommender):
    """Embeddings, loss and scores of a Transformer whose state at a position depends only on the items up to it.

    Derived classes define ``packed_states``; the score of an item is the inner product of a state with its embedding.

    Raises:
        ConfigError: The heads do not divide the states.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.hidden_size, heads = config["hidden_size"], config["n_heads"]
        if self.hidden_size % heads:
            raise ConfigError(f"n_heads={heads}: it does not divide hidden_size={self.hidden_size}; choose a divisor")
        sparse = config["embedding_update"] == "sparse"
        self.item_embedding = nn.Embedding(self.n_items, self.hidden_size, padding_idx=0, sparse=sparse)
        self.position_embedding = nn.Embedding(self.max_seq_length, self.hidden_size)
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])
        self.item_loss = ItemLoss(config, self.n_items)

    def packed_states(self, item_seq: Tensor, where: Tensor) -> Tensor:
        """Compute states ``[n, d]`` at positions ``[n]`` of the flattened left-aligned sequences ``[B, L]``."""
        raise NotImplementedError

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """Compute states ``[B, d]`` after left-aligned sequences of items ``[B, L]`` of lengths ``[B]``."""
        return self.packed_states(item_seq, find_ends(item_seq_len, item_seq.size(1)))

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Calculate the loss of a batch of RecBole's samples, one for each prefix."""
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        return self.item_loss(states, self.item_embedding, interaction[self.POS_ITEM_ID])

    def predict(self, interaction: Any) -> Tensor:
        """Score one item after each sequence, shape ``[B]``."""
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        return (states * self.item_embedding(interaction[self.ITEM_ID])).sum(1)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Score all items after each sequence, shape ``[B, items]``."""
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        return states @ self.item_embedding.weight.T


def apply_blocks(x: Tensor, blocks: Sequence[Any], where: Tensor) -> Tensor:
    """Apply the blocks of a Transformer, the last one only at given positions.

    Args:
        x: Embedded sequences ``[B, L, d]``.
        blocks: Modules that map ``[B, L, d]`` to the same shape, or to ``[n, d]`` where positions are given.
        where: Positions of the flattened sequences, shape ``[n]``.

    Returns:
        States, shape ``[n, d]``.
    """
    for block in blocks[:-1]:
        x = block(x)
    wanted = len(where)
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        where = fast.pad_rows(where)
    states: Tensor = blocks[-1](x, where)
    return states[:wanted]


def attend_causally(query: Tensor, key: Tensor, value: Tensor, heads: int, drop: nn.Dropout) -> Tensor:
    """Attend from each position to itself and those before it, with several heads.

    Args:
        query: Queries, shape ``[B, L, d]``.
        key: Keys, of the same shape.
        value: Values, of the same shape.
        heads: Number of heads, which divides ``d``.
        drop: Dropout of the attention weights.

    Returns:
        The attended values, shape ``[B, L, d]``.
    """
    query, key, value = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (query, key, value))
    return fast.causal_attention(query, key, value, drop).transpose(1, 2).flatten(2)


def select_positions(x: Tensor, where: Tensor | None) -> Tensor:
    """Select positions ``[n]`` of flattened sequences ``[B, L, d]``, as ``[n, d]``; without them, return all."""
    return x if where is None else x.flatten(0, 1).index_select(0, where)
