"""Trials share a data set that is read once, unless a searched setting changes it."""

import pickle
from types import SimpleNamespace

import pytest

from recbole_samrec.tune.shared_data import make_reader, share_data_set


@pytest.mark.parametrize(
    "names, shared",
    [
        (["learning_rate", "sam_rho"], True),
        ([], True),
        (["learning_rate", "MAX_ITEM_LIST_LENGTH"], False),
        (["user_inter_num_interval"], False),
        (["item_attribute"], False),
        (["keep_na_tokens"], False),
    ],
)
def test_share_data_set__unless_a_setting_changes_it(names, shared):
    assert share_data_set(names) is shared


def test_make_reader__gives_each_trial_a_data_set_of_its_own():
    read = make_reader(pickle.dumps(SimpleNamespace(events=[1, 2], config=None)))
    first, second = read("one"), read("two")
    first.events.append(3)
    assert (first.config, second.config, second.events) == ("one", "two", [1, 2])
