"""SAMRec: SASRec trained with Sharpness-Aware Minimization."""

from __future__ import annotations

from recbole.model.sequential_recommender.sasrec import SASRec


class SAMRec(SASRec):
    """SASRec's Transformer, trained with Sharpness-Aware Minimization (arXiv 2308.10347).

    The model is RecBole's SASRec, weight for weight; what differs is its training, which
    :class:`~recbole_samrec.trainer.SAMRecTrainer` does, and its defaults in ``properties/model/SAMRec.yaml``.
    With ``sam_rho: 0`` it *is* SASRec.

    Departures from the paper: its tables, data sets and ``rho`` could not be had, so the defaults are our own; the
    loss is cross-entropy over all items, as RecBole's SASRec has it.
    """
