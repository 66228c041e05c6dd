"""The events after RecBole's filters, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.data.validate.filters import (
    EventFilter,
    Filters,
    IdTable,
    Step,
    is_permitted,
    is_within,
    parse_intervals,
)
from recbole_samrec.data.validate.layout import Layout

EVENTS = pd.DataFrame(
    {
        "user_id": ["a", "a", "a", "b", "b", "c", None],
        "item_id": ["x", "y", "x", "x", "z", "y", "x"],
        "timestamp": [3.0, 1.0, 2.0, 1.0, 2.0, 5.0, 6.0],
        "rating": [5.0, 1.0, np.nan, 4.0, 3.0, 2.0, 5.0],
    }
)


def left(filters, items=None, layout=None):
    """The steps of the filters, and the remaining rows."""
    layout = layout or Layout()
    tables = IdTable("user_id", EVENTS["user_id"], None), IdTable("item_id", EVENTS["item_id"], items)
    events = EventFilter(EVENTS, *tables, layout, EVENTS["timestamp"])
    events.apply(filters)
    return events.steps, np.flatnonzero(events.kept).tolist()


def test_filters__of_settings_and_of_benchmark_files():
    fields = {"rm_dup_inter": "first", "val_interval": {"rating": "[3,inf)"}, "user_inter_num_interval": "[2,inf)"}
    assert Filters.from_settings(fields) == Filters("first", {"rating": "[3,inf)"}, True, "[2,inf)", None)
    assert not Filters.from_settings({"filter_inter_by_user_or_item": False}).drop_unlisted
    assert Filters.from_settings(fields | {"benchmark_filename": ["train"]}) == Filters(drop_unlisted=False)


def test_event_filter__drops_rows_without_ids():
    steps, rows = left(Filters())
    assert steps == [Step("file", 3, 3, 7), Step("rows without user or item", 3, 3, 6)] and rows == [0, 1, 2, 3, 4, 5]
    assert left(Filters(), layout=Layout(benchmark=("train",)))[1] == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("keep, rows", [("first", [1, 2, 3, 4, 5]), ("last", [0, 1, 3, 4, 5])])
def test_event_filter__keeps_the_first_or_last_in_time(keep, rows):
    steps, found = left(Filters(duplicates=keep))
    assert found == rows and steps[-1] == Step(f"rm_dup_inter={keep}", 3, 3, 5)


def test_event_filter__keeps_permitted_values():
    steps, rows = left(Filters(values={"rating": "[3,inf)"}))
    assert rows == [0, 3, 4] and steps[-1] == Step("val_interval of rating", 2, 2, 3)


def test_event_filter__drops_items_without_a_row():
    items = pd.DataFrame({"item_id": ["x", "y", "x", None, "q"], "price": [1.0, 9.0, 2.0, 3.0, 4.0]})
    steps, rows = left(Filters(), items)
    assert rows == [0, 1, 2, 3, 5] and steps[-1] == Step("rows in .item", 3, 2, 5)
    assert left(Filters(drop_unlisted=False), items)[1] == [0, 1, 2, 3, 4, 5]
    assert left(Filters(values={"price": "[0,5]"}), items)[1] == [0, 2, 3]


def test_event_filter__repeats_counts_until_all_have_enough():
    steps, rows = left(Filters(user_count="[2,inf)", item_count="[2,inf)"))
    # c has one event and z one; without them y has one and b one; without these a has two events of x.
    assert rows == [0, 2]
    assert steps[-1] == Step("user_inter_num_interval=[2,inf), item_inter_num_interval=[2,inf)", 1, 1, 2)


def test_event_filter__skips_the_interval_that_permits_all():
    assert len(left(Filters(user_count="[0,inf)"))[0]) == 2


def test_id_table__numbers_ids_and_rows():
    table = IdTable("user_id", EVENTS["user_id"], pd.DataFrame({"user_id": ["c", "q", "c", "a"]}))
    assert table.codes.tolist() == [0, 0, 0, 1, 1, 2, -1] and table.ids.tolist() == ["a", "b", "c"]
    assert table.numbers.tolist() == [2, -1, 0] and table.listed.tolist() == [True, False, True]
    table.keep_rows(np.array([False, True, True]))
    assert table.listed.tolist() == [True, False, False]


def test_parse_intervals__of_open_and_closed_ends():
    assert parse_intervals("[1,3); (5, inf)") == [("[", 1, 3, ")"), ("(", 5, float("inf"), ")")]


@pytest.mark.parametrize(
    "text, found", [("[1,3)", [1, 2]), ("(1,3]", [2, 3]), ("[0,1];(3,inf)", [0, 1, 4]), ("(1,2)", []), ("[2,2]", [2])]
)
def test_is_within__of_ends_and_of_several_intervals(text, found):
    values = np.array([0, 1, 2, 3, 4, np.nan])
    assert values[is_within(values, parse_intervals(text))].tolist() == found


def test_is_permitted__of_tokens_and_numbers():
    assert is_permitted(pd.Series(["a", "b", None]), ["b"]).tolist() == [False, True, False]
    assert is_permitted(pd.Series([1.0, 3.0]), "(1,3]").tolist() == [False, True]
