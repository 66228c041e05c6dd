"""A user's table becomes exactly the expected lines, or one clear error; nothing is dropped or changed silently."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.data.convert.frame import Roles, store_table
from recbole_samrec.data.id_types import ORIGIN
from recbole_samrec.utils.errors import DataError

ROLES = Roles("u", "i", "t")
BASE = pd.DataFrame({"u": [1, 1, 2, 2], "i": ["007", "7", "x", "7"], "t": [10, 20, 30, 40], "x": [0.5, np.nan, 1, 2]})


def store(frame, roles=ROLES, **settings):
    stored = store_table(frame, roles, settings, Path("dataset"))
    return stored, Path("dataset", stored.name, f"{stored.name}.inter").read_text(encoding="utf-8").splitlines()


def column(name, values, place):
    """A column of the stored table after one column of the frame is replaced."""
    return [line.split("\t")[place] for line in store(BASE.assign(**{name: values}))[1][1:]]


def test_store_table__writes_ids_times_and_named_columns(own_folder):
    stored, lines = store(BASE)
    assert lines == ["user_id:token\titem_id:token\ttimestamp:float", "1\t007\t10", "1\t7\t20", "2\tx\t30", "2\t7\t40"]
    assert stored.notes == ("the frame: not loaded: x; load_col names columns to load",)
    origin = json.loads(Path("dataset", stored.name, ORIGIN).read_text())
    assert origin["types"] == {"user_id": "int64", "item_id": "string"}
    assert origin["columns"] == {"user_id": "u", "item_id": "i", "timestamp": "t"}
    for load in (["user_id", "item_id", "timestamp", "x"], "*"):
        named, lines = store(BASE, load_col={"inter": load})
        assert lines[0].endswith("\tx:float") and [line.split("\t")[3] for line in lines[1:]] == [
            "0.5",
            "",
            "1.0",
            "2.0",
        ]
        assert named.notes == ()


def test_store_table__further_columns_are_numbers_or_text(own_folder):
    more = BASE.assign(flag=[True, False, True, True], kind=pd.Categorical(["a", None, "b", "a"]), n=[1, 2, 3, 4])
    lines = store(more, load_col={"inter": ["flag", "kind", "n"]})[1]
    assert lines[:3] == [
        "user_id:token\titem_id:token\ttimestamp:float\tflag:float\tkind:token\tn:float",
        "1\t007\t10\t1.0\ta\t1.0",
        "1\t7\t20\t0.0\t\t2.0",
    ]
    with pytest.raises(
        DataError, match="column lists: columns to load are numbers or text, and this one has type list"
    ):
        store(BASE.assign(lists=[[1], [2], [3], [4]]), load_col={"inter": "*"})
    with pytest.raises(DataError, match="column 'a:b' cannot be loaded under this name"):
        store(BASE.assign(**{"a:b": 1}), load_col={"inter": ["a:b"]})
    with pytest.raises(DataError, match="load_col: the column 'u' of the frame is loaded as 'user_id'"):
        store(BASE, load_col={"inter": ["u"]})
    assert "x:float" not in store(BASE, load_col={"inter": "*"}, unload_col={"inter": ["x"]})[1][0]


def test_store_table__one_name_for_one_content(own_folder):
    first = store(BASE)[0].name
    assert store(BASE.set_index("x"))[0].name == first  # columns that are not loaded do not matter
    others = [
        BASE.iloc[::-1],
        BASE.assign(t=BASE.t + 1),
        BASE.assign(u=BASE.u.astype(str)),
        BASE.astype({"u": "int32"}),
    ]
    assert len({store(one)[0].name for one in others} | {first}) == 5
    file = Path("dataset", first, f"{first}.inter")
    file.write_text(file.read_text() + "3\t7\t50\n")
    with pytest.raises(DataError, match="has changed since it was written: remove its folder"):
        store(BASE)
    assert sorted(path.name for path in Path("dataset").iterdir() if path.name.startswith(".")) == []


def test_store_table__fields_may_have_other_names(own_folder):
    named = BASE.rename(columns={"u": "user_id", "i": "sku", "t": "timestamp"})
    assert store(named, Roles(item="sku"))[1][0] == "user_id:token\titem_id:token\ttimestamp:float"
    settings = {"USER_ID_FIELD": "u", "ITEM_ID_FIELD": "i", "TIME_FIELD": "t"}
    assert store(BASE, Roles(), **settings)[1][0] == "u:token\ti:token\tt:float"
    assert store(BASE, Roles("u", "i"))[1][0] == "user_id:token\titem_id:token"  # general models may need no time


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        (Roles("uu", "i", "t"), r"no column 'uu': it has u, i, t, x; did you mean 'u'\?"),
        (Roles(None, "i", "t"), r"no column 'user_id': it has u, i, t, x; name the user column with user="),
        (Roles("u", "i", "when"), "no column 'when'"),
        (Roles("u", "u", "t"), "user, item and time are u, u, t: name different columns"),
    ],
)
def test_store_table__names_missing_columns(own_folder, roles, words):
    with pytest.raises(DataError, match=words):
        store(BASE, roles)
    assert not Path("dataset").exists()


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([1.0, np.nan, 2, 3], ["1", "", "2", "3"]),
        (pd.array([2**60 + 1, None, 1, 2], dtype="Int64"), [str(2**60 + 1), "", "1", "2"]),
        ([2**63 + 1, 1, 2, 3], [str(2**63 + 1), "1", "2", "3"]),
        (pd.Categorical([3, 3, 4, 4]), ["3", "3", "4", "4"]),
        (["NA", "", None, " x "], ["NA", "", "", " x "]),
        (np.array([1, 2, 3, 4], dtype="uint8"), ["1", "2", "3", "4"]),
    ],
)
def test_store_table__writes_ids_exactly(own_folder, values, written):
    assert column("u", values, 0) == written


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.5, 2, 3, 4], "row 0 .* column u: 1.5 is not an id: ids are integers or text"),
        ([1, np.inf, 3, 4], "row 1 .* column u: inf is not an id"),
        ([2.0**60, 1, 2, 3], r"row 0 .*, column u: 1\.15\S+ is not an id"),
        ([1, "1", 2, 3], "column u: its values cannot be read as one type"),
        ([None] * 4, "column u: no row has an id"),
        ([True] * 4, "column u: ids are integers or text, and these have type bool"),
        ([b"a"] * 4, "these have type binary"),
        ([dt.date(2020, 1, 1)] * 4, "these have type date"),
        (["a", "b\nc", "d", "e"], "row 1 .*'b.*c' is not a text in one line"),
        (["a", "b", "c\0", "e"], "row 2 .* is not a text in one line"),
    ],
)
def test_store_table__refuses_other_ids(own_folder, values, words):
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
def test_store_table__dates_become_unix_seconds(own_folder, values, written):
    stored, lines = store(BASE.assign(t=values))
    assert [line.split("\t")[2] for line in lines[1:]] == written
    assert "t contains dates, which became Unix seconds" in stored.notes[0]


def test_store_table__notes_times_below_microseconds(own_folder):
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
def test_store_table__keeps_numbers_as_times(own_folder, values, written):
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
def test_store_table__refuses_other_times(own_folder, values, words):
    with pytest.raises(DataError, match=words):
        store(BASE.assign(t=values))


def test_store_table__refuses_empty_and_doubled_columns(own_folder):
    with pytest.raises(DataError, match="the frame has no rows"):
        store(BASE.iloc[:0].astype({"i": "string"}))
    with pytest.raises(DataError, match="the frame has 2 columns 'u': rename or remove all but one"):
        store(pd.concat([BASE, BASE[["u"]]], axis=1))
    with pytest.raises(DataError, match="the frame has no column 'u': it has 0, 1, 2, 3"):
        store(pd.DataFrame(np.ones((4, 4))))


def test_store_table__a_full_disk_is_one_line(own_folder):
    Path("dataset").write_text("a file")
    with pytest.raises(DataError, match=r"^data_path=dataset: the folder cannot be written"):
        store_table(BASE, ROLES, {}, Path("dataset"))
