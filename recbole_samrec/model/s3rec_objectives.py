"""The four pre-training objectives of S3Rec, on batches of users' sequences."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_samrec.layers import transformer as fast
from recbole_samrec.model.packed_forward import add_positions

OBJECTIVES = ("aap", "mip", "map", "sp")
"""Associated attributes, masked items, masked attributes, segments; ``<name>_weight`` is the weight of each."""


def make_pretraining_loss(model: Any) -> Callable[[Any], Tensor]:
    """Make the loss of our pre-training of S3Rec (arXiv 2008.07873), a mean over the sequences of a batch.

    Layers, objectives, weights and bidirectional attention are those of RecBole's S3Rec, which reads the pre-trained
    weights unchanged. The pre-training differs in these points; the sequences are made by
    :class:`~recbole_samrec.data.s3rec_loader.PretrainingLoader`:

    * Sequences are left-aligned as in fine-tuning; RecBole aligns them to the right, so that an item is pre-trained at
      other positions than it is fine-tuned at. The state of a sequence is that at its last item.
    * Whole sequences of users are used, cut into windows where they are longer than the model reads. RecBole uses every
      prefix, so that a user's first items occur most often.
    * The last training item, which RecBole uses only as a target, is part of its sequence.
    * The other segment is part of another user's sequence; RecBole's may be of the same user, or span two users.
    * A negative item is never the mask token, which RecBole may draw.
    * The attribute is read by item, so that an item without attributes has none; RecBole gives it the last attribute
      where items have at most one.
    * The sum of the losses is divided by the number of sequences, which does not affect Adam.

    Args:
        model: RecBole's S3Rec.

    Returns:
        A function of a batch with the fields of :func:`~recbole_samrec.data.s3rec_loader.corrupt` and of
        :func:`~recbole_samrec.data.s3rec_loader.find_positions`.
    """
    attributes = build_attribute_table(model)
    weights = [getattr(model, f"{name}_weight") for name in OBJECTIVES]

    def compute_loss(batch: Any) -> Tensor:
        parts = compute_objectives(model, batch, attributes)
        return sum(weight * part for weight, part in zip(weights, parts, strict=True)) / len(batch["items"])

    return compute_loss


def build_attribute_table(model: Any) -> Tensor:
    """Build the table of items and their attributes.

    Args:
        model: RecBole's S3Rec, whose attributes are numbered from 1 in the data; 0 is padding.

    Returns:
        Zeros and ones, shape ``[items, attributes]``.
    """
    ids = model.item_feat[model.FEATURE_FIELD]
    ids = ids.unsqueeze(1) if ids.dim() == 1 else ids
    table = torch.zeros(len(ids), model.n_features + 1, dtype=torch.uint8)
    return table.scatter_(1, ids.cpu(), 1)[:, 1:].to(model.item_embedding.weight.device)


def compute_objectives(model: Any, batch: Any, attributes: Tensor) -> tuple[Tensor, ...]:
    """Compute the four objectives, each a sum over the batch, in the order of :data:`OBJECTIVES`.

    ``F`` denotes the states of the masked sequences, and ``f(x, y)`` the logistic function of ``x W y`` with a ``W``
    and a bias for each objective:

    * AAP and MAP: binary cross-entropy of ``F W a`` for every attribute ``a``, at items that are not masked (AAP) or
      masked (MAP);
    * MIP: ``-log sigmoid(f(F, item) - f(F, negative))`` at masked items, InfoNCE with one negative;
    * SP: ``-log sigmoid(f(context, segment) - f(context, other))`` of each sequence, likewise.

    Args:
        model: RecBole's S3Rec.
        batch: The fields of :func:`~recbole_samrec.data.s3rec_loader.corrupt` and of
            :func:`~recbole_samrec.data.s3rec_loader.find_positions`.
        attributes: The table of :func:`build_attribute_table`.
    """
    where, shown, hidden, tested = (batch[name][0] for name in ("where", "shown", "hidden", "tested"))
    states = compute_masked_states(model, batch["masked"], where)
    items, negatives = (batch[name].flatten()[where] for name in ("items", "negatives"))
    guess = model.mip_norm(states[tested])
    right, wrong = ((guess * model.item_embedding(which[tested])).sum(-1).sigmoid() for which in (items, negatives))
    return (
        _compare_attributes(model, model.aap_norm(states[shown]), attributes[items[shown]]),
        -F.logsigmoid(right - wrong).sum(),
        _compare_attributes(model, model.map_norm(states[hidden]), attributes[items[hidden]]),
        _compare_segments(model, batch),
    )


def _compare_segments(model: Any, batch: Any) -> Tensor:
    pairs = batch["pairs"][0]
    sequences = torch.cat([batch[name][pairs] for name in ("context", "segment", "other")])
    lengths = batch["lengths"][pairs].repeat(3)
    encode = functools.partial(compute_masked_end_states, model)
    context, segment, other = fast.compute_by_length(encode, sequences, lengths).chunk(3)
    context = model.sp_norm(context)
    mine, theirs = ((context * part).sum(-1).sigmoid() for part in (segment, other))
    return -F.logsigmoid(mine - theirs).sum()


def compute_masked_states(model: Any, items: Tensor, where: Tensor) -> Tensor:
    """Compute states of masked sequences as RecBole's ``forward(items, bidirectional=True)`` does, but faster.

    Args:
        model: RecBole's S3Rec.
        items: Left-aligned sequences, shape ``[B, L]``, 0 after their ends.
        where: Requested positions of the flattened sequences, shape ``[n]``.

    Returns:
        States, shape ``[n, d]``.
    """
    hidden = add_positions(model, model.item_embedding(items))
    return fast.transformer_states(hidden, model.trm_encoder.layer, where, fast.make_padded_attention(items == 0))


def compute_masked_end_states(model: Any, items: Tensor, lengths: Tensor) -> Tensor:
    """Compute the states of :func:`compute_masked_states` at the ends of sequences.

    Args:
        model: RecBole's S3Rec.
        items: Left-aligned sequences, shape ``[B, L]``, 0 after their ends.
        lengths: Number of items in each, shape ``[B]``, at least 1.

    Returns:
        States, shape ``[B, d]``.
    """
    hidden = add_positions(model, model.item_embedding(items))
    return fast.transformer_end_states(hidden, model.trm_encoder.layer, lengths, fast.make_padded_attention(items == 0))


def _compare_attributes(model: Any, states: Tensor, attributes: Tensor) -> Tensor:
    scores = states @ model.feature_embedding.weight.T
    return F.binary_cross_entropy_with_logits(scores, attributes.to(scores.dtype), reduction="sum")
