"""RecentPop: events in the last days of the training part, counted by hand."""

import logging

import numpy as np
import pytest

from recbole_samrec.model.recentpop import compute_ages, find_other_unit, weigh_events
from recbole_samrec.utils.errors import ConfigError, DataError
from tests.helpers.history_scores import LAST_TWO
from tests.helpers.tiny import build, make_config, write_events

DAY = 86400
TIMES = [
    *(("a", item, day) for item, day in (("i1", 0), ("i2", 5), ("i3", 90), ("i4", 91))),
    *(("b", item, day) for item, day in (("i1", 1), ("i1", 9), ("i2", 10), ("i3", 95), ("i2", 96))),
    *(("c", item, day) for item, day in (("i4", 8), ("i2", 97), ("i1", 98))),
]
"""Events with days; each user's last two are validation and test, so the last training event is on day 10."""


def popularity(folder, per_day=DAY, **settings):
    """The popularity of i1 to i4 in a model."""
    write_events(folder, "tiny", [(user, item, day * per_day) for user, item, day in TIMES])
    settings = {"eval_args": LAST_TWO, "repeatable": True, "topk": [1], "valid_metric": "Hit@1", **settings}
    (train_data, *_), network, _ = build(make_config("RecentPop", folder, **settings))
    return network.popularity[train_data.dataset.token2id("item_id", ["i1", "i2", "i3", "i4"])].tolist()


def test_recentpop__counts_the_last_days_of_training(tmp_path):
    assert popularity(tmp_path, recent_days=30.0) == [3, 2, 0, 1]
    assert popularity(tmp_path, recent_days=5.0) == [1, 2, 0, 1]  # the event on day 5 counts: both ends are included
    assert popularity(tmp_path, recent_days=1.5) == [1, 1, 0, 0]


@pytest.mark.parametrize(("unit", "per_day"), [("s", DAY), ("ms", DAY * 1000), ("day", 1)])
def test_recentpop__decays_by_half_lives(tmp_path, unit, per_day):
    found = popularity(tmp_path, per_day, recency="decay", recent_days=2.0, time_unit=unit)
    ages = {"i1": [10, 9, 1], "i2": [5, 0], "i3": [], "i4": [2]}
    np.testing.assert_allclose(found, [sum(0.5 ** (age / 2) for age in of) for of in ages.values()], rtol=1e-5)


def test_recentpop__warns_if_everything_is_recent(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        popularity(tmp_path, recent_days=30.0)
    assert "all training events of tiny are within 30 days, so it ranks as Pop does" in caplog.text


def test_recentpop__ranks_all_users_alike(tmp_path):
    write_events(tmp_path, "tiny", [(user, item, day * DAY) for user, item, day in TIMES])
    settings = {"eval_args": LAST_TWO, "topk": [1, 2], "valid_metric": "Hit@1", "repeatable": True, "recent_days": 5.0}
    (train_data, valid_data, test_data), network, trainer = build(make_config("RecentPop", tmp_path, **settings))
    best, _ = trainer.fit(train_data, valid_data, saved=False, verbose=False)
    assert best == pytest.approx(1 / 3)  # c's validation item i2 is the most popular one
    assert trainer.evaluate(test_data, load_best_model=False)["hit@1"] == pytest.approx(1 / 3)  # and b's test item
    batch = test_data.dataset.inter_feat
    np.testing.assert_allclose(network.predict(batch), network.popularity[batch["item_id"]])


def test_compute_ages__rejects_wrong_units_and_missing_times():
    np.testing.assert_allclose(compute_ages(np.array([0, 86_400_000]), "ms", "x"), [1, 0])
    with pytest.raises(
        ConfigError, match="time_unit=s: the training events of x would span 1,000 years; choose another"
    ):
        compute_ages(np.array([0, 1000 * 365 * DAY]), "s", "x")
    with pytest.raises(DataError, match="some training events of x have no time"):
        compute_ages(np.array([0, np.nan]), "s", "x")


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_compute_ages__rejects_unix_times_in_another_unit(unit, per_second):
    """Thirty days of milliseconds span 82 years of seconds, which the span alone would let pass."""
    times = (1_700_000_000 + np.array([0, 30 * DAY])) * per_second
    np.testing.assert_allclose(compute_ages(times, unit, "x"), [30, 0])
    for other in {"s", "ms", "us", "ns", "day"} - {unit}:
        with pytest.raises(ConfigError, match=rf"^time_unit={other}: .* is a Unix time in {unit}; set time_unit to "):
            compute_ages(times, other, "x")


@pytest.mark.parametrize(
    ("first", "last", "unit", "found"),
    [
        (0, 98 * DAY * 1000, "ms", None),  # counted from the first event
        (0, 10**11, "s", "ms"),
        (0, 10**10, "s", None),
        (18_000, 20_000, "day", None),
        (0, 10**8, "day", "s"),
        (10**8, 10**9, "ms", "s"),
    ],
)
def test_find_other_unit__judges_by_size(first, last, unit, found):
    assert find_other_unit(first, last, unit) == found


def test_recentpop__requires_times(tmp_path):
    with pytest.raises(ConfigError, match="tiny is loaded without them; add timestamp to load_col"):
        popularity(
            tmp_path,
            load_col={"inter": ["user_id", "item_id"]},
            eval_args={"split": {"RS": [8, 1, 1]}, "order": "RO", "mode": "full"},
        )


def test_weigh_events__of_windows_and_decay():
    ages = np.array([0.0, 2.0, 4.0])
    assert weigh_events(ages, "window", 2.0).tolist() == [1, 1, 0]
    assert weigh_events(ages, "decay", 2.0).tolist() == [1, 0.5, 0.25]
