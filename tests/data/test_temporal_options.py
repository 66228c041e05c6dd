"""Options of a global temporal split: their defaults, equality and times."""

from datetime import UTC, datetime

import pytest

from recbole_samrec.config.validate import check_eval_args
from recbole_samrec.data.temporal_options import TemporalOptions, complete_split, parse_cut, read_options, set_option
from recbole_samrec.utils.errors import ConfigError


def split(**options):
    return {"split": {"GTS": options}}


def test_from_settings__completes_the_options():
    assert TemporalOptions.from_settings({"quantile": 0.8}).validation_quantile == 0.8
    assert TemporalOptions.from_settings({"cut": "2018-01-01", "quantile": None}).validation_quantile == 0.9
    assert read_options({"split": {"LS": "valid_and_test"}}) is None and read_options(None) is None
    assert read_options({"split": {"GTS": None}}) == TemporalOptions()


def test_complete_split__makes_equal_splits_equal():
    one, other = ({"eval_args": split(**options)} for options in ({}, {"quantile": 0.9, "target": "last"}))
    assert complete_split(one) == complete_split(other) != complete_split({"eval_args": split(target="first")})
    both = [complete_split({"eval_args": split(target=name)}, with_target=False) for name in ("first", "random")]
    assert both[0] == both[1]
    seeds = [complete_split({"eval_args": split(split_seed=seed)}) for seed in (1, 2)]
    assert seeds[0] == seeds[1]  # nothing is drawn
    others = {"eval_args": {"split": {"LS": "valid_and_test"}}, "lr": 1}
    assert complete_split(others) == others
    assert set_option(split(quantile=0.5), "unseen_users", "drop") == split(quantile=0.5, unseen_users="drop")


def test_parse_cut__reads_numbers_and_dates_in_utc():
    assert parse_cut("5") == parse_cut(5) == 5 and parse_cut("1e9") == 1e9
    assert parse_cut("2018-01-01") == datetime(2018, 1, 1, tzinfo=UTC) == parse_cut("2018-01-01T02:00:00+02:00")
    with pytest.raises(ValueError, match="isoformat"):
        parse_cut("yesterday")


WRONG = [
    ({"quantile": 1.0}, "quantile=1.0: must be a number in"),
    ({"quantil": 0.9}, "unknown option quantil; did you mean quantile"),
    ({"target": "all"}, "target=all: must be one of last, first, random, successive"),
    ({"quantile": 0.9, "cut": 5}, "both a quantile and a cut"),
    ({"cut": "soon"}, "give a date such as 2018-01-01"),
    ({"cut": True}, "give a date such as 2018-01-01"),
    ({"split_seed": -1}, "split_seed=-1: must be a whole number"),
    ({"retrain": "yes"}, "retrain=yes: must be True or False"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_check_eval_args__names_the_wrong_option(options, words):
    with pytest.raises(ConfigError, match=words):
        check_eval_args(split(**options))


def test_check_eval_args__takes_every_option():
    check_eval_args(split(quantile=0.8, target="random", validation="last_train_item", split_seed=1, retrain=True))
    check_eval_args(split(cut="2018-01-01", validation_quantile=0.5, unseen_users="drop", unseen_items="keep"))


def test_describe__names_what_is_tested():
    words = TemporalOptions(target="successive", retrain=True).describe()
    assert "up to the 0.9 quantile" in words and "every later event" in words and "trained again" in words
    assert "before 2018-01-01" in TemporalOptions(cut="2018-01-01").describe()
