"""Which models may be trained on whole sequences, and their states at every position of a row.

A model may be packed when its state at position t depends only on the items up to t: one encoding of a user's row then
holds the states of all its prefixes. A model says so in one place: a class of our own, or of a user, by a method
``packed_states(item_seq, where)``, RecBole's by an entry in :data:`RECBOLES`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from recbole.data.interaction import Interaction
from recbole.utils import ModelType
from torch import Tensor

from recbole_samrec.data.packed_loader import BATCH_TARGETS
from recbole_samrec.layers import transformer as fast
from recbole_samrec.layers.item_loss import ItemLoss
from recbole_samrec.utils.errors import ConfigError

SEES_ALL = "its state at a position depends on the whole row"
REASONS = {
    "BERT4Rec": "it predicts masked items from both sides of a row",
    "LightSANs": SEES_ALL,
    "CORE": SEES_ALL,
    "FEARec": SEES_ALL,
    "BSARec": "its Fourier filter spans the row",
    "Caser": "it convolves over the row as a whole",
    "SRGNN": "it makes a graph of the row as a whole",
    "GCSAN": "it makes a graph of the row as a whole",
}
"""Why some models may not be packed."""


def of_transformer(model: Any, item_seq: Tensor, where: Tensor) -> Tensor:
    """States of RecBole's SASRec, and of S3Rec when it is fine-tuned: items and positions through causal layers.

    Args:
        model: The model.
        item_seq: Left-aligned rows of items, shape ``[B, L]``, 0 after their ends.
        where: Positions of the flattened rows that are wanted, shape ``[n]``.

    Returns:
        Shape ``[n, d]``.
    """
    hidden = embedded(model, model.item_embedding(item_seq))
    return fast.transformer_states(hidden, model.trm_encoder.layer, where)


def embedded(model: Any, vectors: Tensor) -> Tensor:
    """What goes into the first layer of RecBole's SASRec and S3Rec, of rows of items' vectors; both ``[B, L, d]``."""
    positions = model.position_embedding.weight[: vectors.size(1)]
    return model.dropout(model.LayerNorm(vectors + positions))


def ends_of_transformer(
    model: Any, item_seq: Tensor, lengths: Tensor, vectors_of: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """States at the ends of rows as those of :func:`of_transformer`, without what they do not depend on.

    Args:
        model: The model.
        item_seq: Left-aligned rows of items, shape ``[B, L]``.
        lengths: Number of items in each, shape ``[B]``, at least 1.
        vectors_of: From items ``[n, l]`` to their vectors ``[n, l, d]``; the model's table unless given.

    Returns:
        Shape ``[B, d]``.
    """
    vectors_of = vectors_of or model.item_embedding

    def states(rows: Tensor, sizes: Tensor) -> Tensor:
        return fast.transformer_end_states(embedded(model, vectors_of(rows)), model.trm_encoder.layer, sizes)

    return fast.compute_by_length(states, item_seq, lengths)


def of_gru(model: Any, item_seq: Tensor, where: Tensor) -> Tensor:
    """States of RecBole's GRU4Rec; arguments and result as in :func:`of_transformer`."""
    hidden, _ = model.gru_layers(model.emb_dropout(model.item_embedding(item_seq)))
    return model.dense(hidden.reshape(-1, hidden.size(-1)).index_select(0, where))


RECBOLES: dict[str, Callable[[Any, Tensor, Tensor], Tensor]] = {
    "SASRec": of_transformer,
    "S3Rec": of_transformer,
    "GRU4Rec": of_gru,
}
"""RecBole's models that may be packed, and how their states are computed."""


def packable(model_class: type) -> bool:
    """Whether a model may be packed. A model derived from one that may be has to say so for itself."""
    of_recbole = model_class.__module__.startswith("recbole.") and model_class.__name__ in RECBOLES
    return of_recbole or "packed_states" in vars(model_class)


def require_packable(model_class: type, config: Any = None) -> None:
    """Refuse packed training for a model that sees a row as a whole.

    Args:
        model_class: The class of the model.
        config: RecBole's configuration, which may name a stage of training that cannot be packed.

    Raises:
        ConfigError: Names the model and the reason.
    """
    name = model_class.__name__
    reason = None
    if getattr(model_class, "type", None) != ModelType.SEQUENTIAL:
        reason = "it reads no sequences"
    elif not packable(model_class):
        reason = REASONS.get(name, "it does not say that its state at a position depends only on the items up to it")
    elif config is not None and config["train_stage"] == "pretrain" and config["pretraining"] != "users":
        reason = "RecBole's pre-training sees the whole row"
    if reason:
        raise ConfigError(f"training=packed cannot be used with {name}: {reason}; use training=prefix")


def packed_states(model: Any, item_seq: Tensor, where: Tensor) -> Tensor:
    """States of a model that may be packed, at the positions that are wanted.

    Args:
        model: The model.
        item_seq: Left-aligned rows of items, shape ``[B, L]``, 0 after their ends.
        where: Positions of the flattened rows, shape ``[n]``.

    Returns:
        Shape ``[n, d]``; a state's inner product with an item's embedding is the item's score.
    """
    return _states_of(model)(model, item_seq, where)


def _states_of(model: Any) -> Callable[[Any, Tensor, Tensor], Tensor]:
    return vars(type(model)).get("packed_states") or RECBOLES[type(model).__name__]


def last_states(model: Any, item_seq: Tensor, lengths: Tensor) -> Tensor:
    """States at the ends of rows.

    Args:
        model: A model that may be packed.
        item_seq: Left-aligned rows of items, shape ``[B, L]``.
        lengths: Number of items in each, shape ``[B]``, at least 1.

    Returns:
        Shape ``[B, d]``.
    """
    if _states_of(model) is of_transformer:
        return ends_of_transformer(model, item_seq, lengths)
    item_seq = item_seq[:, : int(lengths.max())]
    return packed_states(model, item_seq, ends(lengths, item_seq.size(1)))


def ends(lengths: Tensor, width: int) -> Tensor:
    """Places of the last items of rows ``[B, width]`` when these are flattened, shape ``[B]``."""
    return torch.arange(len(lengths), device=lengths.device) * width + lengths - 1


def scores(model: Any, item_seq: Tensor, lengths: Tensor) -> Tensor:
    """Scores ``[B, items]`` of all items after the ends of rows; arguments as in :func:`last_states`.

    They are those of the model's ``full_sort_predict``, computed faster.
    """
    return last_states(model, item_seq, lengths) @ model.item_embedding.weight[: number_of_items(model)].T


def number_of_items(model: Any) -> int:
    """Rows of the item table that are items, the padding item among them; the last of S3Rec's is its mask."""
    return model.item_embedding.num_embeddings - (type(model).__name__ == "S3Rec")


def packed_loss(model: Any, config: Any, fused: bool = True) -> Callable[[Any], Tensor | tuple[Tensor, Tensor]]:
    """The training loss of a model's packed batches, the mean over the batch's targets.

    Args:
        model: A model that may be packed; its own ``item_loss``, if it has one, takes the place of the configured one.
            With a method ``auxiliary_loss(batch)`` of its own the loss is a pair, which is logged apart and summed.
        config: RecBole's configuration.
        fused: False for the plain form of the loss, which can be differentiated twice.

    Returns:
        A function of a batch: items ``[B, L]``, and at each position the target, 0 for none, ``[B, L]``; and, where
        several processes share a batch, ``batch_targets``, what each has to divide its sum by.
    """
    item_loss, with_auxiliary = _losses(model, config, fused)

    def loss_of(batch: Any) -> Tensor | tuple[Tensor, Tensor]:
        targets = batch[model.POS_ITEM_ID].flatten()
        where = targets.nonzero().squeeze(1)
        states = packed_states(model, batch[model.ITEM_SEQ], where)
        shared = batch[BATCH_TARGETS][0] if BATCH_TARGETS in batch else None
        loss = item_loss(states, model.item_embedding, targets[where], shared)
        return with_auxiliary(loss, batch)

    return loss_of


def _losses(
    model: Any, config: Any, fused: bool
) -> tuple[ItemLoss, Callable[[Tensor, Any], Tensor | tuple[Tensor, Tensor]]]:
    """A model's loss of states and targets, and what puts its auxiliary loss beside it, if it has one."""
    item_loss = getattr(model, "item_loss", None) or ItemLoss(config, number_of_items(model))
    if isinstance(item_loss, ItemLoss) and not fused:
        item_loss = copy.copy(item_loss)
        item_loss.fused = False
    auxiliary_loss = getattr(model, "auxiliary_loss", None)

    def with_auxiliary(loss: Tensor, batch: Any) -> Tensor | tuple[Tensor, Tensor]:
        return loss if auxiliary_loss is None else (loss, auxiliary_loss(batch))

    return item_loss, with_auxiliary


def prefix_loss(model: Any, config: Any, fused: bool = True) -> Callable[[Any], Tensor | tuple[Tensor, Tensor]]:
    """The training loss of RecBole's rows, one for each prefix, of a model that may be packed.

    It is the model's ``calculate_loss``, up to rounding, on rows cut to the longest of the batch, of which the last
    layer computes the last positions only. A loss with negative items of RecBole's, or of the user's own making, is
    taken as it is.

    Args:
        model: A model that may be packed.
        config: RecBole's configuration.
        fused: As in :func:`packed_loss`.

    Returns:
        A function of a batch of RecBole's rows.
    """
    own = not model.calculate_loss.__module__.startswith(("recbole.", "recbole_samrec."))
    if own or config["loss_type"] == "BPR":
        return lambda batch: model.calculate_loss(cut_to_longest(model, batch))
    item_loss, with_auxiliary = _losses(model, config, fused)

    def loss_of(batch: Any) -> Tensor | tuple[Tensor, Tensor]:
        states = last_states(model, batch[model.ITEM_SEQ], batch[model.ITEM_SEQ_LEN])
        loss = item_loss(states, model.item_embedding, batch[model.POS_ITEM_ID])
        return with_auxiliary(loss, batch)

    return loss_of


def cut_to_longest(model: Any, batch: Any) -> Any:
    """A batch of RecBole's rows without the columns in which all of them are padded.

    Args:
        model: A model that may be packed, for which this changes nothing but the time it takes.
        batch: RecBole's interaction.
    """
    longest = int(batch[model.ITEM_SEQ_LEN].max())
    return Interaction({**batch.interaction, model.ITEM_SEQ: batch[model.ITEM_SEQ][:, :longest]})
