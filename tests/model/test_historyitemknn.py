"""HistoryItemKNN: cosines written out, over the whole history before each target."""

import numpy as np
import pytest
import scipy.sparse as sp

from recbole_samrec.model import historyitemknn
from recbole_samrec.model.historyitemknn import find_neighbors
from tests.helpers.history_scores import build_model, known_before, make_matrix, scores_in_validation, scores_of


def cosines(matrix, shrink=0.0):
    """The similarities of items, one by one."""
    items = matrix.shape[1]
    found = np.zeros((items, items))
    for i in range(items):
        for j in range(items):
            together = (matrix[:, i] * matrix[:, j]).sum()
            if i != j and together:
                found[i, j] = together / (np.sqrt(matrix[:, i].sum() * matrix[:, j].sum()) + shrink)
    return found


@pytest.mark.parametrize("shrink", [0.0, 0.5])
def test_historyitemknn__sums_cosines_over_the_history(tmp_path, shrink):
    (_, valid_data, test_data), _, trainer = build_model(tmp_path, "HistoryItemKNN", shrink=shrink)
    similarities = cosines(make_matrix(dataset := valid_data.dataset), shrink)
    for part, loader in (("valid", valid_data), ("test", test_data)):
        found = scores_of(trainer, loader)
        for user, items in known_before(part).items():
            history = dataset.token2id("item_id", sorted(set(items)))
            np.testing.assert_allclose(found[user], similarities[history].sum(0)[1:], atol=1e-6)


def test_historyitemknn__scores_by_hand(tmp_path):
    """In training a has i1 and i2, b has i1 and i3, c has i2 and i3, d has i4."""
    (_, _, test_data), _, trainer = build_model(tmp_path, "HistoryItemKNN")
    ids = test_data.dataset.token2id("item_id", ["i1", "i2", "i3", "i4", "i5"]) - 1
    # Each of i1, i2 and i3 has two users and shares one with each other: the cosine is 1 / 2. Before its test event
    # c has i2, i3 and i1, of which the last is its validation event.
    np.testing.assert_allclose(scores_of(trainer, test_data)["c"][ids], [1.0, 1.0, 1.0, 0.0, 0.0], atol=1e-6)
    # Before its test event d has i4 and i5, whose only user in training is d, and nobody had i5.
    np.testing.assert_allclose(scores_of(trainer, test_data)["d"][ids], [0.0] * 5, atol=1e-6)


def test_find_neighbors__keeps_the_nearest(monkeypatch):
    monkeypatch.setattr(historyitemknn, "BLOCK", 3)
    matrix = (np.random.default_rng(0).random((30, 8)) < 0.4).astype(np.float32)
    neighbors, values = find_neighbors(sp.csr_matrix(matrix), 2, 0.0)
    expected = cosines(matrix)
    assert neighbors.shape == values.shape == (8, 2)
    for item in range(8):
        np.testing.assert_allclose(values[item], np.sort(expected[item])[::-1][:2], rtol=1e-6)
        np.testing.assert_allclose(expected[item][neighbors[item]], values[item], rtol=1e-6)


def test_historyitemknn__is_recboles_on_training_events(tmp_path):
    """On the validation set the history consists of the training events, which RecBole's model scores."""
    ours, theirs = (scores_in_validation(tmp_path, model, k=12) for model in ("HistoryItemKNN", "ItemKNN"))
    assert ours.keys() == theirs.keys() and len(ours) == 20
    for user, scores in ours.items():
        np.testing.assert_allclose(scores, theirs[user], atol=1e-4)
