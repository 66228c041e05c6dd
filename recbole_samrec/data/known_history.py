"""The history of each sample as a column of a batch, for models that score from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_samrec.data.sequences import align_left

HISTORY = "known_history"
"""Column of a batch with the items that are known before each target, shape ``[B, L]``, 0 after their ends."""


def scores_histories(model: Any) -> bool:
    """Return True if a model, or a class of models, scores from the column :data:`HISTORY`."""
    return bool(getattr(model, "scores_histories", False))


def add_histories(batch: Interaction, histories: Sequence[np.ndarray]) -> Interaction:
    """Add histories to a batch.

    Args:
        batch: RecBole's batch of samples.
        histories: Items known before the target of each sample; may be empty.

    Returns:
        A batch with the column :data:`HISTORY` too.
    """
    return Interaction({**batch.interaction, HISTORY: pad_histories(histories)})


def pad_histories(histories: Sequence[np.ndarray]) -> Tensor:
    """Align histories to the left, shape ``[B, L]`` with L at least 1, and pad them with 0."""
    lengths = torch.tensor([len(items) for items in histories], dtype=torch.int64)
    padded = torch.zeros(len(histories), max([1, *lengths.tolist()]), dtype=torch.int64)
    inside, events = align_left(lengths.cumsum(0) - lengths, lengths, padded.size(1))
    if len(events):
        padded[inside] = torch.from_numpy(np.concatenate(histories).astype(np.int64))[events]
    return padded
