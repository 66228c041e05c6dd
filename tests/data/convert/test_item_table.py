"""A user's table of items becomes exactly the expected lines, or one clear error."""

import datetime as dt
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.data.convert.frame import Roles, store_table
from recbole_samrec.data.convert.item_table import read_items
from recbole_samrec.utils.errors import DataError

EVENTS = pd.Series(["1", "2", "2", "3", None])
ITEMS = pd.DataFrame({"sku": [1, 2, 3], "brand": ["a b", None, 'c"'], "price": [1, 2.5, np.nan]})


def read(items, kind="int64", **settings):
    return read_items(items, "sku", kind, EVENTS, settings)


def test_read_items__converts_numbers_text_and_lists():
    lists = {"tags": [["x", "y z"], [], None], "codes": [[1, 2], [3], []], "vector": [[0.5, 1.0], [2.0, 3.0], [4, 5]]}
    table = read(ITEMS.assign(**lists, new=[True, False, True], day=dt.date(2020, 1, 1)))
    lines = table.lines.to_csv(sep="\t", index=False).splitlines()
    assert lines == [
        "item_id:token\tbrand:token\tprice:float\ttags:token_seq\tcodes:token_seq\tvector:float_seq\tnew:float",
        "1\ta b\t1.0\tx y_z\t1 2\t0.5 1.0\t1.0",
        "2\t\t2.5\t\t3\t2.0 3.0\t0.0",
        '3\t"c"""\t\t\t\t4.0 5.0\t1.0',
    ]
    assert table.notes == (
        "items, column tags: ' ' within a value became '_' (1 values)",
        "items: left out: day; attributes are numbers, text, or lists of them",
    )


def test_read_items__has_exactly_the_items_of_events():
    table = read(pd.concat([ITEMS, ITEMS.assign(sku=[7, 8, 9])]).drop(index=0).reset_index(drop=True))
    assert list(table.lines["item_id:token"]) == ["2", "3", "1"]
    assert table.lines.iloc[2, 1:].isna().all() and table.lines["price:float"].dtype == float
    assert table.notes == (
        "items: 2 of 4 items are in no event and are left out",
        "items: 1 of 3 items of the events have no row; theirs is added, with empty attributes",
    )
    texts = read_items(ITEMS.astype({"sku": str}), "sku", "string", pd.Series(["1", "", None]), {})  # "" is no id
    assert list(texts.lines["item_id:token"]) == ["1"]


def test_read_items__reads_frames_and_files(tmp_path):
    polars = pytest.importorskip("polars")
    ITEMS.to_parquet(tmp_path / "items.parquet")
    wanted = read(ITEMS).lines
    for source in (polars.from_pandas(ITEMS), tmp_path / "items.parquet", ITEMS.rename(columns={"sku": "item_id"})):
        pd.testing.assert_frame_equal(read(source).lines, wanted, check_dtype=False)


def test_read_items__loads_the_columns_of_load_col():
    only = {"load_col": {"item": ["item_id", "price"]}}
    assert list(read(ITEMS, **only).lines) == ["item_id:token", "price:float"]
    every = {"load_col": {"item": "*"}, "ITEM_ID_FIELD": "product"}
    assert list(read(ITEMS, **every).lines) == ["product:token", "brand:token", "price:float"]


@pytest.mark.parametrize(
    "items, words",
    [
        (ITEMS.rename(columns={"sku": "id"}), "items has no column 'sku' with the items' ids: it has id, brand, price"),
        (ITEMS.assign(sku=[1, 2, 2]), "items, row 2 (the first is 0), column sku: 2 is not the id of another item"),
        (ITEMS.assign(sku=[1, None, 2]), "items, row 1 (the first is 0), column sku: nothing is not an id"),
        (ITEMS.assign(sku=["1", "2", "3"]), "items, column sku: its ids are text, and those of the events integers"),
        (ITEMS.assign(sku=[7, 8, 9]), "items: none of its items is in an event"),
        (ITEMS.assign(brand=["a\nb", "c", "d"]), "items, row 0 (the first is 0), column brand: 'a\\nb' is not a text"),
        (ITEMS.assign(tags=[["a", None], [], []]), "items, column tags: a list contains nothing as a value"),
        (Path("items.csv"), "items.csv: its name must end in .parquet"),
        ([1], "list: give a frame of pandas or polars"),
    ],
)
def test_read_items__refuses_with_one_line(items, words):
    with pytest.raises(DataError, match=f"^{re.escape(words)}"):
        read(items)


def test_read_items__refuses_integers_that_floats_round():
    words = r"^items, column shop: it has an integer beyond 2\*\*53, .*: leave the column out, or make it text"
    with pytest.raises(DataError, match=words):
        read(ITEMS.assign(shop=[1, 2**53 + 1, 3]))


def test_read_items__refuses_columns_of_load_col():
    for name, words in (("color", "has no column 'color'"), ("day", "column day: columns to load are numbers or text")):
        with pytest.raises(DataError, match=words):
            read(ITEMS.assign(day=dt.date(2020, 1, 1)), load_col={"item": ["item_id", name]})


def test_store_table__names_the_data_set_after_both_tables(own_folder):
    events = pd.DataFrame({"u": [1, 1, 2], "sku": [1, 2, 3], "t": [1, 2, 3]})

    def store(items=None):
        return store_table(events, Roles("u", "sku", "t"), {}, Path("dataset"), items).name

    plain, name = store(), store(ITEMS)
    file = Path("dataset", name, f"{name}.item")
    assert store(ITEMS) == name != plain and store(ITEMS.assign(price=0)) not in (name, plain) and store() == plain
    assert not Path("dataset", plain, f"{plain}.item").exists() and len(file.read_text().splitlines()) == 4
    file.write_text("item_id:token\n")
    with pytest.raises(DataError, match=rf"^{file} has changed since it was written"):
        store(ITEMS)
