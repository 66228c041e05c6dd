"""eSASRec: SASRec with gated layers and a softmax over sampled items."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from recbole_samrec.model.causal_base import CausalBase, apply_blocks, attend_causally, select_positions


class eSASRec(CausalBase):
    """SASRec's training objective with LiGR layers and sampled softmax (arXiv 2508.06450, RecSys 2025).

    A LiGR layer (arXiv 2502.03417) normalizes the input of each part and gates its result by a sigmoid of the
    unnormalized input; see :class:`LiGRBlock`. The loss is a softmax over the target and 256 uniformly drawn items for
    each target, whose scores are not corrected. As in the paper, every position of a user's sequence is a target, and
    input and output share one embedding of items. Weights begin as Glorot's normal ones.

    Departures from the paper's code: positions are counted from the beginning of a sequence, as everywhere in RecBole;
    there they are counted from its end. Negatives are drawn from all items but the target; there they sometimes include
    it. Biases begin as zeros. Sizes, heads, dropout, batches and learning rate are those of the other Transformers
    here, so that the entries of a table differ by the model. Under leave-one-out the authors' configuration for Beauty
    has one layer with one head and 256 numbers, dropout 0.2 and sequences of 50 items; that for ml-1m has two layers
    with one head and 64 numbers, dropout 0.1 and sequences of 200.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.blocks = nn.ModuleList(LiGRBlock(config) for _ in range(config["n_layers"]))
        self.apply(_initialize)

    def packed_states(self, item_seq: Tensor, where: Tensor) -> Tensor:
        """Compute states ``[n, d]`` at positions ``[n]`` of the flattened left-aligned sequences ``[B, L]``."""
        positions = self.position_embedding.weight[: item_seq.size(1)]
        return apply_blocks(self.dropout(self.item_embedding(item_seq) + positions), list(self.blocks), where)


class LiGRBlock(nn.Module):
    """Self-attention and SwiGLU, each with normalization before it and a gate after it (arXiv 2502.03417).

    ``y = x + sigmoid(G x) * attention(norm(x))``, and the result is ``y + sigmoid(H y) * swiglu(norm(y))`` with
    ``swiglu(z) = C (silu(A z) * B z)``.

    Args:
        config: RecBole's configuration: ``hidden_size``, ``inner_size``, ``n_heads`` and the probabilities of dropout.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        size, inner, self.heads = config["hidden_size"], config["inner_size"], config["n_heads"]
        self.attention_norm, self.forward_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query, self.key, self.value, self.mix = (nn.Linear(size, size) for _ in range(4))
        self.attention_gate, self.forward_gate = nn.Linear(size, size), nn.Linear(size, size)
        self.inner, self.inner_gate = (nn.Linear(size, inner, bias=False) for _ in range(2))
        self.outer = nn.Linear(inner, size, bias=False)
        self.attn_dropout = nn.Dropout(config["attn_dropout_prob"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, x: Tensor, where: Tensor | None = None) -> Tensor:
        """Apply the block to ``[B, L, d]``; with positions ``where`` ``[n]``, return only their states ``[n, d]``."""
        normal = self.attention_norm(x)
        parts = (self.query(normal), self.key(normal), self.value(normal))
        context = select_positions(attend_causally(*parts, self.heads, self.attn_dropout), where)
        x = select_positions(x, where)
        x = x + self.attention_gate(x).sigmoid() * self.dropout(self.mix(context))
        normal = self.forward_norm(x)
        inner = self.dropout(F.silu(self.inner_gate(normal)) * self.inner(normal))
        result: Tensor = x + self.forward_gate(x).sigmoid() * self.dropout(self.outer(inner))
        return result


def _initialize(module: nn.Module) -> None:
    """Draw the weights of a layer from Glorot's normal distribution; biases are zero."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.xavier_normal_(module.weight)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
