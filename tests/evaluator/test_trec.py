"""TREC lines have the order of the metrics' lists, however evaluation tools order equal scores."""

import numpy as np
import torch

from recbole_samrec.evaluator.trec import (
    encode_id,
    find_best,
    format_qrels,
    format_run,
    name_queries,
    separate_scores,
)


def test_find_best__continues_the_list_of_the_metrics():
    draw = torch.Generator().manual_seed(1)
    scores = torch.randint(0, 4, (50, 40), generator=draw).float()  # most scores are equal to others
    scores[:, 0] = -torch.inf
    listed = scores.topk(7).indices
    for k in (3, 7, 20, 39):
        items, values = find_best(scores, k, 7)
        assert items.shape == (50, k) and torch.equal(items[:, :7], listed[:, :k])
        assert torch.equal(values, scores.gather(1, items)) and (values[:, 1:] <= values[:, :-1]).all()
        assert all(len(set(row)) == k for row in items.tolist())
    assert find_best(scores[:, :5], 5, 20)[0].shape == (50, 5)


def test_separate_scores__descend_strictly_in_float32():
    scores = np.array([[3.0, 3.0, 3.0, 1.0, 1.0, -np.inf], [0.5, 0.25, 0.0, 0.0, -1e-8, -2.0]], np.float32)
    found = separate_scores(scores)
    assert found.dtype == np.float32 and (found[:, 1:] < found[:, :-1]).all()
    assert np.allclose(found[:, :5], scores[:, :5], atol=1e-6) and found[0, 5] == -np.inf
    written = [float(str(value)) for value in found[1]]
    assert (np.float32(written) == found[1]).all()


def test_name_queries__number_events_where_a_user_has_several():
    names = np.array(["[PAD]", "a b", "c%", "d"])
    assert name_queries(np.array([3, 1, 2]), names) == ["d", "a%20b", "c%25"]
    assert name_queries(np.array([3, 1, 3, 3, 1]), names) == ["d/0", "a%20b/0", "d/1", "d/2", "a%20b/1"]


def test_encode_id__leaves_one_word():
    assert [encode_id(token) for token in (7, "a\tb c", "50%", "ä/é")] == ["7", "a%09b%20c", "50%25", "ä/é"]


def test_formats__are_those_of_trec():
    names = np.array(["[PAD]", "x", "y z"])
    scores = np.array([[0.5, 0.25], [2.0, -np.inf]], np.float32)
    lines = list(format_run(["u", "v"], np.array([[2, 1], [1, 2]]), scores, names, "Pop"))
    assert lines == ["u Q0 y%20z 1 0.5 Pop\n", "u Q0 x 2 0.25 Pop\n", "v Q0 x 1 2.0 Pop\n"]
    lines = list(format_qrels(["u", "v"], np.array([0, 1, 1, 1]), np.array([1, 2, 1, 2]), names))
    assert lines == ["u 0 x 1\n", "v 0 y%20z 1\n", "v 0 x 1\n"]
