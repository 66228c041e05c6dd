"""SAMRec: SASRec trained with Sharpness-Aware Minimization."""

from __future__ import annotations

from typing import Any

from recbole.model.sequential_recommender.sasrec import SASRec
from torch import Tensor

from recbole_samrec.data.item_counts import count_training_items
from recbole_samrec.layers.item_loss import SAMPLED, ItemLoss
from recbole_samrec.model import packed_forward


class SAMRec(SASRec):
    """SASRec's Transformer, trained with Sharpness-Aware Minimization (arXiv 2308.10347).

    The model is RecBole's SASRec, weight for weight. Its training by
    :class:`~recbole_samrec.trainer.trainer.SAMRecTrainer` and its defaults in ``properties/model/SAMRec.yaml`` differ.
    With ``sam_rho: 0`` it *is* SASRec; with ``loss_type`` SSM or gBCE it is SASRec with that loss.

    Departures from the paper: its tables, data sets and ``rho`` were not available, so the defaults are our own. The
    loss is cross-entropy over all items, as in RecBole's SASRec, unless ``loss_type`` is set, and it is computed on
    whole sequences, which gives the same loss (``training: prefix`` trains on RecBole's samples).

    Args:
        config: RecBole's configuration.
        dataset: RecBole's data set.

    Example::

        from recbole_samrec import run

        run("SAMRec", "ml-100k", sam_rho=0.1, epochs=5)
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        loss_type = config["loss_type"]
        try:
            if loss_type in SAMPLED:
                config["loss_type"] = "CE"  # SASRec's constructor accepts only CE and BPR
            super().__init__(config, dataset)
        finally:
            config["loss_type"] = loss_type
        self.loss_type = loss_type
        counts = count_training_items(dataset) if loss_type == "SSM" else None
        self.item_loss = ItemLoss(config, self.n_items, counts)
        self.item_embedding.sparse = config["embedding_update"] == "sparse"

    packed_states = packed_forward.compute_sasrec_states

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Score all items after each sequence, shape ``[B, items]``, as SASRec does, but faster."""
        return packed_forward.score_all_items(self, interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])

    def calculate_loss(self, interaction: Any) -> Tensor | tuple[Tensor, Tensor]:
        """Calculate the loss of a batch of RecBole's samples, one for each prefix; a tuple if a model has several."""
        return self.calculate_next_item_loss(interaction)

    def calculate_next_item_loss(self, interaction: Any) -> Tensor:
        """Calculate the next-item loss alone."""
        if self.loss_type not in SAMPLED:
            return super().calculate_loss(interaction)
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        return self.item_loss(states, self.item_embedding, interaction[self.POS_ITEM_ID])
