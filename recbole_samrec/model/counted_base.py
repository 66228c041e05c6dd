"""Base of models that are computed from counts of the training data, not trained by gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType, ModelType
from torch import Tensor, nn

from recbole_samrec.data.known_history import HISTORY
from recbole_samrec.utils.errors import ConfigError


class CountedBase(GeneralRecommender):
    """A general model that its constructor computes; RecBole's loop passes once over the data and changes nothing."""

    input_type = InputType.POINTWISE
    type = ModelType.TRADITIONAL
    deterministic = True
    """Read by compare: no seed changes the model."""

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.placeholder = nn.Parameter(torch.zeros(1))  # RecBole's optimizer needs one

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return 0."""
        return (self.placeholder * 0).sum()


class HistoryBase(CountedBase):
    """A model that scores all items from the items known before a target.

    The trainer and the recommender add these items to the batch; see :mod:`recbole_samrec.data.known_history`. They are
    the whole history, whereas RecBole's models of this kind use the training events of the user. An item that occurs
    several times in a history, or in the training events of a user, counts once.

    Raises:
        ConfigError: The evaluation draws candidates, which RecBole scores without histories.
    """

    scores_histories = True

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        mode = (config["eval_args"] or {}).get("mode", "full")
        modes = set(mode.values()) if isinstance(mode, dict) else {mode}
        if modes != {"full"}:
            name = type(self).__name__
            raise ConfigError(f"eval_args: {name} ranks all items and no sampled candidates, as {mode}; use mode full")

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Score all items for each history, shape ``[B * items]``.

        Raises:
            NotImplementedError: The batch has no histories.
        """
        if HISTORY not in interaction:
            raise NotImplementedError(f"{type(self).__name__} scores batches of our trainer only, with histories")
        items, _ = interaction[HISTORY].sort(1)
        first = torch.ones_like(items, dtype=torch.bool)
        first[:, 1:] = items[:, 1:] != items[:, :-1]
        return self.score_sets(items, (first & (items > 0)).to(self.placeholder.dtype)).flatten()

    def score_sets(self, items: Tensor, counted: Tensor) -> Tensor:
        """Score all items for sets of items.

        Args:
            items: Items of each sample, shape ``[B, L]``.
            counted: 1 for an item of the set, 0 for padding and for an item that is in the line twice; same shape.

        Returns:
            Scores, shape ``[B, items]``.
        """
        raise NotImplementedError

    def predict(self, interaction: Any) -> Tensor:
        """Raise, because RecBole scores single pairs without histories."""
        raise NotImplementedError(f"{type(self).__name__} ranks all items and scores no single pairs")


def build_binary_matrix(dataset: Any) -> sp.csr_matrix:
    """Build the matrix of users and items, shape ``[users, items]``: 1 where a user has an item in training."""
    matrix = dataset.inter_matrix(form="csr").astype(np.float32)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
