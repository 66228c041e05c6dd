"""HistoryEASE: the closed form of the paper, over the whole history before each target."""

import numpy as np
import pytest
import scipy.sparse as sp

from recbole_samrec.model.historyease import compute_weights
from tests.helpers.history_scores import build_model, known_before, make_matrix, scores_in_validation, scores_of


def weights_by_definition(matrix, reg_weight):
    """For each item, the ridge regression of its column on the others, which equation 8 solves."""
    items = matrix.shape[1]
    found = np.zeros((items, items))
    for j in range(items):
        others = [i for i in range(items) if i != j]
        x = matrix[:, others]
        found[others, j] = np.linalg.solve(x.T @ x + reg_weight * np.eye(len(others)), x.T @ matrix[:, j])
    return found


def test_compute_weights__are_ridge_regressions_on_other_items():
    matrix = (np.random.default_rng(0).random((40, 7)) < 0.4).astype(np.float32)
    weights = compute_weights(sp.csr_matrix(matrix), 2.5).numpy()
    np.testing.assert_allclose(weights, weights_by_definition(matrix.astype(float), 2.5), atol=1e-6)


def test_compute_weights__of_two_items_by_hand():
    """X'X = [[2, 1], [1, 3]], lambda 1: of item 1 on item 0 the weight is 1 / (2 + 1), of 0 on 1 it is 1 / (3 + 1)."""
    matrix = sp.csr_matrix(np.array([[1, 1], [1, 0], [0, 1], [0, 1]], dtype=np.float32))
    np.testing.assert_allclose(compute_weights(matrix, 1.0).numpy(), [[0, 1 / 3], [1 / 4, 0]], rtol=1e-6)


@pytest.mark.parametrize("part", ["valid", "test"])
def test_historyease__sums_weights_over_the_history(tmp_path, part):
    (_, valid_data, test_data), _, trainer = build_model(tmp_path, "HistoryEASE", reg_weight=0.5)
    loader = {"valid": valid_data, "test": test_data}[part]
    weights = weights_by_definition(make_matrix(loader.dataset), 0.5)
    found = scores_of(trainer, loader)
    for user, items in known_before(part).items():
        history = loader.dataset.token2id("item_id", sorted(set(items)))
        np.testing.assert_allclose(found[user], weights[history].sum(0)[1:], atol=1e-5)


def test_historyease__is_recboles_on_training_events(tmp_path):
    """On the validation set the history consists of the training events, which RecBole's model scores."""
    ours, theirs = (scores_in_validation(tmp_path, model, reg_weight=3.0) for model in ("HistoryEASE", "EASE"))
    assert ours.keys() == theirs.keys() and len(ours) == 20
    for user, scores in ours.items():
        np.testing.assert_allclose(scores, theirs[user], atol=1e-4)
