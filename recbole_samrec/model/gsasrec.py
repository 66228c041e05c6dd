"""gSASRec: SASRec with generalised binary cross-entropy over sampled items."""

from __future__ import annotations

from recbole_samrec.model import packed_forward
from recbole_samrec.model.samrec import SAMRec


class gSASRec(SAMRec):
    """SASRec trained with gBCE, which needs a few items for each target in place of all (arXiv 2308.07192).

    It is SAMRec's body with other defaults, which are in ``properties/model/gSASRec.yaml``: the paper's recommended 256
    negatives and t = 0.75, and no SAM. As in the paper, every position of a user's sequence is a target.

    Departures from the paper: the body is RecBole's SASRec with its normalisation behind each residual, GELU and a
    feed-forward block four times as wide, where the authors' code has SASRec's original layers; its sizes, dropout and
    batch are those of the other Transformers here, so that rows of one table differ by the model. One table of items
    serves input and output, as in SASRec; the authors' PyTorch code has a second one for output unless told otherwise.
    A constant is added to all scores (:func:`~recbole_samrec.layers.losses.compute_gbce_base`), which changes no
    ranking: without it this body, whose embeddings begin small, spends its table on that constant and learns no more
    than popularity on ml-100k (NDCG@10 of validation 0.018 after 37 epochs; with it, 0.062 after 10). The authors' code
    draws negatives from all items, so now and then the target itself; here it is drawn from the others.
    """

    packed_states = packed_forward.of_transformer
