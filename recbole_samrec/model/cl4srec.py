"""CL4SRec: SASRec with a contrastive loss between two views of each user's sequence."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from recbole_samrec.data.training_rows import TrainingRows, of_users
from recbole_samrec.layers.augment import augment
from recbole_samrec.model import packed_forward
from recbole_samrec.model.contrastive_base import Contrastive


class CL4SRec(Contrastive):
    """SASRec that also learns to recognise a user's sequence after it was cropped, masked or reordered.

    The loss is that of the next items plus ``cl_weight`` times InfoNCE: two views of a sequence, each cropped, masked
    or reordered at random, are each other's positives, and the views of the other users' sequences are negatives
    (arXiv 2010.14395, section 3). With ``cl_weight: 0`` it trains as SASRec, bit for bit.

    Departures from the paper: the next-item loss is cross-entropy over all items (or ``loss_type``), as for all models
    here, where the paper draws one negative. Each step contrasts ``cl_batch_users`` users drawn for it, whichever users
    the next-item loss is computed for. The mask is a vector of its own, so that no score is computed for it; it starts
    at zero. In packed training a row that is full loses up to half of its items, drawn anew, at its beginning
    (:meth:`~recbole_samrec.data.training_rows.TrainingRows.as_packed`): else the last position of a row, where users
    with long histories are tested, would learn from the contrast alone. A crop keeps at least one item. The two ways of
    changing a sequence are drawn independently, and may be the same; the published code of DuoRec's authors takes two
    different ones. ``crop_rate``, ``mask_rate``, ``reorder_rate``, ``cl_temperature`` and ``cl_weight`` have that
    code's values; the paper tunes them for each data set. Views are compared by their cosine instead of the paper's
    inner product, by which the contrast outweighs the next items here: validation NDCG@10 on ml-100k was 0.0678 against
    0.0540 within 88 epochs, and against 0.0607 with a tenth of the weight (seed 2020). The body is RecBole's SASRec.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.mask_vector = nn.Parameter(torch.zeros(self.hidden_size))
        self.cl_batch_users = config["cl_batch_users"]
        self._rates = {key: config[key] for key in ("crop_rate", "mask_rate", "reorder_rate")}

    @functools.cached_property
    def rows(self) -> TrainingRows:
        """The users' training sequences; made when they are first needed, since scoring does without them."""
        return of_users(self._dataset, self.max_seq_length, self.mask_vector.device)

    packed_states = packed_forward.of_transformer

    def auxiliary_loss(self, batch: Any) -> Tensor:
        """The contrastive loss of users drawn anew, times its weight; it does not depend on the batch."""
        if self.cl_weight == 0:
            return self.mask_vector.new_zeros(())
        users = torch.randperm(len(self.rows), device=self.mask_vector.device)[: self.cl_batch_users]
        items, lengths = self.rows_of(users)
        first, second = self.view_states(items.repeat(2, 1), lengths.repeat(2)).chunk(2)
        return self.contrast(first, second)

    def view_states(self, items: Tensor, lengths: Tensor) -> Tensor:
        """The last states ``[B, d]`` of a random view of each of some rows ``[B, L]``."""
        items, lengths = augment(items, lengths, mask_item=self.n_items, **self._rates)
        return packed_forward.ends_of_transformer(self, items, lengths, self.vectors_of)

    def vectors_of(self, items: Tensor) -> Tensor:
        """Vectors ``[B, L, d]`` of rows of items ``[B, L]``, of which some may be the mask."""
        masked = items == self.n_items
        vectors = self.item_embedding(items.masked_fill(masked, 0))
        return torch.where(masked.unsqueeze(-1), self.mask_vector, vectors)
