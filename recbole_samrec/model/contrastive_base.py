"""Base of CL4SRec and DuoRec: SASRec's body and loss with an additional contrastive loss."""

from __future__ import annotations

import functools
from typing import Any

from torch import Tensor

from recbole_samrec.data.training_samples import TrainingSamples
from recbole_samrec.layers.info_nce import info_nce
from recbole_samrec.model.samrec import SAMRec


class ContrastiveBase(SAMRec):
    """SASRec with a contrastive loss of training sequences that are drawn for each step.

    Derived classes define the sequences (``samples``) and ``auxiliary_loss``.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.cl_weight, self.cl_temperature = config["cl_weight"], config["cl_temperature"]
        self.cl_similarity = config["cl_similarity"]
        self.packed = config["training"] == "packed"
        self._dataset = dataset

    @functools.cached_property
    def samples(self) -> TrainingSamples:
        """Training sequences that are contrasted."""
        raise NotImplementedError

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, Tensor]:
        """Calculate both losses of a batch of RecBole's samples, one for each prefix."""
        return self.calculate_next_item_loss(interaction), self.auxiliary_loss(interaction)

    def auxiliary_loss(self, batch: Any) -> Tensor:
        """Calculate the weighted contrastive loss; it does not depend on the batch."""
        raise NotImplementedError

    def take_samples(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Return training sequences ``[n, L]`` and lengths ``[n]`` by number, like those of the next-item loss."""
        return self.samples.take_packed(which, self.max_seq_length) if self.packed else self.samples[which]

    def contrast(self, first: Tensor, second: Tensor, labels: Tensor | None = None) -> Tensor:
        """Calculate the weighted InfoNCE of two views ``[B, d]`` with the configured temperature and similarity."""
        loss = info_nce(first, second, temperature=self.cl_temperature, similarity=self.cl_similarity, labels=labels)
        return self.cl_weight * loss
