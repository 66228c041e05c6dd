"""DuoRec: SASRec with a contrastive loss between sequences that are followed by the same item."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from recbole_samrec.data.training_samples import TrainingSamples, collect_prefixes
from recbole_samrec.layers.info_nce import SameLabel
from recbole_samrec.model import packed_forward
from recbole_samrec.model.contrastive_base import ContrastiveBase


class DuoRec(ContrastiveBase):
    """SASRec that also pulls together the states of sequences that are followed by the same item.

    The loss is that of the next items plus ``cl_weight`` times InfoNCE between two views of a training sequence: its
    own state under another dropout mask (the unsupervised view), and the state of another training sequence with the
    same next item, drawn at random (the supervised one); the views of the other sequences are negatives (arXiv
    2110.05730, section 4; ``contrast: us_x`` in the authors' code). With ``cl_weight: 0`` training equals that of
    SASRec, bit for bit.

    Departures from the paper: each step contrasts ``cl_batch`` sequences drawn from the whole training part, not those
    of the next-item loss; packed training encodes whole sequences, whose prefixes are too similar for negatives. In
    packed training a full sequence loses a random number of items, up to half, at its beginning, as in the next-item
    loss (:meth:`~recbole_samrec.data.training_samples.TrainingSamples.take_packed`). Sequences with the same next item
    are never each other's negatives; in the authors' code they can be. A sequence whose next item follows no other
    sequence is its own positive, under two dropout masks. ``cl_weight``, ``cl_temperature`` and the inner product are
    those of the authors' code; dropout and batch size are those of the other Transformers here. The body is RecBole's
    SASRec.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.cl_batch = config["cl_batch"]

    @functools.cached_property
    def samples(self) -> TrainingSamples:
        """Training sequences and their targets, collected on first use because scoring does not need them."""
        return collect_prefixes(self._dataset, self.max_seq_length, self.item_embedding.weight.device)

    @property
    def _targets(self) -> Tensor:
        targets = self.samples.targets
        assert targets is not None, "prefixes have targets"
        return targets

    @functools.cached_property
    def same_target(self) -> SameLabel:
        """Index of the training sequences by their targets."""
        return SameLabel(self._targets)

    packed_states = packed_forward.compute_sasrec_states

    def auxiliary_loss(self, batch: Any) -> Tensor:
        """Calculate the weighted contrastive loss of randomly drawn sequences; it does not depend on the batch."""
        if self.cl_weight == 0:
            return self.item_embedding.weight.new_zeros(())
        own = torch.randint(len(self.samples), (self.cl_batch,), device=self.samples.starts.device)
        pairs = torch.cat([own, self.same_target.draw(own)])
        first, second = packed_forward.compute_last_states(self, *self.take_samples(pairs)).chunk(2)
        return self.contrast(first, second, labels=self._targets[own])
