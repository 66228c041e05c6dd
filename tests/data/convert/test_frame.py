"""A user's table becomes exactly the expected lines, or one clear error; nothing is dropped or changed silently."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.data.convert.frame import Roles, store_table
from recbole_samrec.data.id_types import ORIGIN
from recbole_samrec.utils.errors import DataError
from tests.helpers.stored import BASE, ROLES, store


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
