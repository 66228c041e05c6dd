"""HistoryItemKNN: ItemKNN that scores from the whole history before a target."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_samrec.model.counted_base import HistoryBase, build_binary_matrix

BLOCK = 256
"""Number of items whose similarities to all items are in memory at a time."""


class HistoryItemKNN(HistoryBase):
    """Neighborhoods of items by cosine similarity of their users (Sarwar et al. 2001, doi 10.1145/371920.372071).

    The score of an item is the sum of its similarities to the items of a history that are among its ``k`` nearest
    neighbors, ``|U_i & U_j| / (sqrt(|U_i| |U_j|) + shrink)`` for the users ``U_i`` of an item in the training data.

    Departures from RecBole's ItemKNN: the whole history before a target is scored, which under leave-one-out includes
    the validation event when the test event is predicted, and users without training events are served; RecBole scores
    the user's training events. A user's repeated events count once. RecBole adds 1e-6 to each denominator. There is no
    variant by users. Of neighbors with equal similarity at the limit any are kept, as in RecBole.
    """

    neighbors: Tensor
    similarities: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        found = find_neighbors(build_binary_matrix(dataset), config["k"], config["shrink"])
        self.register_buffer("neighbors", found[0])
        self.register_buffer("similarities", found[1])

    def score_sets(self, items: Tensor, counted: Tensor) -> Tensor:
        """Score all items for sets of items; arguments and result as in the base class."""
        members = torch.zeros(self.n_items, len(items), dtype=counted.dtype, device=items.device)
        samples = torch.arange(len(items), device=items.device).unsqueeze(1).expand_as(items)
        inside = counted > 0
        members[items[inside], samples[inside]] = 1
        scores: Tensor = F.embedding_bag(
            self.neighbors, members, per_sample_weights=self.similarities.to(members.dtype), mode="sum"
        )
        return scores.T


def find_neighbors(matrix: sp.csr_matrix, k: int, shrink: float) -> tuple[Tensor, Tensor]:
    """Find the nearest neighbors of each item.

    Args:
        matrix: Users and items, shape ``[users, items]``, of zeros and ones.
        k: Number of neighbors; there are at most as many as items.
        shrink: Constant that is added to the denominator of the cosine.

    Returns:
        Neighbors of each item and their similarities, each of shape ``[items, k]``; the similarity 0 fills up.
    """
    columns = matrix.tocsc()
    norms = np.sqrt(np.asarray(matrix.sum(0)).ravel())
    k = min(k, columns.shape[1])
    neighbors, similarities = [], []
    for start in range(0, columns.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        together = (columns[:, part].T @ columns).toarray()
        denominator = np.outer(norms[part], norms) + shrink
        cosines = np.divide(together, denominator, out=np.zeros_like(together), where=together > 0)
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = 0
        best = torch.from_numpy(cosines).topk(k)
        neighbors.append(best.indices)
        similarities.append(best.values)
    return torch.cat(neighbors), torch.cat(similarities)
