"""Fast parts of a Transformer's training step on plain torch tensors.

What costs time in a step on a CPU beside the matrix products is dropout, whose random numbers torch draws one by one,
and the attention of positions that nobody asks for. Here dropout draws its bits in bulk, and the last layer computes
only the positions that are wanted. The weights stay where a model keeps them; these functions only read them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Attention = Callable[[Tensor, Tensor, Tensor, nn.Dropout], Tensor]
"""From query, key, value ``[B, heads, L, d]`` and the dropout layer of the weights to ``[B, heads, L, d]``."""

LEVELS = 1 << 16
"""Dropout compares 16 random bits with a threshold, so its probability is a multiple of 1 / 65536."""
LOWEST = torch.iinfo(torch.int64).min

KERNEL_ROWS = 64
"""Products in bfloat16 on a CPU have a multiple of so many rows: their kernels are compiled for each shape, which takes
longer than the product, and nearly every batch has another number of targets."""

GROUP_ROWS = 64
"""Rows of a group of like length: more are filled up further, and fewer do not keep a core busy."""


class _BulkDropout(torch.autograd.Function):
    """Multiplies by a mask of ones and zeros, scaled so that the mean stays; the mask is kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: int) -> Tensor:
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(LOWEST, None)  # else 63 bits
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        # Compared into the type of x at once: by way of a bool tensor it takes six times as long.
        mask = torch.ge(bits, threshold - LEVELS // 2, out=torch.empty_like(x)).mul_(LEVELS / (LEVELS - threshold))
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradient * mask, None


def dropout(x: Tensor, p: float) -> Tensor:
    """Set each element to zero with probability ``p`` and scale the others so that the mean stays.

    On a CPU the random bits are drawn 64 at a time from torch's generator, several times faster than torch's own
    dropout. The probability is rounded to a multiple of 1 / 65536, and the scale is that of the rounded one, so that
    the result is unbiased.

    Args:
        x: Tensor of any shape.
        p: Probability, from 0 to 1.
    """
    threshold = round(p * LEVELS)
    if x.device.type != "cpu" or not 0 < threshold < LEVELS or not x.is_floating_point():
        return F.dropout(x, p)
    dropped: Tensor = _BulkDropout.apply(x, threshold)  # type: ignore[no-untyped-call]  # torch's, without types
    return dropped


class Dropout(nn.Dropout):
    """torch's dropout layer with its bits drawn in bulk."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop elements of a tensor of any shape while training; otherwise leave it alone."""
        return dropout(input, self.p) if self.training and not self.inplace else super().forward(input)


def draw_dropout_in_bulk(model: nn.Module) -> None:
    """Let every dropout layer of a model draw its bits in bulk; weights and settings stay as they are."""
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = Dropout


def causal_attention(query: Tensor, key: Tensor, value: Tensor, drop: nn.Dropout) -> Tensor:
    """Attention in which each position sees itself and what comes before it.

    Rows that are shorter than L need no mask of their own where they are left-aligned: what comes after their end is
    seen by no position of theirs.

    Args:
        query: Shape ``[B, heads, L, d]``; ``key`` and ``value`` alike.
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
    """What is added to scores ``[L, L]`` so that nothing sees what comes after it."""
    return _mask(1 << (length - 1).bit_length(), dtype)[:length, :length]


@functools.lru_cache(maxsize=16)
def _mask(size: int, dtype: torch.dtype) -> Tensor:
    """Made once for all lengths up to a power of two."""
    return torch.full((size, size), -math.inf, dtype=dtype).triu_(1)


def attention_without(padding: Tensor) -> Attention:
    """Attention in which each position sees all but the padded ones, on both of its sides.

    Args:
        padding: Which positions are padded, shape ``[B, L]``; a row must have one that is not.

    Returns:
        A function with the arguments and the result of :func:`causal_attention`.
    """

    def attend(query: Tensor, key: Tensor, value: Tensor, drop: nn.Dropout) -> Tensor:
        batch, heads, length, size = query.shape
        query, key, value = (part.reshape(batch * heads, length, size) for part in (query, key, value))
        hidden = torch.zeros(padding.shape, dtype=query.dtype, device=query.device).masked_fill_(padding, -math.inf)
        hidden = hidden.repeat_interleave(heads, 0).unsqueeze(1)
        scores = torch.baddbmm(hidden, query, key.transpose(1, 2), alpha=1 / math.sqrt(size))
        return torch.bmm(drop(scores.softmax(-1)), value).view(batch, heads, length, size)

    return attend


def transformer_layer(
    x: Tensor, layer: Any, where: Tensor | None = None, attend: Attention = causal_attention
) -> Tensor:
    """One layer of RecBole's Transformer, with the normalisation after each residual.

    Args:
        x: Hidden states ``[B, L, d]``.
        layer: A module with ``multi_head_attention`` and ``feed_forward`` as RecBole's ``TransformerLayer`` has them.
        where: Positions of the flattened ``[B * L]`` that are wanted, shape ``[n]``; None for all of them.
        attend: How positions see each other; causally unless named.

    Returns:
        ``[B, L, d]``, or ``[n, d]`` where positions were named.
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


def transformer(x: Tensor, layers: Sequence[Any], where: Tensor, attend: Attention = causal_attention) -> Tensor:
    """The last hidden states of a Transformer at the positions that are wanted.

    Args:
        x: Embedded rows ``[B, L, d]``.
        layers: RecBole's ``TransformerLayer`` modules, at least one.
        where: Positions of the flattened ``[B * L]``, shape ``[n]``. The last layer computes only these.
        attend: How positions see each other; causally unless named.

    Returns:
        Shape ``[n, d]``.
    """
    for layer in layers[:-1]:
        x = transformer_layer(x, layer, None, attend)
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        return transformer_layer(x, layers[-1], padded_rows(where), attend)[: len(where)]
    return transformer_layer(x, layers[-1], where, attend)


def transformer_at_ends(
    x: Tensor, layers: Sequence[Any], lengths: Tensor, attend: Attention = causal_attention
) -> Tensor:
    """The last hidden states of a Transformer at the ends of rows.

    Args:
        x: Embedded left-aligned rows ``[B, L, d]``.
        layers: RecBole's ``TransformerLayer`` modules, at least one.
        lengths: Number of positions of each row, shape ``[B]``, at least 1.
        attend: How positions see each other; causally unless named. The end of a row sees all of the row in any case.

    Returns:
        Shape ``[B, d]``.
    """
    for layer in layers[:-1]:
        x = transformer_layer(x, layer, None, attend)
    layer = layers[-1]
    end = x[torch.arange(len(x), device=x.device), lengths - 1]
    beyond = torch.arange(x.size(1), device=x.device) >= lengths.unsqueeze(1)
    return _after_attention(end, attention_of_one(end, x, beyond, layer.multi_head_attention), layer)


def attention_of_one(asking: Tensor, x: Tensor, hidden: Tensor, attention: Any) -> Tensor:
    """What one position of each row gathers from its row, without a key or a value of any position.

    A score ``q (K x + k)`` is ``(K' q) x + q k``, and the sum of ``w (V x + v)`` over a row, with the weights ``w``, is
    ``V`` times the sum of ``w x``, and ``v`` times the sum of ``w``: the large products with ``K`` and ``V`` are needed
    once for each row.

    Args:
        asking: The states that ask, shape ``[B, d]``.
        x: The states of the rows, shape ``[B, L, d]``.
        hidden: True where they may not look, shape ``[B, L]``.
        attention: RecBole's ``MultiHeadAttention``.

    Returns:
        The heads' results beside each other, before they are mixed, shape ``[B, d]``.
    """
    batch, _, size = x.shape
    heads = attention.num_attention_heads
    key, value = (part.weight.view(heads, size // heads, size) for part in (attention.key, attention.value))
    query = attention.query(asking).view(batch, heads, 1, size // heads) / math.sqrt(size // heads)
    constant = (query.squeeze(2) * attention.key.bias.view(heads, -1)).sum(-1, True)  # for its gradient, which is 0
    scores = (query @ key).squeeze(2) @ x.transpose(1, 2) + constant
    weights = attention.attn_dropout(scores.masked_fill(hidden.unsqueeze(1), -math.inf).softmax(-1))
    gathered = ((weights @ x).unsqueeze(2) @ value.transpose(1, 2)).squeeze(2)
    context: Tensor = gathered + weights.sum(-1, True) * attention.value.bias.view(heads, -1)
    return context.reshape(batch, size)


def _after_attention(x: Tensor, context: Tensor, layer: Any) -> Tensor:
    """The rest of a layer, position by position: both tensors ``[..., d]``, the result alike."""
    return feed_forward(attended(x, context, layer.multi_head_attention), layer.feed_forward)


def attended(x: Tensor, context: Tensor, attention: Any) -> Tensor:
    """States ``[..., d]`` with what RecBole's ``MultiHeadAttention`` gathered for them, alike, mixed and added."""
    states: Tensor = attention.LayerNorm(attention.out_dropout(attention.dense(context)) + x)
    return states


def feed_forward(x: Tensor, forward: Any) -> Tensor:
    """RecBole's ``FeedForward`` of states ``[..., d]``, with torch's faster GELU."""
    inner = activation(forward)(forward.dense_1(x))
    states: Tensor = forward.LayerNorm(forward.dropout(forward.dense_2(inner)) + x)
    return states


def in_groups_of_like_length(states: Callable[[Tensor, Tensor], Tensor], rows: Tensor, lengths: Tensor) -> Tensor:
    """States of rows, computed on a CPU for some rows at a time: no short one is then filled up to the longest of all.

    Args:
        states: From left-aligned rows ``[n, l]`` and their lengths ``[n]`` to their states ``[n, d]``.
        rows: Left-aligned rows ``[B, L]``.
        lengths: Their lengths, shape ``[B]``, at least 1.

    Returns:
        Shape ``[B, d]``.
    """
    if rows.device.type != "cpu" or len(rows) <= GROUP_ROWS:
        return states(rows[:, : max(lengths.tolist(), default=1)], lengths)
    order = lengths.argsort(stable=True)
    groups = [(rows[which, : int(lengths[which[-1]])], lengths[which]) for which in order.split(GROUP_ROWS)]
    return torch.cat([states(*group) for group in groups])[order.argsort()]


def padded_rows(x: Tensor) -> Tensor:
    """A tensor ``[n, ...]`` with zeros behind it, so that it has a multiple of :data:`KERNEL_ROWS` rows."""
    return F.pad(x, (0, 0) * (x.dim() - 1) + (0, -len(x) % KERNEL_ROWS))


def activation(forward: Any) -> Callable[[Tensor], Tensor]:
    """The activation of a feed-forward block; for RecBole's GELU torch's, the same function in one step."""
    function = forward.intermediate_act_fn
    return F.gelu if getattr(function, "__name__", "") == "gelu" else function
