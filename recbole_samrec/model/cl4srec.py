"""CL4SRec: SASRec with a contrastive loss between two views of each user's sequence."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from recbole_samrec.data.training_samples import TrainingSamples, collect_user_sequences
from recbole_samrec.layers.augment import augment
from recbole_samrec.model import packed_forward
from recbole_samrec.model.contrastive_base import ContrastiveBase


class CL4SRec(ContrastiveBase):
    """SASRec that also learns to recognize a user's sequence after it was cropped, masked or reordered.

    The loss is that of the next items plus ``cl_weight`` times InfoNCE: two views of a sequence, each cropped, masked
    or reordered at random, are each other's positives, and the views of the other users' sequences are negatives
    (arXiv 2010.14395, section 3). With ``cl_weight: 0`` training equals that of SASRec, bit for bit.

    Departures from the paper: the next-item loss is cross-entropy over all items (or ``loss_type``), as for all models
    here, where the paper draws one negative. Each step contrasts ``cl_batch_users`` randomly drawn users, independent
    of the users in the next-item loss. The mask is a separate vector, so that no score is computed for it; it starts at
    zero. In packed training a full sequence loses a random number of items, up to half, at its beginning
    (:meth:`~recbole_samrec.data.training_samples.TrainingSamples.take_packed`): otherwise the last position, where
    users with long histories are tested, would learn from the contrast alone. A crop keeps at least one item. The two
    augmentations of a sequence are drawn independently and may be the same; the published code of DuoRec's authors uses
    two different ones. ``crop_rate``, ``mask_rate``, ``reorder_rate``, ``cl_temperature`` and ``cl_weight`` have that
    code's values; the paper tunes them for each data set. Views are compared by cosine instead of the paper's inner
    product, with which the contrastive loss outweighs the next-item loss here: validation NDCG@10 on ml-100k was 0.0678
    against 0.0540 within 88 epochs, and against 0.0607 with a tenth of the weight (seed 2020). The body is RecBole's
    SASRec.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.mask_vector = nn.Parameter(torch.zeros(self.hidden_size))
        self.cl_batch_users = config["cl_batch_users"]
        self._rates = {key: config[key] for key in ("crop_rate", "mask_rate", "reorder_rate")}

    @functools.cached_property
    def samples(self) -> TrainingSamples:
        """Training sequences of the users, collected on first use because scoring does not need them."""
        return collect_user_sequences(self._dataset, self.max_seq_length, self.mask_vector.device)

    packed_states = packed_forward.compute_sasrec_states

    def auxiliary_loss(self, batch: Any) -> Tensor:
        """Calculate the weighted contrastive loss of randomly drawn users; it does not depend on the batch."""
        if self.cl_weight == 0:
            return self.mask_vector.new_zeros(())
        users = torch.randperm(len(self.samples), device=self.mask_vector.device)[: self.cl_batch_users]
        items, lengths = self.take_samples(users)
        first, second = self.encode_views(items.repeat(2, 1), lengths.repeat(2)).chunk(2)
        return self.contrast(first, second)

    def encode_views(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Compute the last states ``[B, d]`` of a random view of each sequence ``[B, L]``."""
        items, lengths = augment(items, lengths, mask_item=self.n_items, **self._rates)
        return packed_forward.compute_sasrec_end_states(self, items, lengths, self.embed)

    def embed(self, items: Tensor) -> Tensor:
        """Look up vectors ``[B, L, d]`` of items ``[B, L]``, which may include the mask."""
        masked = items == self.n_items
        vectors = self.item_embedding(items.masked_fill(masked, 0))
        return torch.where(masked.unsqueeze(-1), self.mask_vector, vectors)
