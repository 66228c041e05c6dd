"""SASRecOriginal: SASRec with the layers and the loss of its first implementation."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from recbole_samrec.model.causal_base import CausalBase, apply_blocks, attend_causally, select_positions

EPSILON = 1e-8
"""Constant that layer normalization adds to the variance."""


class SASRecOriginal(CausalBase):
    """SASRec as in its authors' code (arXiv 1808.09781, https://github.com/kang205/SASRec).

    The loss is binary cross-entropy with one negative item, drawn again for each target in each step. What differs from
    RecBole's SASRec, which ``SASRec`` and ``SAMRec`` are:

    * Embeddings of items are multiplied by the square root of their size where they are read, but not where items are
      scored. There is no normalization of the input.
    * Normalization is before each part of a block, and once after the last block. The queries are normalized, keys and
      values are not. The residual of each part is its normalized input.
    * The heads' results are not mixed by another layer. The feed-forward part is as wide as the states, with ReLU, and
      dropout after both of its layers; attention has dropout on its weights only.
    * Weights begin as Glorot's uniform ones, biases as zeros.
    * The loss is over one negative; RecBole's is cross-entropy over all items.

    Departures from the authors' code: positions are counted from the beginning of a sequence, as everywhere in RecBole,
    where theirs are counted from the end of a padded window. Negatives are drawn from all items but the target; theirs
    are no items of the user's sequence. Adam's second decay is torch's 0.999, theirs is 0.98. Dropout, heads, batches
    and size are those of the other Transformers here, so that the entries of a table differ by the model; theirs are
    dropout 0.5 (0.2 for MovieLens), one head, batches of 128 users, and 50 numbers for a state.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.blocks = nn.ModuleList(OriginalBlock(config) for _ in range(config["n_layers"]))
        self.norm = nn.LayerNorm(self.hidden_size, eps=EPSILON)
        self.apply(_initialize)

    def packed_states(self, item_seq: Tensor, where: Tensor) -> Tensor:
        """Compute states ``[n, d]`` at positions ``[n]`` of the flattened left-aligned sequences ``[B, L]``."""
        items = self.item_embedding(item_seq) * math.sqrt(self.hidden_size)
        x = self.dropout(items + self.position_embedding.weight[: item_seq.size(1)])
        states: Tensor = self.norm(apply_blocks(x, list(self.blocks), where))
        return states


class OriginalBlock(nn.Module):
    """Self-attention and feed-forward part of SASRec's first implementation.

    ``y = attention(norm(x), x, x) + norm(x)``, and the result is ``feed_forward(norm(y)) + norm(y)``.

    Args:
        config: RecBole's configuration: ``hidden_size``, ``n_heads`` and the probabilities of dropout.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        size, self.heads = config["hidden_size"], config["n_heads"]
        self.attention_norm = nn.LayerNorm(size, eps=EPSILON)
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.attn_dropout = nn.Dropout(config["attn_dropout_prob"])
        self.forward_norm = nn.LayerNorm(size, eps=EPSILON)
        self.inner, self.outer = nn.Linear(size, size), nn.Linear(size, size)
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, x: Tensor, where: Tensor | None = None) -> Tensor:
        """Apply the block to ``[B, L, d]``; with positions ``where`` ``[n]``, return only their states ``[n, d]``."""
        normal = self.attention_norm(x)
        context = attend_causally(self.query(normal), self.key(x), self.value(x), self.heads, self.attn_dropout)
        normal = self.forward_norm(select_positions(context, where) + select_positions(normal, where))
        inner = self.dropout(self.inner(normal).relu())
        result: Tensor = self.dropout(self.outer(inner)) + normal
        return result


def _initialize(module: nn.Module) -> None:
    """Draw the weights of a layer as TensorFlow does by default; the padding item's embedding is zero."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.xavier_uniform_(module.weight)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        nn.init.zeros_(module.weight[module.padding_idx].detach())
