"""What CL4SRec and DuoRec have in common: SASRec's body, its loss, and a contrastive one beside it."""

from __future__ import annotations

import functools
from typing import Any

from torch import Tensor

from recbole_samrec.data.training_rows import TrainingRows
from recbole_samrec.layers.info_nce import info_nce
from recbole_samrec.model.samrec import SAMRec


class Contrastive(SAMRec):
    """SASRec with a contrastive loss of training sequences that are drawn anew for each step.

    Whoever derives from it names the sequences (``rows``) and adds ``auxiliary_loss``.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.cl_weight, self.cl_temperature = config["cl_weight"], config["cl_temperature"]
        self.cl_similarity = config["cl_similarity"]
        self.packed = config["training"] == "packed"
        self._dataset = dataset

    @functools.cached_property
    def rows(self) -> TrainingRows:
        """The training sequences that are contrasted."""
        raise NotImplementedError

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, Tensor]:
        """Both losses of a batch of RecBole's rows, one for each prefix."""
        return self.next_item_loss(interaction), self.auxiliary_loss(interaction)

    def auxiliary_loss(self, batch: Any) -> Tensor:
        """The contrastive loss, times its weight; it does not depend on the batch."""
        raise NotImplementedError

    def rows_of(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Some training sequences ``[n, L]`` and their lengths ``[n]``, as long as those of the next-item loss are."""
        return self.rows.as_packed(which, self.max_seq_length) if self.packed else self.rows[which]

    def contrast(self, first: Tensor, second: Tensor, labels: Tensor | None = None) -> Tensor:
        """InfoNCE of two views ``[B, d]`` as the settings want it, times its weight; see :func:`info_nce`."""
        loss = info_nce(first, second, temperature=self.cl_temperature, similarity=self.cl_similarity, labels=labels)
        return self.cl_weight * loss
