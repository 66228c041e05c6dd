"""BSARec: a Transformer whose attention is mixed with a rescaling of the sequence's frequencies."""

from __future__ import annotations

import math
from typing import Any

import torch
from recbole.model.sequential_recommender.sasrec import SASRec
from torch import Tensor, nn

from recbole_samrec.layers import losses
from recbole_samrec.layers import transformer as fast


class BSARec(SASRec):
    """SASRec's Transformer with a frequency rescaler beside each self-attention (arXiv 2312.10325).

    A layer mixes the two branches before its feed-forward block, with ``filter_share`` as the paper's alpha::

        out = feed_forward(filter_share * rescaler(x) + (1 - filter_share) * attention(x))

    The rescaler processes sequences of one length with padding in front, as in the paper's code; RecBole's samples have
    the padding at the end and are realigned first. Padding is part of the rescaler's input, embedded as item 0 at its
    position. A padding position attends to the whole sequence, because the paper's mask adds the same constant to all
    of its scores; an item attends to itself and the items before it.

    The rescaler mixes all positions, so the model does not support packed training: it is trained on RecBole's sample
    for each prefix. Only the last position is scored, so the last layer computes only that one, with equal results.

    Departures from the paper: the defaults of dropout, heads, batch size and learning rate are those of the other
    Transformers here, so that the entries of a table differ by the model; the paper uses dropout 0.5, one head, batches
    of 256 samples and learning rate 0.0005 on Beauty, and chooses alpha and c for each data set.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.filter_share = config["filter_share"]
        sizes = (self.max_seq_length, self.hidden_size, config["filter_cutoff"])
        others = (self.hidden_dropout_prob, self.layer_norm_eps)
        self.rescalers = nn.ModuleList(FrequencyRescaler(*sizes, *others) for _ in range(self.n_layers))

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """Compute states ``[B, d]`` after left-aligned sequences of items ``[B, L]`` of lengths ``[B]``."""
        items = align_right(item_seq, item_seq_len, self.max_seq_length)
        x = self.dropout(self.LayerNorm(self.item_embedding(items) + self.position_embedding.weight))
        padding = items == 0
        layers: list[Any] = list(zip(self.trm_encoder.layer, self.rescalers, strict=True))
        for layer, rescaler in layers[:-1]:
            attended = apply_masked_attention(x, layer.multi_head_attention, make_hidden_mask(padding))
            x = fast.feed_forward(self._mix(rescaler(x), attended), layer.feed_forward)
        layer, rescaler = layers[-1]
        attended = attend_from_last(x, layer.multi_head_attention, padding)
        return fast.feed_forward(self._mix(rescaler.rescale_last(x), attended), layer.feed_forward)

    def _mix(self, rescaled: Tensor, attended: Tensor) -> Tensor:
        return self.filter_share * rescaled + (1 - self.filter_share) * attended

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Calculate the loss of a batch of RecBole's samples, one for each prefix; cross-entropy is over all items."""
        if self.loss_type == "BPR":
            return super().calculate_loss(interaction)
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        return losses.cross_entropy(states, self.item_embedding.weight, interaction[self.POS_ITEM_ID])


class FrequencyRescaler(nn.Module):
    """Layer that scales the high frequencies of sequences by a learned factor for each feature (arXiv 2312.10325).

    ``rescaled(x) = low(x) + beta (x - low(x))``, with ``beta = sqrt_beta^2``, then dropout, the residual and layer
    normalization. ``low(x)`` keeps the ``cutoff // 2 + 1`` lowest frequencies of a sequence's discrete Fourier
    transform. It is computed as a projection on a few cosines and sines: the two products are several times cheaper
    than a transform and its inverse.

    Args:
        length: Positions of a sequence, L.
        size: Features of a state, d.
        cutoff: The paper's c.
        dropout: Probability of dropout.
        eps: Constant that layer normalization adds to the variance.
    """

    waves: Tensor

    def __init__(self, length: int, size: int, cutoff: int, dropout: float, eps: float) -> None:
        super().__init__()
        self.register_buffer("waves", build_lowest_waves(length, cutoff // 2 + 1), persistent=False)
        self.sqrt_beta = nn.Parameter(torch.randn(size))
        self.dropout = nn.Dropout(dropout)
        self.LayerNorm = nn.LayerNorm(size, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Rescale sequences ``[B, L, d]`` at every position."""
        return self._rescale(x, self.waves.T @ (self.waves @ x))

    def rescale_last(self, x: Tensor) -> Tensor:
        """Rescale sequences ``[B, L, d]`` at their last position only; shape ``[B, d]``."""
        return self._rescale(x[:, -1], (self.waves[:, -1] @ self.waves) @ x)

    def _rescale(self, x: Tensor, low: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(low + self.sqrt_beta**2 * (x - low)) + x)


def build_lowest_waves(length: int, frequencies: int, dtype: torch.dtype | None = None) -> Tensor:
    """Build an orthonormal basis of the signals of the lowest frequencies of the discrete Fourier transform.

    Args:
        length: Points of a signal, L.
        frequencies: Number of frequencies, including the constant one; there are at most L // 2 + 1.
        dtype: Type of the result, by default torch's.

    Returns:
        One cosine or sine per row, shape ``[n, L]`` with n at most ``2 * frequencies - 1``.
    """
    frequencies = min(frequencies, length // 2 + 1)
    angles = 2 * math.pi / length * torch.outer(torch.arange(frequencies), torch.arange(length)).double()
    cosines, sines = angles.cos(), angles[1 : (length + 1) // 2].sin()  # constant and alternating signals have no sine
    waves = torch.cat([cosines, sines])
    return (waves / waves.norm(dim=1, keepdim=True)).to(dtype or torch.get_default_dtype())


def align_right(item_seq: Tensor, lengths: Tensor, width: int) -> Tensor:
    """Move the padding of left-aligned sequences ``[B, L]`` of at most ``width`` items to the front: ``[B, width]``."""
    source = torch.arange(-width, 0, device=item_seq.device) + lengths.unsqueeze(1)
    return item_seq.gather(1, source.clamp(min=0)).masked_fill(source < 0, 0)


def make_hidden_mask(padding: Tensor) -> Tensor:
    """Make the mask ``[B, 1, L, L]`` that is True where attention is forbidden, from the mask of padding ``[B, L]``.

    Later items and all padding are hidden from an item; nothing is hidden from padding.
    """
    later = torch.ones(padding.size(1), padding.size(1), dtype=torch.bool, device=padding.device).triu_(1)
    return ((later | padding.unsqueeze(1)) & ~padding.unsqueeze(2)).unsqueeze(1)


def apply_masked_attention(x: Tensor, attention: Any, hidden: Tensor) -> Tensor:
    """Apply self-attention at every position, with residual and layer normalization.

    Args:
        x: States ``[B, L, d]``.
        attention: RecBole's ``MultiHeadAttention``, whose weights are used.
        hidden: True where a position may not attend, shape ``[B, 1, L, L]``.

    Returns:
        States, shape ``[B, L, d]``.
    """
    batch, length, size = x.shape
    heads = attention.num_attention_heads
    parts = (attention.query, attention.key, attention.value)
    query, key, value = (part(x).view(batch, length, heads, -1).transpose(1, 2) for part in parts)
    scores = (query / math.sqrt(size // heads)) @ key.transpose(2, 3)
    weights = attention.attn_dropout(scores.masked_fill(hidden, -math.inf).softmax(-1))
    context = (weights @ value).transpose(1, 2).reshape(batch, length, size)
    return fast.add_attention(x, context, attention)


def attend_from_last(x: Tensor, attention: Any, hidden: Tensor) -> Tensor:
    """Compute :func:`apply_masked_attention` at the last position only, without the keys and values of all positions.

    Args:
        x: States ``[B, L, d]``.
        attention: RecBole's ``MultiHeadAttention``, whose weights are used.
        hidden: True where the last position may not attend, shape ``[B, L]``.

    Returns:
        States, shape ``[B, d]``.
    """
    last = x[:, -1]
    return fast.add_attention(last, fast.attend_from_one(last, x, hidden, attention), attention)
