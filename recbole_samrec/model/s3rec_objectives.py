"""S3Rec's four objectives of pre-training, on whole batches of users' rows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_samrec.layers import transformer as fast
from recbole_samrec.model.packed_forward import embedded

OBJECTIVES = ("aap", "mip", "map", "sp")
"""Associated attributes, masked items, masked attributes, segments; each weighs ``<name>_weight`` in the sum."""


def pretraining_loss(model: Any) -> Callable[[Any], Tensor]:
    """The loss that our pre-training of S3Rec (2008.07873) lowers, a mean over the batch's rows.

    Layers, objectives, weights and bidirectional attention are those of RecBole's S3Rec, which takes the pre-trained
    weights as they are. Its pre-training differs in these points, of which those of its rows stand in
    :class:`~recbole_samrec.data.s3rec_loader.PretrainingLoader`:

    * Rows are left-aligned as in fine-tuning; RecBole aligns them to the right, so that an item is learnt at other
      positions than it is fine-tuned at. A row's state is that at its last item.
    * A row is a user's sequence, cut into windows where it is longer than the model reads. RecBole takes every prefix
      as a row, which shows a user's first items most often.
    * The last training item, which RecBole's rows only have as a target, is in its row.
    * The other segment is a stretch of another user's row; RecBole's may be of the same user, or lie across two.
    * A negative item is never the mask token, which RecBole draws as one.
    * The attribute is read by item, so that an item without any has none; RecBole gives it the last one where an
      item has one attribute at most.
    * The sum of the losses is divided by the number of rows, which Adam does not see.

    Args:
        model: RecBole's S3Rec.

    Returns:
        A function of a batch with the fields that :func:`~recbole_samrec.data.s3rec_loader.corrupt` returns.
    """
    attributes = attribute_table(model)
    weights = [getattr(model, f"{name}_weight") for name in OBJECTIVES]

    def loss_of(batch: Any) -> Tensor:
        parts = objectives(model, batch, attributes)
        return sum(weight * part for weight, part in zip(weights, parts, strict=True)) / len(batch["items"])

    return loss_of


def attribute_table(model: Any) -> Tensor:
    """Which item has which attribute, shape ``[items, attributes]``, of zeros and ones.

    Args:
        model: RecBole's S3Rec, whose attributes are numbered from 1 in the data; 0 fills rows up.
    """
    ids = model.item_feat[model.FEATURE_FIELD]
    ids = ids.unsqueeze(1) if ids.dim() == 1 else ids
    table = torch.zeros(len(ids), model.n_features + 1, dtype=torch.uint8)
    return table.scatter_(1, ids.cpu(), 1)[:, 1:].to(model.item_embedding.weight.device)


def objectives(model: Any, batch: Any, attributes: Tensor) -> tuple[Tensor, ...]:
    """The four objectives, each a sum over the batch, in the order of :data:`OBJECTIVES`.

    With ``F`` the states of the masked rows, ``f(x, y)`` the logistic function of ``x W y`` with an objective's own
    ``W`` and bias:

    * AAP and MAP: binary cross-entropy of ``F W a`` for every attribute ``a``, at items that are not, or that are
      masked;
    * MIP: ``-log sigmoid(f(F, item) - f(F, negative))`` at masked items, InfoNCE with one negative;
    * SP: ``-log sigmoid(f(context, segment) - f(context, other))`` of each row, likewise.

    Args:
        model: RecBole's S3Rec.
        batch: The fields that :func:`~recbole_samrec.data.s3rec_loader.corrupt` returns.
        attributes: As :func:`attribute_table` returns it.
    """
    masked = batch["masked"]
    where = masked.flatten().nonzero().squeeze(1)
    states = states_of(model, masked, where)
    items, negatives = (batch[name].flatten()[where] for name in ("items", "negatives"))
    hidden = masked.flatten()[where] == model.mask_token
    tested = hidden & (negatives > 0)
    guess = model.mip_norm(states[tested])
    right, wrong = ((guess * model.item_embedding(which[tested])).sum(-1).sigmoid() for which in (items, negatives))
    return (
        _of_attributes(model, model.aap_norm(states[~hidden]), attributes[items[~hidden]]),
        -F.logsigmoid(right - wrong).sum(),
        _of_attributes(model, model.map_norm(states[hidden]), attributes[items[hidden]]),
        _of_segments(model, batch),
    )


def _of_segments(model: Any, batch: Any) -> Tensor:
    usable = batch["usable"]
    rows = torch.cat([batch[name][usable] for name in ("context", "segment", "other")])
    lengths = batch["lengths"][usable].repeat(3)
    context, segment, other = fast.compute_by_length(functools.partial(ends_of, model), rows, lengths).chunk(3)
    context = model.sp_norm(context)
    mine, theirs = ((context * part).sum(-1).sigmoid() for part in (segment, other))
    return -F.logsigmoid(mine - theirs).sum()


def states_of(model: Any, rows: Tensor, where: Tensor) -> Tensor:
    """States of left-aligned rows ``[B, L]`` with attention to both sides, at positions ``[n]`` of the flattened rows.

    They are those of RecBole's ``forward(rows, bidirectional=True)``, computed faster.
    """
    hidden = embedded(model, model.item_embedding(rows))
    return fast.transformer_states(hidden, model.trm_encoder.layer, where, fast.make_padded_attention(rows == 0))


def ends_of(model: Any, rows: Tensor, lengths: Tensor) -> Tensor:
    """States as :func:`states_of` at the ends of rows ``[B, L]`` of so many items ``[B]``."""
    hidden = embedded(model, model.item_embedding(rows))
    return fast.transformer_end_states(hidden, model.trm_encoder.layer, lengths, fast.make_padded_attention(rows == 0))


def _of_attributes(model: Any, states: Tensor, attributes: Tensor) -> Tensor:
    scores = states @ model.feature_embedding.weight.T
    return F.binary_cross_entropy_with_logits(scores, attributes.to(scores.dtype), reduction="sum")
