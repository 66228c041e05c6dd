"""Splits at one time for all users equal an independent computation, row for row."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.data.find import find_dataset
from recbole_samrec.data.temporal_options import TemporalOptions
from recbole_samrec.data.temporal_split import are_positions, convert_cut, find_quantile, split_events
from recbole_samrec.utils.errors import DataError
from tests.helpers.temporal import split_by_pandas, tied_events

CHOICES = list(product(("last", "first", "random", "successive"), ("by_time", "last_train_item"), ("keep", "drop")))


def split_frame(frame, options, **sizes):
    return split_events(*(frame[name].to_numpy() for name in ("user", "item", "time")), options, **sizes)


def find_histories(part):
    starts = zip(part.starts, part.targets, strict=True)
    return {int(part.events[target]): part.events[start:target].tolist() for start, target in starts}


def assert_equal_to_pandas(frame, options):
    users = int(frame["user"].max()) + 1
    split = split_frame(frame, options, n_users=users)
    truth = split_by_pandas(frame, options, np.random.default_rng(options.split_seed).random(users))
    assert sorted(split.train.events) == truth["train"]
    assert find_histories(split.valid) == truth["valid"]
    assert find_histories(split.test) == truth["test"]
    for part in (split.train, split.valid, split.test):
        assert set(np.flatnonzero(part.candidates)) == truth["candidates"]
    own = frame.loc[truth["train"]]
    histories = {row: rows for row, rows in find_histories(split.train).items() if rows}
    ordered = own.sort_values("time", kind="stable").groupby("user")
    assert histories == {
        rows[n]: rows[:n] for _, one in ordered for rows in [list(one.index)] for n in range(1, len(rows))
    }
    return split, truth


@pytest.mark.parametrize(("target", "validation", "unseen"), CHOICES)
def test_split_events__equals_pandas_with_ties(target, validation, unseen):
    items = {"keep": "drop", "drop": "keep"}[unseen]
    for seed in range(4):
        options = TemporalOptions(
            quantile=0.6, target=target, validation=validation, unseen_users=unseen, unseen_items=items
        )
        assert_equal_to_pandas(tied_events(seed), options)
        options = TemporalOptions(target=target, cut=1_500_000_000 + 86_400 * 20, unseen_items=items)
        assert_equal_to_pandas(tied_events(seed), options)


@pytest.mark.parametrize("validation", ["by_time", "last_train_item"])
def test_split_events__equals_pandas_on_ml_100k(validation, tmp_path):
    file = find_dataset("ml-100k", tmp_path) / "ml-100k.inter"
    raw = pd.read_csv(file, sep="\t", usecols=range(4)).set_axis(["user", "item", "rating", "time"], axis=1)
    options = TemporalOptions(target="successive", validation=validation)
    split, truth = assert_equal_to_pandas(raw, options)
    counts = split.counts
    assert counts.late_users == 166 and counts.early_events == 90_000 and counts.single_event_users == 1
    assert (
        counts.test_targets == len(truth["test"])
        and counts.test_users == raw.loc[list(truth["test"]), "user"].nunique()
    )
    assert counts.train_events == len(truth["train"]) and counts.candidates == len(truth["candidates"])


def test_split_events__worked_out_by_hand():
    #        user item time; the 0.75 quantile of 9 times is the seventh, 70
    lines = [(0, 0, 10), (0, 1, 20), (1, 1, 30), (1, 0, 40), (0, 1, 50), (2, 0, 60), (1, 1, 70), (2, 3, 80), (2, 0, 90)]
    frame = pd.DataFrame(lines, columns=["user", "item", "time"])
    options = TemporalOptions(quantile=0.75, validation_quantile=0.5, target="successive")
    split = split_frame(frame, options)
    assert split.counts.cut == 70 and split.counts.validation_cut == 40
    assert sorted(split.train.events) == [0, 1, 2, 3]  # user 2 has a single event up to 70
    assert find_histories(split.valid) == {4: [0, 1], 6: [2, 3]}
    assert find_histories(split.test) == {8: [5]}  # item 3 was never trained on
    kept = split_frame(frame, TemporalOptions(quantile=0.75, unseen_items="keep", target="successive"))
    assert find_histories(kept.test) == {7: [5], 8: [5, 7]}
    final = split_events(*frame.to_numpy().T, options, final=True)
    assert sorted(final.train.events) == [0, 1, 2, 3, 4, 6] and not len(final.valid.targets)


def test_split_events__draws_apart_from_other_users():
    frame = tied_events(3)
    found = []
    for unseen in ("keep", "drop"):
        options = TemporalOptions(quantile=0.5, target="random", unseen_users=unseen, split_seed=7)
        found.append(find_histories(split_frame(frame, options).test))
    both, fewer = found
    assert fewer and fewer.items() < both.items()
    other = TemporalOptions(quantile=0.5, target="random", split_seed=8)
    assert find_histories(split_frame(frame, other).test) != both


def test_split_events__puts_events_at_a_cut_in_the_test():
    frame = pd.DataFrame({"user": [0, 0, 0, 1, 1, 1], "item": [0, 1, 0, 1, 0, 1], "time": [1, 2, 3, 1, 2, 3]})
    frame["time"] += 10**9
    for cut in (10**9 + 3, "2001-09-09T01:46:43"):
        options = TemporalOptions(cut=cut, validation="last_train_item")
        assert sorted(split_frame(frame, options).test.events[split_frame(frame, options).test.targets]) == [2, 5]


def test_find_quantile__is_exact_for_large_times():
    times = np.array([2**62 + n for n in range(11)])
    assert find_quantile(times, 0.9)[0] == 2**62 + 9
    assert find_quantile(times, 0.95)[0] == 2**62 + 9
    assert find_quantile(np.array([1.0, 2.0, 4.0]), 0.75) == (2.0, 3.0)
    draw = np.random.default_rng(0)
    for _ in range(20):
        times, share = draw.integers(0, 50, draw.integers(1, 30)), float(draw.choice([0.1, 0.25, 0.5, 0.9]))
        below, value = find_quantile(times, share)
        assert value == pytest.approx(pd.Series(times).quantile(share))
        assert (times <= below).sum() == (times <= value).sum()


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_convert_cut__takes_dates_in_the_unit_of_the_data(unit):
    assert convert_cut("2018-01-01", 1_600_000_000 * unit) == 1_514_764_800 * unit
    assert convert_cut("2018-01-01T01:00:00+01:00", 1_600_000_000 * unit) == 1_514_764_800 * unit
    assert convert_cut("2018-01-01T00:00:00.5", 1_600_000_000 * unit) == 1_514_764_800 * unit + unit / 2
    with pytest.raises(DataError, match="are not Unix times"):
        convert_cut("2018-01-01", 300)


def test_convert_cut__is_exact_to_the_microsecond():
    cut = convert_cut("2021-03-04T05:06:07.123457", 1_600_000_000 * 10**9)
    assert isinstance(cut, int) and cut == 1_614_834_367_123_457_000


def test_are_positions__finds_times_of_each_user_alone():
    users = np.repeat(np.arange(6), 5)
    positions = np.tile(np.arange(5), 6)
    assert are_positions(users, positions) and are_positions(users, positions + 1.0)
    kept = np.delete(np.arange(30), [3, 11])
    assert are_positions(users[kept], positions[kept])  # a filter left gaps
    again = np.append(users, 2), np.append(positions, 3)  # a line that occurs twice
    assert are_positions(*again) and not are_positions(*(np.append(column, column[:2]) for column in again))
    assert not are_positions(users, np.arange(30)) and not are_positions(users, positions // 2)
    frame = pd.DataFrame({"user": users, "item": users, "time": positions})
    with pytest.raises(DataError, match="positions"):
        split_frame(frame, TemporalOptions())
    split_frame(frame, TemporalOptions(cut=4))
