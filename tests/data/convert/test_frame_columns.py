"""Columns of a user's table become exactly the expected cells, or one clear error."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.utils.errors import DataError
from tests.helpers.stored import BASE, column, store


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([1.0, np.nan, 2, 3], ["1", "", "2", "3"]),
        (pd.array([2**60 + 1, None, 1, 2], dtype="Int64"), [str(2**60 + 1), "", "1", "2"]),
        ([2**63 + 1, 1, 2, 3], [str(2**63 + 1), "1", "2", "3"]),
        (pd.Categorical([3, 3, 4, 4]), ["3", "3", "4", "4"]),
        ([Decimal(2**60), Decimal(2**60 + 1), None, Decimal("3.00")], [str(2**60), str(2**60 + 1), "", "3"]),
        (["NA", "", None, " x "], ["NA", "", "", " x "]),
        (np.array([1, 2, 3, 4], dtype="uint8"), ["1", "2", "3", "4"]),
    ],
)
def test_convert_ids__writes_them_exactly(own_folder, values, written):
    assert column("u", values, 0) == written


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.5, 2, 3, 4], "row 0 .* column u: 1.5 is not an id: ids are integers or text"),
        ([1, np.inf, 3, 4], "row 1 .* column u: inf is not an id"),
        ([2.0**60, 1, 2, 3], r"row 0 .*, column u: 1\.15\S+ is not an id"),
        ([2.0**53, 1, 2, 3], r"row 0 .*, column u: 9007199254740992\.0 is not an id"),
        ([Decimal("1.5"), 1, 2, 3], r"row 0 .*, column u: 1\.5 is not an id"),
        ([Decimal(2**64), 1, 2, 3], r"row 0 .*, column u: 1\.8\S+ is not an id"),
        ([1, "1", 2, 3], "column u: its values cannot be read as one type"),
        ([None] * 4, "column u: no row has an id"),
        ([True] * 4, "column u: ids are integers or text, and these have type bool"),
        ([b"a"] * 4, "these have type binary"),
        ([dt.date(2020, 1, 1)] * 4, "these have type date"),
        (["a", "b\nc", "d", "e"], "row 1 .*'b.*c' is not a text in one line"),
        (["a", "b", "c\0", "e"], "row 2 .* is not a text in one line"),
    ],
)
def test_convert_ids__refuses_others(own_folder, values, words):
    with pytest.raises(DataError, match=words):
        store(BASE.assign(u=pd.Series(values, dtype=object) if "1" in values else values))


HALF = pd.to_datetime(["2020-01-01", "2020-01-02T00:00:00.5", "2021-01-01", "2021-01-01"], format="ISO8601")
DATES = [
    (HALF, ["1577836800.0", "1577923200.5", "1609459200.0", "1609459200.0"]),
    (HALF.floor("s").tz_localize("Europe/Berlin"), ["1577833200", "1577919600", "1609455600", "1609455600"]),
    ([dt.date(1970, 1, 2)] * 4, ["86400"] * 4),
    (["1970-01-01T00:00:30Z", "1970-01-01T02:00:00+02:00", "1970-01-02", "1969-12-31"], ["30", "0", "86400", "-86400"]),
    ([dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-5)))] * 4, ["1577854800"] * 4),
]


@pytest.mark.parametrize(("values", "written"), DATES)
def test_convert_event_times__dates_become_unix_seconds(own_folder, values, written):
    stored, lines = store(BASE.assign(t=values))
    assert [line.split("\t")[2] for line in lines[1:]] == written
    assert "t contains dates, which became Unix seconds" in stored.notes[0]


def test_convert_event_times__notes_those_below_microseconds(own_folder):
    stored, lines = store(BASE.assign(t=pd.to_datetime([1, 1999, 2000, 3000], unit="ns")))
    assert [line.split("\t")[2] for line in lines[1:]] == ["0.0", "1e-06", "2e-06", "3e-06"]
    assert "t is finer than a microsecond" in stored.notes[1]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([10, 2**53 + 1, -3, 0], ["10", str(2**53 + 1), "-3", "0"]),
        ([0.1, 1e9, 1577836800.123456, 2], ["0.1", "1000000000.0", "1577836800.123456", "2.0"]),
        (["1", "2.5", "3", "4"], ["1.0", "2.5", "3.0", "4.0"]),
    ],
)
def test_convert_event_times__keeps_numbers(own_folder, values, written):
    assert column("t", values, 2) == written


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, np.nan, np.nan, 4], r"row 1 \(the first is 0\), column t: nothing is not a time: .*\(2 such rows\)"),
        (pd.array([1, 2, None, 4], dtype="Int64"), "row 2 .*nothing is not a time"),
        (HALF.where([True, True, True, False]), "row 3 .*nothing is not a time"),
        ([1, 2, np.inf, 4], "row 2 .*inf is not a finite time"),
        (["1", "inf", "3", "4"], "row 1 .*'inf' is not a finite time"),
        (["1", "yesterday", "3", "4"], "row 1 .*'yesterday' is not a number like the other times"),
        (["2020-01-01", "yesterday", "2020-01-01", "2020-01-01"], "row 1 .*'yesterday' is not a number or an ISO date"),
        ([True] * 4, "times are numbers or dates, and these have type bool"),
        (pd.to_timedelta([1, 2, 3, 4]), "these have type duration"),
        (pd.period_range("2020", periods=4), "these have type extension"),
    ],
)
def test_convert_event_times__refuses_others(own_folder, values, words):
    with pytest.raises(DataError, match=words):
        store(BASE.assign(t=values))


def test_convert_further__refuses_integers_that_floats_round(own_folder):
    assert store(BASE.assign(x=[2**53, 1, 2, 3]), load_col={"inter": "*"})[1][1].endswith("\t9007199254740992.0")
    words = r"^the frame, column x: it has an integer beyond 2\*\*53"
    with pytest.raises(DataError, match=words):
        store(BASE.assign(x=[2**53 + 1, 1, 2, 3]), load_col={"inter": "*"})
