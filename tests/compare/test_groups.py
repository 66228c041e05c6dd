import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare.groups import build_group_table, divide_events, label_groups
from recbole_samrec.evaluator.user_metrics import AT_ONCE, ONE_BY_ONE
from recbole_samrec.experiments.results import Run
from tests.helpers.compared import make_clustered


def test_divide_events_makes_groups_of_equal_size():
    groups = divide_events(np.random.default_rng(0).permutation(100))
    assert groups.sizes == [25, 25, 25, 25]
    assert groups.bounds == [(0, 24), (25, 49), (50, 74), (75, 99)]


def test_divide_events_keeps_equal_values_together():
    groups = divide_events(np.array([3] * 60 + [4] * 20 + [5] * 10 + [9] * 10))
    assert groups.bounds == [(3, 3), (4, 4), (5, 9)]
    assert groups.sizes == [60, 20, 20]
    assert divide_events(np.full(7, 2)).bounds == [(2, 2)]


def test_divide_events_puts_each_event_within_its_bounds():
    values = np.random.default_rng(1).geometric(0.05, 500)
    groups = divide_events(values)
    assert sum(groups.sizes) == 500
    for value, code in zip(values, groups.codes, strict=True):
        assert groups.bounds[code][0] <= value <= groups.bounds[code][1]
    tops, bottoms = [high for _, high in groups.bounds], [low for low, _ in groups.bounds]
    assert all(top < bottom for top, bottom in zip(tops, bottoms[1:], strict=False))


def run(row: str, seed: int, rank: list[int]) -> Run:
    ranks = {"rank": rank, "masked_rank": [1] * 8, "history": [5, 5, 6, 6, 7, 7, 1200, 1300], "popularity": [0] * 8}
    return Run(row, "tiny", seed, 1.0, {}, pd.DataFrame(ranks), "hash")


@pytest.fixture
def table():
    runs = [run("SAMRec", 1, [1, 1, 1, 99, 99, 99, 1, 1]), run("SAMRec", 2, [1, 99, 1, 99, 99, 99, 1, 1])]
    return build_group_table([*runs, run("Pop", 1, [99] * 8)])


def test_group_table_has_metrics_of_groups(table):
    users = table[(table["kind"] == "history") & (table["entry"] == "SAMRec")]
    assert users["hr@10_mean"].tolist() == [0.75, 0.5, 0, 1]
    assert users["hr@10_std"].tolist() == [pytest.approx(np.std([1, 0.5], ddof=1)), 0, 0, 0]
    assert users[["low", "high", "events", "seeds"]].to_numpy().tolist() == [
        [5, 5, 2, 2],
        [6, 6, 2, 2],
        [7, 7, 2, 2],
        [1200, 1300, 2, 2],
    ]


def test_group_table_averages_to_the_mean_over_users(table):
    for kind in ("history", "popularity"):
        part = table[(table["kind"] == kind) & (table["entry"] == "SAMRec")]
        assert np.average(part["hr@10_mean"], weights=part["events"]) == pytest.approx((5 / 8 + 4 / 8) / 2)


def test_label_groups_names_bounds_and_size(table):
    labels = label_groups(table[table["kind"] == "history"])
    assert labels[1] == ("5", "n = 2")
    assert labels[4] == ("1,200\N{EN DASH}1,300", "n = 2")


def test_group_table_masks_the_history():
    table = build_group_table([run("Pop", 1, [99] * 8)], masked=True)
    assert (table["ndcg@10_mean"] == 1).all()


def test_build_group_table__averages_events_within_users():
    """Three users; the popularity of the events is 0 to 5, so that the second half has events of two users."""
    table = build_group_table([make_clustered("A", ONE_BY_ONE)], metrics=["hr@2"], parts=2)
    part = table[table["kind"] == "popularity"].set_index("group")
    assert part["events"].tolist() == [3, 3]
    assert part["hr@2_mean"].tolist() == pytest.approx([1 / 3, (1 + 0) / 2])
    (whole,) = table[table["kind"] == "history"]["hr@2_mean"]
    assert whole == pytest.approx((1 / 3 + 1 + 0) / 3)
    at_once = build_group_table([make_clustered("A", AT_ONCE)], metrics=["hr@2"], parts=2)
    assert at_once[at_once["kind"] == "history"]["hr@2_mean"].tolist() == pytest.approx([(1 + 1 + 0) / 3])
