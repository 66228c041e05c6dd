"""gSASRec: SASRec with generalized binary cross-entropy over sampled items."""

from __future__ import annotations

from recbole_samrec.model import packed_forward
from recbole_samrec.model.samrec import SAMRec


class gSASRec(SAMRec):
    """SASRec trained with gBCE, which scores a few items per target instead of all (arXiv 2308.07192).

    The body is that of SAMRec with other defaults, in ``properties/model/gSASRec.yaml``: the paper's recommended 256
    negatives and t = 0.75, and no SAM. As in the paper, every position of a user's sequence is a target.

    Departures from the paper: the body is RecBole's SASRec with layer normalization after each residual, GELU and a
    feed-forward block four times as wide, where the authors' code has SASRec's original layers; its sizes, dropout and
    batch size are those of the other Transformers here, so that the entries of a table differ by the model. Input and
    output share one embedding of items, as in SASRec; the authors' PyTorch code has a second one for the output by
    default. A constant is added to all scores (:func:`~recbole_samrec.layers.losses.compute_gbce_base`), which changes
    no ranking: without it this body, whose embeddings start small, spends its embedding on that constant and learns
    only popularity on ml-100k (validation NDCG@10 0.018 after 37 epochs; with it, 0.062 after 10). The authors' code
    draws negatives from all items, which sometimes include the target; here they are drawn from the others.
    """

    packed_states = packed_forward.compute_sasrec_states
