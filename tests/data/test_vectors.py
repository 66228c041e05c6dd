"""Additional files with vectors: errors are reported with file and line, and oddities are counted."""

import re

import pytest
from recbole.data import create_dataset, data_preparation

from recbole_samrec.data.vectors import check_additional_files, describe_unread_vectors
from recbole_samrec.quick_start.recbole_warnings import list_warnings
from recbole_samrec.utils.errors import DataError
from tests.helpers.tiny import cyclic, make_config, write_events
from tests.helpers.toy_data import table

HEAD = "iid:token vector:float_seq"
SETTINGS = {"additional_feat_suffix": ["emb"], "load_col": {"inter": ["item_id"], "emb": ["iid", "vector"]}}
LINES = ["i1|1 2", "i2|3 4", "i3|5 6"]


def checked(folder, *rows, head=HEAD):
    (folder / "x.emb").write_text(table(head, *rows))
    return check_additional_files(folder, "x", SETTINGS)


def test_check_additional_files__accepts_equal_vectors(tmp_path):
    assert checked(tmp_path, *LINES) == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("i4|1", "1 vectors of vector do not have 2 numbers as the others do.*first: line 5"),
        ("i4|", "1 vectors of vector do not have 2 numbers"),
        ("i4|1 2 3", "1 vectors of vector do not have 2 numbers"),
        ("i4|1 nan", r"1 vectors of vector contain nan or inf \(first: line 5\)"),
        ("i4|inf 1", "contain nan or inf"),
        ("i1|1 2", r"1 rows repeat a iid \('i1'\); the last one counts"),
    ],
)
def test_check_additional_files__counts_odd_rows(tmp_path, row, words):
    (line,) = checked(tmp_path, *LINES, row)
    assert re.search(words, line)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("i4|[1,2]", r"x.emb line 5, column vector: '\[1,2\]' is not a number"),
        ("i4|1 b", "line 5, column vector: 'b' is not a number"),
        ("i4|1 2|3", "line 5 has 3 columns, the header has 2"),
    ],
)
def test_check_additional_files__names_the_line(tmp_path, row, words):
    with pytest.raises(DataError, match=words):
        checked(tmp_path, *LINES, row)


def test_check_additional_files__names_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"x\.emb is missing"):
        check_additional_files(tmp_path, "x", SETTINGS)


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_list_warnings__counts_items_of_vectors_alone(own_folder, model):
    path = write_events(own_folder, "tiny", cyclic())
    (path / "tiny.emb").write_text(table(HEAD, *(f"i{n}|1 2" for n in range(17))))
    columns = {"inter": ["user_id", "item_id", "timestamp"], "emb": ["iid", "vector"]}
    more = {"additional_feat_suffix": ["emb"], "load_col": columns, "alias_of_item_id": ["iid"]}
    config = make_config(model, own_folder, preload_weight={"iid": "vector"}, **more)
    dataset = create_dataset(config)
    lines = list_warnings(config, dataset, data_preparation(config, dataset))
    assert any(line.startswith("5 items of the .emb file occur in no interaction") for line in lines)
    assert any(f"{model} does not read the vectors of preload_weight={{'iid': 'vector'}}" in line for line in lines)
    assert describe_unread_vectors(make_config(model, own_folder)) is None
