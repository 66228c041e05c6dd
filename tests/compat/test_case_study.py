"""RecBole's functions for case studies return one row per requested user, or raise."""

import numpy as np
import pytest
import torch
from recbole.utils import case_study

from recbole_samrec.utils.errors import DataError
from tests.helpers.tiny import build, make_config, random_events, write_events
from tests.helpers.toy_data import suspend

LAST_TWO = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"}
RATIO = {**LAST_TWO, "split": {"RS": [0.6, 0.2, 0.2]}}
SHORT = {"SASRec": 2, "SAMRec": 2, "BPR": 1, "FPMC": 2}
"""Number of events with which a user has no test event."""


def make_model(folder, model, split):
    """The model, the test loader and a function from the names of users to their ids."""
    short = [(f"s{k}", f"i{k}", 100 * k + j) for k in range(7) for j in range(SHORT[model])]
    write_events(folder, "tiny", [*random_events(users=12), *short])
    loaders, network, _ = build(make_config(model, folder, eval_args=split))
    return network.eval(), loaders[2], lambda names: loaders[2].dataset.token2id("user_id", names)


@pytest.mark.parametrize("model", ["SASRec", "SAMRec", "BPR", "FPMC"])
def test_full_sort_scores__are_in_the_order_of_the_users(tmp_path, model):
    network, test, ids = make_model(tmp_path, model, LAST_TWO)
    names = ["u3", "u1", "u7", "u1"]
    for users in (ids(names), list(ids(names)), torch.from_numpy(ids(names))):
        rows = case_study.full_sort_scores(users, network, test)
        scores, items = case_study.full_sort_topk(users, network, test, 3)
        assert rows.shape == (4, test.dataset.item_num) and items.shape == scores.shape == (4, 3)
        for name, row, best in zip(names, rows, items, strict=True):
            alone = case_study.full_sort_scores(ids([name]), network, test)[0]
            assert torch.allclose(row, alone) and torch.equal(torch.topk(alone, 3).indices, best)
    assert case_study.full_sort_scores([], network, test).shape == (0, test.dataset.item_num)


@pytest.mark.parametrize(("model", "split"), [("SASRec", LAST_TWO), ("SAMRec", RATIO), ("BPR", RATIO)])
def test_full_sort_scores__name_users_without_a_test_row(tmp_path, model, split):
    network, test, ids = make_model(tmp_path, model, split)
    with pytest.raises(DataError, match="no test row for users s1, s0; request only users"):
        case_study.full_sort_topk(ids(["u3", "s1", "u1", "s0"]), network, test, 3)
    with pytest.raises(DataError, match="no test row for users s0, s1, s2, s3, s4 and 2 more;"):
        case_study.full_sort_scores(ids([f"s{k}" for k in range(7)]), network, test)


def test_full_sort_scores__of_users_with_several_events(tmp_path):
    """A sequential model predicts them one by one, a general model all at once."""
    network, test, ids = make_model(tmp_path, "SASRec", RATIO)
    several = [f"u{n}" for n in range(12) if (test.dataset.inter_feat["user_id"] == ids(f"u{n}")).sum() > 1]
    with pytest.raises(DataError, match=f"several test rows for user {several[0]}, one per test event"):
        case_study.full_sort_topk(ids(several[:1]), network, test, 3)
    network, test, ids = make_model(tmp_path, "BPR", RATIO)
    assert case_study.full_sort_scores(ids(several), network, test).shape == (len(several), test.dataset.item_num)


@pytest.mark.parametrize(
    ("users", "said"), [(["u1"], "internal ids, not .*u1"), ([0], "id 0; the ids are 1 to 19"), ([20], "id 20")]
)
def test_full_sort_scores__of_no_user(tmp_path, users, said):
    network, test, _ = make_model(tmp_path, "SASRec", LAST_TWO)
    with pytest.raises(DataError, match=said):
        case_study.full_sort_scores(np.array(users), network, test)


def test_full_sort_scores__need_a_full_ranking(tmp_path):
    network, test, ids = make_model(tmp_path, "BPR", {**LAST_TWO, "mode": "uni5"})
    with pytest.raises(DataError, match="mode 'full'"):
        case_study.full_sort_scores(ids(["u1"]), network, test)


def test_full_sort_scores__without_the_patch(tmp_path):
    network, test, ids = make_model(tmp_path, "SASRec", LAST_TWO)
    with suspend("return_one_row_per_user"):
        assert len(case_study.full_sort_scores(ids(["u3", "s1", "u1"]), network, test)) == 2
