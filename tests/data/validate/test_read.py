"""Columns are read like RecBole reads them, and the line of the first invalid value is reported."""

import hashlib

import numpy as np
import pytest

from recbole_samrec.data.validate.layout import Column, Layout
from recbole_samrec.data.validate.read import check_columns, find_line, list_missing_words, read_csv, read_values
from recbole_samrec.utils.errors import DataError

TEXT = "item_id:token\tprice:float\tvector:float_seq\tname:token\n007\t1.5\t1 -2e3\tNA\n\nnull\t\t\tx\n"
COLUMNS = [
    Column(name, kind, f"{name}:{kind}")
    for name, kind in (("item_id", "token"), ("price", "float"), ("vector", "float_seq"), ("name", "token"))
]


@pytest.fixture
def write(tmp_path):
    def write(text=TEXT):
        (tmp_path / "toy.item").write_text(text)
        return tmp_path / "toy.item"

    return write


def test_list_missing_words__are_empty_cells_alone_for_text():
    words = list_missing_words(["id", "price"], {"id"})
    assert words["id"] == [""] and {"", "NA", "nan", "null"} <= set(words["price"])


def test_read_values__of_wanted_texts_and_of_numbers(write):
    frame = read_values(write(), COLUMNS, Layout(), {"item_id"})
    assert list(frame) == ["item_id", "price", "vector"]
    assert frame["item_id"].tolist() == ["007", "null"]
    assert frame["price"].isna().tolist() == [False, True] and frame["price"].dtype == np.float64
    assert frame["vector"][0] == "1 -2e3"


def test_read_values__of_no_column_is_an_empty_frame(write):
    assert read_values(write(), COLUMNS[3:], Layout(), ()).empty


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("null\t\t", "null\tdear\t", r"toy\.item line 4, column price: 'dear' is not a number: correct it$"),
        ("null\t\t", "null\t1,5\t", r"line 4, column price: '1,5' is not a number"),
        ("1 -2e3", "1 x 2", r"line 2, column vector: 'x' is not a number: correct it, or set seq_separator$"),
    ],
)
def test_read_values__tells_the_first_wrong_number(write, old, new, words):
    with pytest.raises(DataError, match=words):
        read_values(write(TEXT.replace(old, new)), COLUMNS, Layout(), {"item_id"})


def test_read_csv__drops_ids_such_as_na_only_where_recbole_does(write):
    for keep, missing in ((True, 0), (False, 1)):
        frame = read_csv(write(), Layout(keep_na_tokens=keep), {"item_id:token": str}, ["item_id:token"])
        assert frame["item_id:token"].isna().sum() == missing


def test_find_line__counts_blank_lines(write):
    path = write()
    assert [find_line(path, Layout(), row) for row in (0, 1)] == [2, 4]


def test_check_columns__returns_those_that_are_loaded(write):
    path, digest, warnings = write(), hashlib.sha256(), []
    layout = Layout(load={"item": ["item_id", "price"]})
    found = check_columns(path, "item", [("item_id", "token")], layout, digest, warnings)
    assert found == COLUMNS[:2] and warnings == []
    assert digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "text, load, words",
    [
        ("", None, "is empty: create it again; its first line names the columns"),
        (TEXT, {"item": ["price"]}, "column 'item_id' is not loaded: add it to load_col under 'item'"),
        (TEXT.replace("name:token", "price:float"), None, "line 1 names column 'price' 2 times: rename or remove all"),
        (TEXT + "1\n", None, "line 5 has 1 columns, the header has 4"),
    ],
)
def test_check_columns__tells_what_is_wrong(write, text, load, words):
    with pytest.raises(DataError, match=words):
        check_columns(write(text), "item", [("item_id", "token")], Layout(load=load), None, [])


def test_check_columns__warns_of_names_that_are_not_loaded(write):
    path, warnings = write(TEXT.replace("vector:float_seq", "name:token")), []
    check_columns(path, "item", [], Layout(unload={"item": ["name"]}), None, warnings)
    assert warnings == [f"{path} line 1 names column 'name' 2 times; it is not loaded"]
