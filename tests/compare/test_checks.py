"""Checks of the runs on a page."""

import numpy as np

from recbole_samrec.compare.checks import check_ranks, list_identical
from recbole_samrec.evaluator.user_metrics import AT_ONCE, ONE_BY_ONE
from tests.helpers.compared import make_clustered, make_run


def test_check_ranks_reports_other_metrics_of_the_evaluator():
    assert not check_ranks(make_run(test={"hr@10": 0.5, "ndcg@10": 0.375, "mrr@10": 0.3333, "recall@10": 0.9}))
    (line,) = check_ranks(make_run(test={"hr@10": 0.75}))
    assert line == "SAMRec, seed 1: HR@10 is 0.5000 by its ranks and 0.7500 by RecBole's evaluator"
    assert not check_ranks(make_run(test={"hr@10": 0.75}, config={"mask_history": True}))


def test_check_ranks__of_several_events():
    """RecBole averages over events if they are predicted one by one, else over users."""
    ranks = np.array([1, 3, 11, 2, 2, 8])
    by_event = (1 / ranks).mean()
    at_once = np.mean([1, 1 / 2, 1 / 8])
    config = {"metric_decimal_place": 4}
    for prediction, right, wrong in ((ONE_BY_ONE, by_event, at_once), (AT_ONCE, at_once, by_event)):
        assert check_ranks(make_clustered("A", prediction, test={"mrr@20": right}, config=config)) == []
        assert check_ranks(make_clustered("A", prediction, test={"mrr@20": wrong}, config=config))


def test_list_identical__groups_entries_by_their_ranks():
    ranks = {"A": [(1, 2), (3, 4)], "B": [(1, 2), (3, 5)], "C": [(1, 2), (3, 4)], "D": [(3, 4), (1, 2)], "E": [(1, 2)]}
    runs = [make_run(entry, seed, rank) for entry, of in ranks.items() for seed, rank in enumerate(of)]
    (line,) = list_identical(runs)
    assert line == "A, C: their ranks are equal with every seed, so they do not differ, whatever the interval"
    assert list_identical(runs[:4]) == []
