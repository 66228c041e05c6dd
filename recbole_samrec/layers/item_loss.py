"""The loss of states against items that the configuration chooses."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from recbole_samrec.layers import losses
from recbole_samrec.utils.errors import ConfigError

SAMPLED = ("SSM", "gBCE")
"""Losses over sampled items that RecBole does not have."""

SPARSE = ("BPR", *SAMPLED)
"""Losses whose gradient has only some rows of the item table."""

OF_ONE_MODEL = ("BCE", "uSSM")
"""Sparse losses that define a model and are no choice for others: those of SASRecOriginal and eSASRec."""


class ItemLoss:
    """One of the losses CE, BPR, SSM, gBCE, BCE and uSSM, of states against the items' embeddings.

    Args:
        config: RecBole's configuration: ``loss_type``, ``n_negatives``, ``gbce_t``, ``shared_negatives``.
        n_items: Number of items, with the padding item.
        counts: Number of times that each item is a training target, shape ``[n_items]``. SSM needs it for in-batch
            negatives, and uses none without it.

    Raises:
        ConfigError: ``embedding_update`` is ``sparse`` and the loss covers all items.
    """

    def __init__(self, config: Any, n_items: int, counts: Tensor | None = None) -> None:
        self.loss_type, self.n_items = config["loss_type"], n_items
        self.n_negatives = 256 if config["n_negatives"] is None else config["n_negatives"]
        self.t = 0.75 if config["gbce_t"] is None else config["gbce_t"]
        self.shared = bool(config["shared_negatives"])
        self.fused = True  # False for the plain forms, which can be differentiated twice
        self.frequencies = None if counts is None else counts / counts.sum()
        if config["embedding_update"] == "sparse" and self.loss_type not in (*SPARSE, *OF_ONE_MODEL):
            raise ConfigError(
                f"embedding_update=sparse: loss_type={self.loss_type} has a gradient for every item; choose one of "
                f"{', '.join(SPARSE)}"
            )

    def __call__(
        self, states: Tensor, items: nn.Embedding, targets: Tensor, denominator: Tensor | None = None
    ) -> Tensor:
        """Compute the mean loss of a batch.

        Args:
            states: Shape ``[n, d]``.
            items: Embedding of all items; ``items.sparse`` gives it a sparse gradient.
            targets: The item that follows each state, shape ``[n]``.
            denominator: The divisor of the sum, for batches that several processes share; default n.
        """
        if self.loss_type == "CE":
            return losses.cross_entropy(states, items.weight, targets, denominator=denominator, fused=self.fused)
        if self.loss_type == "SSM":
            return self._sampled_softmax(states, items, targets, denominator)
        positive = losses.score_items(states, items.weight, targets, sparse=items.sparse)
        if self.loss_type == "gBCE":
            negative = self._negative_scores(states, items, targets)
            base = losses.compute_gbce_base(self.n_negatives, self.n_items - 1, self.t)
            return losses.gbce(positive + base, negative + base, self.n_items - 1, self.t, denominator=denominator)
        if self.loss_type == "uSSM":
            negative = self._negative_scores(states, items, targets)
            return losses.softmax_of_few(positive, negative, denominator=denominator)
        drawn = losses.draw_negatives(self.n_items, targets.shape, targets=targets)
        negative = losses.score_items(states, items.weight, drawn, sparse=items.sparse)
        if self.loss_type == "BCE":
            return losses.bce(positive, negative.unsqueeze(1), denominator=denominator)
        return losses.bpr(positive, negative, denominator=denominator)

    def _sampled_softmax(
        self, states: Tensor, items: nn.Embedding, targets: Tensor, denominator: Tensor | None
    ) -> Tensor:
        if self.frequencies is not None:
            self.frequencies = self.frequencies.to(states.device)
        drawn = losses.draw_negatives(self.n_items, (self.n_negatives,), device=states.device)
        return losses.sampled_softmax(
            states,
            items.weight,
            targets,
            drawn,
            self.frequencies,
            sparse=items.sparse,
            denominator=denominator,
            fused=self.fused,
        )

    def _negative_scores(self, states: Tensor, items: nn.Embedding, targets: Tensor) -> Tensor:
        """Compute scores ``[n, k]`` of the negatives, which every target has for itself unless they are shared."""
        if self.shared:
            drawn = losses.draw_negatives(self.n_items, (self.n_negatives,), device=states.device)
            return losses.score_shared_items(states, items.weight, drawn, targets, sparse=items.sparse)
        drawn = losses.draw_negatives(self.n_items, (len(targets), self.n_negatives), targets=targets.unsqueeze(1))
        return losses.score_items(states, items.weight, drawn, sparse=items.sparse)
