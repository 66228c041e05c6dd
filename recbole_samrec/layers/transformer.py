"""Fast parts of a Transformer's training step on plain torch tensors.

In addition to matrix products, a training step on a CPU spends its time on dropout, whose random numbers torch draws
one by one, and on attention at positions that are not needed. These functions draw the random bits of dropout in bulk
and compute only the required positions in the last layer. They read the weights of a model's modules and have none
themselves.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiHeadAttention(Protocol):
    """The parts of RecBole's ``MultiHeadAttention``."""

    num_attention_heads: int
    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    dense: nn.Linear
    attn_dropout: nn.Dropout
    out_dropout: nn.Dropout
    LayerNorm: nn.LayerNorm


class FeedForward(Protocol):
    """The parts of RecBole's ``FeedForward``."""

    dense_1: nn.Linear
    dense_2: nn.Linear
    dropout: nn.Dropout
    LayerNorm: nn.LayerNorm
    intermediate_act_fn: Callable[[Tensor], Tensor]


class TransformerLayer(Protocol):
    """The parts of RecBole's ``TransformerLayer``."""

    multi_head_attention: MultiHeadAttention
    feed_forward: FeedForward


Attention = Callable[[Tensor, Tensor, Tensor, nn.Dropout], Tensor]
"""From query, key, value ``[B, heads, L, d]`` and the dropout layer of the weights to ``[B, heads, L, d]``."""

LEVELS = 1 << 16
"""Dropout compares 16 random bits with a threshold, so its probability is a multiple of 1 / 65536."""
LOWEST = torch.iinfo(torch.int64).min

KERNEL_ROWS = 64
"""Products in bfloat16 on a CPU have a multiple of this number of rows: their kernels are compiled for each shape,
which takes longer than the product, and nearly every batch has another number of targets."""

GROUP_ROWS = 64
"""Number of sequences of similar length in a group: more are padded further, and fewer do not keep a core busy."""

GROUP_POSITIONS = 4096
"""Largest number of positions, padded ones included, in a group that is enlarged."""

GROUP_OVERHEAD = 512
"""Positions that take as long as the overhead of a group; groups are joined if that adds less padding."""


class _BulkDropout(torch.autograd.Function):
    """Multiplies by a mask of ones and zeros, scaled to preserve the mean; the mask is kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: int) -> Tensor:
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(LOWEST, None)  # else 63 bits
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        # Compare directly into the dtype of x: an intermediate bool tensor takes six times as long.
        mask = torch.ge(bits, threshold - LEVELS // 2, out=torch.empty_like(x)).mul_(LEVELS / (LEVELS - threshold))
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradient * mask, None


def dropout(x: Tensor, p: float) -> Tensor:
    """Set each element to zero with probability ``p`` and scale the others to preserve the mean.

    On a CPU the random bits are drawn 64 at a time from torch's generator, which is several times faster than torch's
    own dropout. The probability is rounded to a multiple of 1 / 65536, and the scale corresponds to the rounded
    probability, so that the result is unbiased.

    Args:
        x: Tensor of any shape.
        p: Probability, from 0 to 1.

    Returns:
        A tensor of the same shape.
    """
    threshold = round(p * LEVELS)
    if x.device.type != "cpu" or not 0 < threshold < LEVELS or not x.is_floating_point():
        return F.dropout(x, p)
    dropped: Tensor = _BulkDropout.apply(x, threshold)  # type: ignore[no-untyped-call]
    return dropped


class Dropout(nn.Dropout):
    """torch's dropout layer with its bits drawn in bulk."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop elements of a tensor of any shape while training; otherwise return it unchanged."""
        return dropout(input, self.p) if self.training and not self.inplace else super().forward(input)


def draw_dropout_in_bulk(model: nn.Module) -> None:
    """Make every dropout layer of a model draw its bits in bulk.

    Args:
        model: The model; its weights and settings do not change.
    """
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = Dropout


def causal_attention(query: Tensor, key: Tensor, value: Tensor, drop: nn.Dropout) -> Tensor:
    """Attend from each position to itself and the positions before it.

    Left-aligned sequences shorter than L need no padding mask: no position attends to the padding after the end.

    Args:
        query: Shape ``[B, heads, L, d]``.
        key: Shape ``[B, heads, L, d]``.
        value: Shape ``[B, heads, L, d]``.
        drop: The dropout layer of the attention weights.

    Returns:
        Shape ``[B, heads, L, d]``.
    """
    rate = drop.p if drop.training else 0.0
    if rate == 0 or query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, dropout_p=rate, is_causal=True)
    batch, heads, length, size = query.shape
    query, key, value = (part.reshape(batch * heads, length, size) for part in (query, key, value))
    scores = torch.baddbmm(_future(length, query.dtype), query, key.transpose(1, 2), alpha=1 / math.sqrt(size))
    return torch.bmm(drop(scores.softmax(-1)), value).view(batch, heads, length, size)


def _future(length: int, dtype: torch.dtype) -> Tensor:
    """Return the mask that is added to scores ``[L, L]`` so that no position sees a later one."""
    return _mask(1 << (length - 1).bit_length(), dtype)[:length, :length]


@functools.lru_cache(maxsize=16)
def _mask(size: int, dtype: torch.dtype) -> Tensor:
    """Make the mask once for all lengths up to a power of two."""
    return torch.full((size, size), -math.inf, dtype=dtype).triu_(1)


def make_padded_attention(padding: Tensor) -> Attention:
    """Make the attention in which each position attends to all positions but the padded ones, in both directions.

    Args:
        padding: True at padded positions, shape ``[B, L]``; each sequence must have one that is not.

    Returns:
        A function with the arguments and the result of :func:`causal_attention`.
    """

    def attend(query: Tensor, key: Tensor, value: Tensor, drop: nn.Dropout) -> Tensor:
        batch, heads, length, size = query.shape
        query, key, value = (part.reshape(batch * heads, length, size) for part in (query, key, value))
        hidden = torch.zeros(padding.shape, dtype=query.dtype, device=query.device).masked_fill_(padding, -math.inf)
        hidden = hidden.unsqueeze(1).expand(batch, heads, length).reshape(batch * heads, 1, length)
        scores = torch.baddbmm(hidden, query, key.transpose(1, 2), alpha=1 / math.sqrt(size))
        return torch.bmm(drop(scores.softmax(-1)), value).view(batch, heads, length, size)

    return attend


def transformer_layer(
    x: Tensor, layer: TransformerLayer, where: Tensor | None = None, attend: Attention = causal_attention
) -> Tensor:
    """Compute one layer of RecBole's Transformer, with the normalization after each residual.

    Args:
        x: Hidden states ``[B, L, d]``.
        layer: RecBole's ``TransformerLayer``.
        where: Positions of the flattened ``[B * L]`` to compute, shape ``[n]``; None for all of them.
        attend: The attention between positions; causal by default.

    Returns:
        ``[B, L, d]``, or ``[n, d]`` where positions are given.
    """
    attention = layer.multi_head_attention
    batch, length, size = x.shape
    heads = attention.num_attention_heads
    parts = (attention.query, attention.key, attention.value)
    weight = torch.cat([part.weight for part in parts])
    bias = torch.cat([part.bias for part in parts])
    joint = F.linear(x, weight, bias).view(batch, length, 3, heads, size // heads)
    query, key, value = joint.permute(2, 0, 3, 1, 4).unbind(0)
    context = attend(query, key, value, attention.attn_dropout)
    context = context.transpose(1, 2).reshape(batch, length, size)
    if where is not None:
        context, x = (part.reshape(-1, size).index_select(0, where) for part in (context, x))
    return _after_attention(x, context, layer)


def transformer_states(
    x: Tensor, layers: Sequence[TransformerLayer], where: Tensor, attend: Attention = causal_attention
) -> Tensor:
    """Compute the last hidden states of a Transformer at given positions.

    Args:
        x: Embedded sequences ``[B, L, d]``.
        layers: RecBole's ``TransformerLayer`` modules, at least one.
        where: Positions of the flattened ``[B * L]``, shape ``[n]``. The last layer computes only these.
        attend: The attention between positions; causal by default.

    Returns:
        Shape ``[n, d]``.
    """
    for layer in layers[:-1]:
        x = transformer_layer(x, layer, None, attend)
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        return transformer_layer(x, layers[-1], pad_rows(where), attend)[: len(where)]
    return transformer_layer(x, layers[-1], where, attend)


def transformer_end_states(
    x: Tensor, layers: Sequence[TransformerLayer], lengths: Tensor, attend: Attention = causal_attention
) -> Tensor:
    """Compute the last hidden states of a Transformer at the ends of sequences.

    Args:
        x: Embedded left-aligned sequences ``[B, L, d]``.
        layers: RecBole's ``TransformerLayer`` modules, at least one.
        lengths: Number of positions of each sequence, shape ``[B]``, at least 1.
        attend: The attention between positions; causal by default. The end of a sequence always attends to all of it.

    Returns:
        Shape ``[B, d]``.
    """
    for layer in layers[:-1]:
        x = transformer_layer(x, layer, None, attend)
    layer = layers[-1]
    end = x[torch.arange(len(x), device=x.device), lengths - 1]
    beyond = torch.arange(x.size(1), device=x.device) >= lengths.unsqueeze(1)
    return _after_attention(end, attend_from_one(end, x, beyond, layer.multi_head_attention), layer)


def attend_from_one(query_states: Tensor, x: Tensor, hidden: Tensor, attention: MultiHeadAttention) -> Tensor:
    """Attend from one position of each sequence to the sequence, without computing keys and values.

    A score ``q (K x + k)`` is ``(K' q) x + q k``, and the sum of ``w (V x + v)`` over a sequence, with the weights
    ``w``, is ``V`` times the sum of ``w x``, and ``v`` times the sum of ``w``: the large products with ``K`` and ``V``
    are needed once for each sequence.

    Args:
        query_states: The states at the attending positions, shape ``[B, d]``.
        x: The states of the sequences, shape ``[B, L, d]``.
        hidden: True at positions that are masked, shape ``[B, L]``.
        attention: RecBole's ``MultiHeadAttention``.

    Returns:
        The concatenated results of the heads, before they are mixed, shape ``[B, d]``.
    """
    batch, _, size = x.shape
    heads = attention.num_attention_heads
    key, value = (part.weight.view(heads, size // heads, size) for part in (attention.key, attention.value))
    query: Tensor = attention.query(query_states).view(batch, heads, 1, size // heads) / math.sqrt(size // heads)
    constant = (query.squeeze(2) * attention.key.bias.view(heads, -1)).sum(-1, True)  # for its gradient, which is 0
    scores = (query @ key).squeeze(2) @ x.transpose(1, 2) + constant
    weights: Tensor = attention.attn_dropout(scores.masked_fill(hidden.unsqueeze(1), -math.inf).softmax(-1))
    gathered = ((weights @ x).unsqueeze(2) @ value.transpose(1, 2)).squeeze(2)
    return (gathered + weights.sum(-1, True) * attention.value.bias.view(heads, -1)).reshape(batch, size)


def _after_attention(x: Tensor, context: Tensor, layer: TransformerLayer) -> Tensor:
    """Compute the rest of a layer, position by position: both tensors and the result are ``[..., d]``."""
    return feed_forward(add_attention(x, context, layer.multi_head_attention), layer.feed_forward)


def add_attention(x: Tensor, context: Tensor, attention: MultiHeadAttention) -> Tensor:
    """Mix the results of the attention heads and add them to the states.

    Args:
        x: States ``[..., d]``.
        context: Concatenated results of the heads ``[..., d]``.
        attention: RecBole's ``MultiHeadAttention``.

    Returns:
        Normalized states ``[..., d]``.
    """
    states: Tensor = attention.LayerNorm(attention.out_dropout(attention.dense(context)) + x)
    return states


def feed_forward(x: Tensor, forward: FeedForward) -> Tensor:
    """Compute a feed-forward block, with torch's faster GELU.

    Args:
        x: States ``[..., d]``.
        forward: RecBole's ``FeedForward``.

    Returns:
        Normalized states ``[..., d]``.
    """
    inner = choose_activation(forward)(forward.dense_1(x))
    states: Tensor = forward.LayerNorm(forward.dropout(forward.dense_2(inner)) + x)
    return states


def compute_by_length(states: Callable[[Tensor, Tensor], Tensor], rows: Tensor, lengths: Tensor) -> Tensor:
    """Compute the states of sequences, on a CPU in groups of similar length to avoid padding to the longest.

    Args:
        states: Computes from left-aligned sequences ``[n, l]`` and their lengths ``[n]`` the states ``[n, d]``.
        rows: Left-aligned sequences ``[B, L]``; on a GPU they must not be wider than needed, since the lengths are not
            read there.
        lengths: Their lengths, shape ``[B]``, at least 1.

    Returns:
        Shape ``[B, d]``.
    """
    if rows.device.type != "cpu":
        return states(rows, lengths)
    if len(rows) <= GROUP_ROWS:
        return states(rows[:, : max(lengths.tolist(), default=1)], lengths)
    order = lengths.argsort(stable=True)
    parts = order.split(choose_groups(lengths[order].tolist()))
    groups = [(rows[which, : int(lengths[which[-1]])], lengths[which]) for which in parts]
    return torch.cat([states(*group) for group in groups])[order.argsort()]


def choose_groups(lengths: Sequence[int]) -> list[int]:
    """Choose how many sequences form each group of :func:`compute_by_length`.

    Args:
        lengths: Lengths of all sequences, from the shortest to the longest.

    Returns:
        Sizes of consecutive groups: multiples of :data:`GROUP_ROWS` but for the last.
    """
    sizes, padded = [0], 0
    for begin in range(0, len(lengths), GROUP_ROWS):
        rows = len(lengths[begin : begin + GROUP_ROWS])
        longest = lengths[begin + rows - 1]
        joined, added = (sizes[-1] + rows) * longest, sizes[-1] * longest - padded
        if not padded or (joined <= GROUP_POSITIONS and added <= GROUP_OVERHEAD):
            sizes[-1], padded = sizes[-1] + rows, joined
        else:
            sizes, padded = [*sizes, rows], rows * longest
    return sizes


def pad_rows(x: Tensor) -> Tensor:
    """Append zeros to a tensor, so that its number of rows is a multiple of :data:`KERNEL_ROWS`.

    Args:
        x: Tensor ``[n, ...]``.

    Returns:
        Tensor ``[m, ...]`` with m of at least n.
    """
    return F.pad(x, (0, 0) * (x.dim() - 1) + (0, -len(x) % KERNEL_ROWS))


def choose_activation(forward: FeedForward) -> Callable[[Tensor], Tensor]:
    """Choose the activation of a feed-forward block.

    Args:
        forward: RecBole's ``FeedForward``.

    Returns:
        Its activation function; RecBole's GELU is replaced by torch's, which is one operation.
    """
    function = forward.intermediate_act_fn
    return F.gelu if getattr(function, "__name__", "") == "gelu" else function
