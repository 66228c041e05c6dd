"""Models that support packed training, their states at the positions of whole sequences, and their losses.

A model supports it if its state at position t depends only on the items up to t: one encoding of a user's sequence then
contains the states of all prefixes. Models of this package and of users declare this by a method
``packed_states(item_seq, where)``, RecBole's by an entry in :data:`RECBOLE_MODELS`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from recbole.data.interaction import Interaction
from recbole.utils import ModelType
from torch import Tensor

from recbole_samrec.data.packed_loader import BATCH_TARGETS, TARGET_POSITIONS
from recbole_samrec.layers import transformer as fast
from recbole_samrec.layers.item_loss import ItemLoss
from recbole_samrec.utils.errors import ConfigError

SEES_ALL = "its state at a position depends on the whole sequence"
REASONS = {
    "BERT4Rec": "it predicts masked items from both sides of a sequence",
    "LightSANs": SEES_ALL,
    "CORE": SEES_ALL,
    "FEARec": SEES_ALL,
    "BSARec": "its Fourier filter spans the whole sequence",
    "Caser": "it convolves over the whole sequence",
    "SRGNN": "it builds a graph of the whole sequence",
    "GCSAN": "it builds a graph of the whole sequence",
}
"""Reasons why some models do not support packed training."""


def compute_sasrec_states(model: Any, item_seq: Tensor, where: Tensor) -> Tensor:
    """Compute states of RecBole's SASRec, and of S3Rec in fine-tuning: items and positions through causal layers.

    Args:
        model: The model.
        item_seq: Left-aligned sequences of items, shape ``[B, L]``, 0 after their ends.
        where: Requested positions of the flattened sequences, shape ``[n]``.

    Returns:
        States, shape ``[n, d]``.
    """
    hidden = add_positions(model, model.item_embedding(item_seq))
    return fast.transformer_states(hidden, model.trm_encoder.layer, where)


def add_positions(model: Any, vectors: Tensor) -> Tensor:
    """Compute the input of the first layer of RecBole's SASRec and S3Rec from vectors of items; both ``[B, L, d]``."""
    positions = model.position_embedding.weight[: vectors.size(1)]
    return model.dropout(model.LayerNorm(vectors + positions))


def compute_sasrec_end_states(
    model: Any, item_seq: Tensor, lengths: Tensor, embed: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Compute the states of :func:`compute_sasrec_states` at the ends of sequences, without unneeded parts.

    Args:
        model: The model.
        item_seq: Left-aligned sequences of items, shape ``[B, L]``.
        lengths: Number of items in each, shape ``[B]``, at least 1.
        embed: Maps items ``[n, l]`` to vectors ``[n, l, d]``; the model's embedding by default.

    Returns:
        States, shape ``[B, d]``.
    """
    embed = embed or model.item_embedding

    def encode(items: Tensor, sizes: Tensor) -> Tensor:
        return fast.transformer_end_states(add_positions(model, embed(items)), model.trm_encoder.layer, sizes)

    return fast.compute_by_length(encode, item_seq, lengths)


def compute_gru4rec_states(model: Any, item_seq: Tensor, where: Tensor) -> Tensor:
    """Compute states of RecBole's GRU4Rec; arguments and result as in :func:`compute_sasrec_states`."""
    hidden, _ = model.gru_layers(model.emb_dropout(model.item_embedding(item_seq)))
    return model.dense(hidden.reshape(-1, hidden.size(-1)).index_select(0, where))


RECBOLE_MODELS: dict[str, Callable[[Any, Tensor, Tensor], Tensor]] = {
    "SASRec": compute_sasrec_states,
    "S3Rec": compute_sasrec_states,
    "GRU4Rec": compute_gru4rec_states,
}
"""RecBole's models that support packed training, with the functions that compute their states."""


def is_packable(model_class: type) -> bool:
    """Return True if a model supports packed training; a derived class has to declare ``packed_states`` again."""
    of_recbole = model_class.__module__.startswith("recbole.") and model_class.__name__ in RECBOLE_MODELS
    return of_recbole or "packed_states" in vars(model_class)


def require_packable(model_class: type, config: Any = None) -> None:
    """Raise if a model does not support packed training.

    Args:
        model_class: The class of the model.
        config: RecBole's configuration, which may name a training stage without packed training.

    Raises:
        ConfigError: Names the model and the reason.
    """
    name = model_class.__name__
    reason = None
    if getattr(model_class, "type", None) != ModelType.SEQUENTIAL:
        reason = "it is not a sequential model"
    elif not is_packable(model_class):
        reason = REASONS.get(name, "it does not declare packed_states")
    elif config is not None and config["train_stage"] == "pretrain" and config["pretraining"] != "users":
        reason = "RecBole's pre-training attends to the whole sequence"
    if reason:
        raise ConfigError(f"training=packed does not support {name}: {reason}; use training=prefix")


def compute_packed_states(model: Any, item_seq: Tensor, where: Tensor) -> Tensor:
    """Compute states of a model that supports packed training.

    Args:
        model: The model.
        item_seq: Left-aligned sequences of items, shape ``[B, L]``, 0 after their ends.
        where: Requested positions of the flattened sequences, shape ``[n]``.

    Returns:
        States, shape ``[n, d]``; a state's inner product with an item's embedding is the item's score.
    """
    return _find_packed_states(model)(model, item_seq, where)


def _find_packed_states(model: Any) -> Callable[[Any, Tensor, Tensor], Tensor]:
    return vars(type(model)).get("packed_states") or RECBOLE_MODELS[type(model).__name__]


def compute_last_states(model: Any, item_seq: Tensor, lengths: Tensor) -> Tensor:
    """Compute the states at the ends of sequences.

    Args:
        model: A model that supports packed training.
        item_seq: Left-aligned sequences of items, shape ``[B, L]``.
        lengths: Number of items in each, shape ``[B]``, at least 1.

    Returns:
        States, shape ``[B, d]``.
    """
    if _find_packed_states(model) is compute_sasrec_states:
        return compute_sasrec_end_states(model, item_seq, lengths)
    if lengths.is_cpu:  # for a GPU they are cut before they are copied: reading the longest length would wait for it
        item_seq = item_seq[:, : int(lengths.max())]
    return compute_packed_states(model, item_seq, find_ends(lengths, item_seq.size(1)))


def find_ends(lengths: Tensor, width: int) -> Tensor:
    """Return the positions ``[B]`` of the last items of sequences ``[B, width]`` after flattening."""
    return torch.arange(len(lengths), device=lengths.device) * width + lengths - 1


def score_all_items(model: Any, item_seq: Tensor, lengths: Tensor) -> Tensor:
    """Score all items after the ends of sequences, as the model's ``full_sort_predict`` does, but faster.

    Args:
        model: A model that supports packed training.
        item_seq: Left-aligned sequences of items, shape ``[B, L]``.
        lengths: Number of items in each, shape ``[B]``, at least 1.

    Returns:
        Scores, shape ``[B, items]``.
    """
    return compute_last_states(model, item_seq, lengths) @ model.item_embedding.weight[: count_items(model)].T


def score_faster(score: Callable) -> Callable:
    """Wrap a model's ``full_sort_predict`` so that it scores by :func:`score_all_items`."""

    @functools.wraps(score)
    def full_sort_predict(self: Any, interaction: Any) -> Tensor:
        return score_all_items(self, interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])

    return full_sort_predict


def count_items(model: Any) -> int:
    """Return the number of embedding rows that are items, including padding; the last row of S3Rec's is its mask."""
    return model.item_embedding.num_embeddings - (type(model).__name__ == "S3Rec")


def make_packed_loss(model: Any, config: Any, fused: bool = True) -> Callable[[Any], Tensor | tuple[Tensor, Tensor]]:
    """Make the training loss of packed batches, the mean over the targets of a batch.

    Args:
        model: A model that supports packed training; its ``item_loss``, if it has one, replaces the configured loss.
            With a method ``auxiliary_loss(batch)`` the loss is a pair, which is logged separately and summed.
        config: RecBole's configuration.
        fused: False for the plain form of the loss, which can be differentiated twice.

    Returns:
        A function of a batch with items ``[B, L]``, the target at each position ``[B, L]``, 0 for none, perhaps the
        positions of the targets, ``target_positions``, and, where several processes share a batch, ``batch_targets``,
        by which each process divides its sum.
    """
    item_loss, add_auxiliary = _make_losses(model, config, fused)

    def compute_loss(batch: Any) -> Tensor | tuple[Tensor, Tensor]:
        targets = batch[model.POS_ITEM_ID].flatten()
        where = batch[TARGET_POSITIONS][0] if TARGET_POSITIONS in batch else targets.nonzero().squeeze(1)
        states = compute_packed_states(model, batch[model.ITEM_SEQ], where)
        shared = batch[BATCH_TARGETS][0] if BATCH_TARGETS in batch else None
        loss = item_loss(states, model.item_embedding, targets[where], shared)
        return add_auxiliary(loss, batch)

    return compute_loss


def _make_losses(
    model: Any, config: Any, fused: bool
) -> tuple[ItemLoss, Callable[[Tensor, Any], Tensor | tuple[Tensor, Tensor]]]:
    """Return a model's loss of states and targets, and a function that adds its auxiliary loss, if it has one."""
    item_loss = getattr(model, "item_loss", None) or ItemLoss(config, count_items(model))
    if isinstance(item_loss, ItemLoss) and not fused:
        item_loss = copy.copy(item_loss)
        item_loss.fused = False
    auxiliary_loss = getattr(model, "auxiliary_loss", None)

    def add_auxiliary(loss: Tensor, batch: Any) -> Tensor | tuple[Tensor, Tensor]:
        return loss if auxiliary_loss is None else (loss, auxiliary_loss(batch))

    return item_loss, add_auxiliary


def make_prefix_loss(model: Any, config: Any, fused: bool = True) -> Callable[[Any], Tensor | tuple[Tensor, Tensor]]:
    """Make the training loss of RecBole's samples, one for each prefix, for a model that supports packed training.

    It equals the model's ``calculate_loss`` up to rounding. Sequences are cut to the longest of the batch, and the last
    layer computes only the last positions. RecBole's losses with negative items and losses of users' own models are
    used unchanged.

    Args:
        model: A model that supports packed training.
        config: RecBole's configuration.
        fused: As in :func:`make_packed_loss`.

    Returns:
        A function of a batch of RecBole's samples.
    """
    own = not model.calculate_loss.__module__.startswith(("recbole.", "recbole_samrec."))
    if own or config["loss_type"] == "BPR":
        return lambda batch: model.calculate_loss(cut_to_longest(model, batch))
    item_loss, add_auxiliary = _make_losses(model, config, fused)

    def compute_loss(batch: Any) -> Tensor | tuple[Tensor, Tensor]:
        states = compute_last_states(model, batch[model.ITEM_SEQ], batch[model.ITEM_SEQ_LEN])
        loss = item_loss(states, model.item_embedding, batch[model.POS_ITEM_ID])
        return add_auxiliary(loss, batch)

    return compute_loss


def cut_to_longest(model: Any, batch: Any) -> Any:
    """Remove the columns of a batch of RecBole's samples that contain only padding, unless it is on a GPU already.

    Args:
        model: A model that supports packed training, for which this saves time and changes nothing else.
        batch: RecBole's interaction.
    """
    if not batch[model.ITEM_SEQ_LEN].is_cpu:
        return batch
    longest = int(batch[model.ITEM_SEQ_LEN].max())
    return Interaction({**batch.interaction, model.ITEM_SEQ: batch[model.ITEM_SEQ][:, :longest]})
