"""DuoRec: SASRec with a contrastive loss between sequences that are followed by the same item."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from recbole_samrec.data.training_rows import TrainingRows, of_targets
from recbole_samrec.layers.info_nce import SameLabel
from recbole_samrec.model import packed_forward
from recbole_samrec.model.contrastive_base import Contrastive


class DuoRec(Contrastive):
    """SASRec that also brings together the states of sequences that are followed by the same item.

    The loss is that of the next items plus ``cl_weight`` times InfoNCE between two views of a training sequence: its
    own state under another dropout mask (the unsupervised view), and the state of another training sequence with the
    same next item, drawn at random (the supervised one); the views of the other sequences are negatives (arXiv
    2110.05730, section 4; ``contrast: us_x`` in the authors' code). With ``cl_weight: 0`` it trains as SASRec, bit for
    bit.

    Departures from the paper: each step contrasts ``cl_batch`` sequences drawn from all of the training part, not those
    that the next-item loss is computed for; packed training encodes whole rows, whose prefixes are too alike for
    negatives. In packed training a row that is full loses up to half of its items at its beginning, drawn anew, as the
    rows of the next-item loss do (:meth:`~recbole_samrec.data.training_rows.TrainingRows.as_packed`). Sequences with
    the same next item are never each other's negatives; the authors' code lets them be. A sequence whose next item
    follows no other is its own positive, under two masks. ``cl_weight``, ``cl_temperature`` and the inner product are
    those of the authors' code; dropout and batch are those of the other Transformers here. The body is RecBole's
    SASRec.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.cl_batch = config["cl_batch"]

    @functools.cached_property
    def rows(self) -> TrainingRows:
        """The training sequences and their targets; made when first needed, since scoring does without them."""
        return of_targets(self._dataset, self.max_seq_length, self.item_embedding.weight.device)

    @property
    def _targets(self) -> Tensor:
        targets = self.rows.targets
        assert targets is not None, "rows of targets have targets"
        return targets

    @functools.cached_property
    def same_target(self) -> SameLabel:
        """Finds training sequences by their targets."""
        return SameLabel(self._targets)

    packed_states = packed_forward.of_transformer

    def auxiliary_loss(self, batch: Any) -> Tensor:
        """The contrastive loss of sequences drawn anew, times its weight; it does not depend on the batch."""
        if self.cl_weight == 0:
            return self.item_embedding.weight.new_zeros(())
        own = torch.randint(len(self.rows), (self.cl_batch,), device=self.rows.starts.device)
        pairs = torch.cat([own, self.same_target.draw(own)])
        first, second = packed_forward.last_states(self, *self.rows_of(pairs)).chunk(2)
        return self.contrast(first, second, labels=self._targets[own])
