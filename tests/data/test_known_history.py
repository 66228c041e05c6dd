"""Histories become a padded column of a batch."""

import numpy as np
import torch
from recbole.data.interaction import Interaction

from recbole_samrec.data.known_history import HISTORY, add_histories, pad_histories, scores_histories
from recbole_samrec.model.historyease import HistoryEASE


def test_pad_histories__are_aligned_left():
    padded = pad_histories([np.array([3, 1]), np.array([], dtype=np.int32), np.array([2, 2, 5])])
    assert padded.tolist() == [[3, 1, 0], [0, 0, 0], [2, 2, 5]] and padded.dtype == torch.int64
    assert pad_histories([np.array([], dtype=int)]).tolist() == [[0]]


def test_add_histories__leaves_the_batch_as_it_is():
    batch = Interaction({"user_id": torch.tensor([4, 6])})
    both = add_histories(batch, [np.array([1]), np.array([2, 3])])
    assert HISTORY not in batch and both["user_id"].tolist() == [4, 6]
    assert both[HISTORY].tolist() == [[1, 0], [2, 3]]


def test_scores_histories__is_declared_by_a_model():
    assert scores_histories(HistoryEASE) and not scores_histories(torch.nn.Linear)
