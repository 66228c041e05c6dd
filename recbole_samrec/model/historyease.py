"""HistoryEASE: EASE that scores from the whole history before a target."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_samrec.model.counted_base import HistoryBase, build_binary_matrix


class HistoryEASE(HistoryBase):
    """Linear autoencoder of the items of a user (Steck 2019, arXiv 1905.03375).

    With the matrix ``X`` of users and items and ``P = (X' X + lambda I)^-1`` the weights are ``B_ij = -P_ij / P_jj``,
    ``B_jj = 0`` (equation 8), and the score of item ``j`` is the sum of ``B_ij`` over the items ``i`` of a history.

    Departures from RecBole's EASE: the whole history before a target is scored, which under leave-one-out includes the
    validation event when the test event is predicted, and users without training events are served; RecBole scores the
    user's training events. A user's repeated events count once, as in the paper. The inverse is computed in double
    precision. Memory grows with the square of the number of items: about 16 bytes for each pair while the weights are
    computed, and 4 in a checkpoint.
    """

    weights: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.register_buffer("weights", compute_weights(build_binary_matrix(dataset), config["reg_weight"]))

    def score_sets(self, items: Tensor, counted: Tensor) -> Tensor:
        """Score all items for sets of items; arguments and result as in the base class."""
        weights = self.weights
        return F.embedding_bag(items, weights, per_sample_weights=counted.to(weights.dtype), mode="sum")


def compute_weights(matrix: sp.csr_matrix, reg_weight: float) -> Tensor:
    """Compute the weights of EASE.

    Args:
        matrix: Users and items, shape ``[users, items]``, of zeros and ones.
        reg_weight: The paper's lambda.

    Returns:
        Weights in single precision, shape ``[items, items]``; column j predicts item j.
    """
    gram = torch.from_numpy((matrix.T @ matrix).toarray().astype(np.float64))
    gram.diagonal().add_(reg_weight)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram, out=gram))
    weights = inverse.div_(-inverse.diagonal().clone()).float()
    weights.fill_diagonal_(0)
    return weights
