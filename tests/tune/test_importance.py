"""The importance of parameters equals that of a known formula of the scores."""

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.tune import importance
from tests.helpers.trials import DROPOUT, PARAMETERS, RATE, failed, trials


@pytest.fixture
def quick(monkeypatch):
    """Split the trials into quarters once, for tests that need no exact estimate."""
    monkeypatch.setattr(importance, "REPEATS", 1)


def test_importance__is_all_of_the_parameter_that_decides():
    shares = importance.importance(trials(60), PARAMETERS).set_index("parameter")
    assert shares.index[0] == "learning_rate"
    assert 0.85 < shares.loc["learning_rate", "importance"] < 1.15
    assert (shares["importance"].iloc[1:] < 0.02).all()
    assert tuple(shares.loc["loss_type"]) == (0, 0)


def test_importance__is_shared_by_parameters_that_add_up():
    table = trials(200)
    ranks = table[["learning_rate", "hidden_dropout_prob"]].rank()
    table["score"] = 2 * ranks["learning_rate"] - ranks["hidden_dropout_prob"]  # variances 4 : 1
    shares = importance.importance(table, [DROPOUT, RATE]).set_index("parameter")["importance"]
    assert shares["learning_rate"] == pytest.approx(0.8, abs=0.15)
    assert shares["hidden_dropout_prob"] == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize("name", ["hidden_act", "augs"])
def test_importance__covers_categories_and_lists(quick, name):
    table = trials()
    table["score"] = table[name].map(str).rank() + np.linspace(0, 0.1, len(table))
    assert importance.importance(table, PARAMETERS)["parameter"][0] == name


def test_importance__depends_on_the_order_of_scores_and_the_seed(quick):
    table = trials()
    first = importance.importance(table, PARAMETERS, seed=3)
    pd.testing.assert_frame_equal(first, importance.importance(table, PARAMETERS, seed=3))
    assert not first.equals(importance.importance(table, PARAMETERS, seed=4))
    collapsed = table.assign(score=table["score"].where(table["score"] > table["score"].min(), -1e6))
    pd.testing.assert_frame_equal(first, importance.importance(collapsed, PARAMETERS, seed=3))


def test_importance__counts_early_stopped_and_no_failed_trials(quick):
    table = trials(10)
    extra = failed(trials(3, seed=1), 0, 1, 2)
    both = pd.concat([table, extra.assign(score=[99.0, np.nan, np.nan])], ignore_index=True)
    pd.testing.assert_frame_equal(importance.importance(both, PARAMETERS), importance.importance(table, PARAMETERS))
    assert len(importance.select_scored(both)) == 10


@pytest.mark.parametrize("table", [trials(7), failed(trials(8), 0), trials(20).assign(score=0.1), trials(0)])
def test_importance__needs_eight_trials_and_two_scores(table):
    shares = importance.importance(table, PARAMETERS)
    assert list(shares.columns) == ["parameter", "importance", "spread"]
    assert shares.empty


def test_find_categories__are_in_order_where_they_have_one():
    places, names = importance.find_categories(pd.Series([16, 2, 16, 8]))
    assert places.tolist() == [2, 0, 2, 1] and names == [2, 8, 16]
    places, names = importance.find_categories(pd.Series([None, "a", [1]]))
    assert sorted(places) == [0, 1, 2] and [names[int(place)] for place in places] == [None, "a", [1]]


def test_encode_values__takes_logarithms_of_logarithmic_ones():
    values = pd.Series([0.001, 0.1])
    assert importance.encode_values(values, RATE).tolist() == pytest.approx([-3, -1])
    assert importance.encode_values(values, DROPOUT).tolist() == [0.001, 0.1]
