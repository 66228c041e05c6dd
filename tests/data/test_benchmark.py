"""Benchmark files: events for validation, padding in lists, and errors that name a setting."""

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.data.benchmark import Lists, check_parts, hold_out_last, make_list_error, remove_padding
from recbole_samrec.utils.errors import ConfigError, DataError


def lists(*cells):
    return pd.Series([np.array(cell.split(), dtype=object) for cell in cells], dtype=object)


def joined(column):
    return [" ".join(cell) for cell in column]


@pytest.mark.parametrize("parts", [["train"], ["a", "b", "c", "d"], [], "train"])
def test_check_parts__names_the_setting(parts):
    with pytest.raises(ConfigError, match=r"benchmark_filename=.*\['train', 'test'\]"):
        check_parts(parts)


def test_check_parts__accepts_two_and_three():
    for parts in (None, ["train", "test"], ("a", "b", "c")):
        check_parts(parts)


ROWS = pd.DataFrame(
    {
        "user": ["a", "b", "a", "a", "b", "c", "a", "c"],
        "item": ["1", "2", "3", "4", "5", "6", "7", "8"],
        "time": [5.0, 1.0, 9.0, 7.0, 1.0, 3.0, 10.0, 9.0],
    }
)


def test_hold_out_last__takes_the_latest_event():
    """Of user a it is item 3; b's two events have one time, so that the lower line counts; c has a single event."""
    order, sizes = hold_out_last(ROWS, 6, "user", "time", None)
    assert ROWS["item"][order].tolist() == ["1", "2", "4", "6", "3", "5", "7", "8"]
    assert sizes == [4, 2, 2]


def test_hold_out_last__takes_the_longest_list_among_equal_times():
    rows = ROWS.assign(lists=lists("x", "x y", "x y z", "x y", "x", "x", "w", "w"))
    order, _ = hold_out_last(rows, 6, "user", "time", "lists")
    assert rows["item"][order].tolist()[4:6] == ["2", "3"]
    order, _ = hold_out_last(rows, 6, "user", "not loaded", "lists")
    assert rows["item"][order].tolist()[4:6] == ["2", "3"]


def test_hold_out_last__takes_the_lowest_line_without_times():
    order, _ = hold_out_last(ROWS, 6, "user", None, None)
    assert ROWS["item"][order].tolist()[4:6] == ["4", "5"]


def test_hold_out_last__needs_a_user_with_two_events():
    with pytest.raises(DataError, match="name a third file"):
        hold_out_last(ROWS.drop_duplicates("user"), 3, "user", "time", None)


SETTINGS = {"model": "SASRec", "load_col": {"inter": ["user_id", "item_id"]}}


@pytest.mark.parametrize(
    ("columns", "more", "words"),
    [
        (["user_id", "item_id"], {}, "has no column item_id_list.*LIST_SUFFIX"),
        (["item_id_list"], {}, r"--load_col=\"{'inter': \['user_id', 'item_id', 'item_id_list'\]}\""),
        (["item_id_list"], {"load_col": None, "unload_col": {"inter": ["item_id_list"]}}, "unload_col leaves out"),
    ],
)
def test_make_list_error__names_the_setting(columns, more, words):
    with pytest.raises(DataError, match=words):
        raise make_list_error("item_id_list", "x.train.inter", columns, SETTINGS | more)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["a 0 0", "a b 0"], True),
        (["0 0 a", "0 a b"], True),
        (["0 0 0", "a 0 0"], True),
        (["0 a", "0 a b", "c"], False),  # somebody's first item
        (["a 0 b", "a 0 0"], False),
        (["a", "a b"], False),
    ],
)
def test_lists_is_padding__needs_a_run_at_an_end(cells, expected):
    assert Lists(lists(*cells)).is_padding("0") is expected


@pytest.mark.parametrize("token", ["0", "-1", "[PAD]", "<pad>", "nan", "NULL"])
def test_remove_padding__removes_it_from_parallel_lists(token):
    rows = pd.DataFrame({"items": lists(f"a {token} {token}", "a b c", f"{token} b a", f"{token} {token} {token}")})
    rows["times"] = lists("1 0 0", "1 2 3", "0 7 8", "0 0 0")
    rows["other"] = lists("x", "y", "z", "w")
    remarks = remove_padding(rows, "items", ["times", "other"], {"a", "b", "c"})
    assert joined(rows["items"]) == ["a", "a b c", "b a", ""]
    assert joined(rows["times"]) == ["1", "1 2 3", "7 8", ""]
    assert joined(rows["other"]) == ["x", "y", "z", "w"]
    assert len(remarks) == 1 and f"removed '{token}', which fills up 3 lists of items" in remarks[0]


def test_remove_padding__keeps_items():
    cells = ["a 0 0", "a b 0"]
    rows = pd.DataFrame({"items": lists(*cells)})
    assert "if it fills them up, remove it" in remove_padding(rows, "items", [], {"a", "b", "0"})[0]
    assert joined(rows["items"]) == cells
    rows = pd.DataFrame({"items": lists("x", "x x x")})
    assert remove_padding(rows, "items", [], {"a"}) == []
