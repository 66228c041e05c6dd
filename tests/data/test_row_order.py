"""The order of rows is recovered from the same rows in any order; other rows do not match."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.data.row_order import (
    PART,
    ROWS,
    RowOrder,
    TableOrder,
    list_tables,
    load_row_order,
    number_parts,
)
from recbole_samrec.utils.errors import CheckpointError

KEYS = ("user", "item")
TABLE = pd.DataFrame({"user": [2, 1, 2, 1], "item": [5, 7, 3, 7], "rating": [1.0, 4.0, 2.0, 3.0], "text": list("abcd")})


def dataset(**fields):
    """A data set of RecBole before it is split, with benchmark files of three and of one row."""
    about = {"uid_field": "user", "iid_field": "item", "time_field": "time", "inter_feat": TABLE}
    return SimpleNamespace(**about | {"benchmark_filename_list": None, "file_size_list": [3, 1]} | fields)


def test_table_order__sorts_by_keys_then_by_numbers():
    assert TableOrder.of(TABLE, KEYS).order.tolist() == [3, 1, 2, 0]


def test_table_order__is_restored_from_any_other_order():
    known = TableOrder.of(TABLE, KEYS)
    for places in ([3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]):
        other = TABLE.iloc[places]
        now = TableOrder.of(other, KEYS)
        assert now.digest == known.digest
        pd.testing.assert_frame_equal(known.restore(other, now), TABLE)


def test_table_order__has_another_digest_for_other_rows():
    known = TableOrder.of(TABLE, KEYS).digest
    assert TableOrder.of(TABLE.assign(item=[5, 7, 3, 8]), KEYS).digest != known
    assert TableOrder.of(TABLE.iloc[:3], KEYS).digest != known
    assert TableOrder.of(TABLE.assign(user=TABLE["item"], item=TABLE["user"]), KEYS).digest != known
    assert TableOrder.of(TABLE.assign(rating=0.0), KEYS).digest == known  # no key, and so it only breaks ties


def test_table_order__ignores_the_last_digits_of_a_mean():
    timed = [TABLE.assign(time=[1.0, 2.0, 3.0, time]) for time in (1.50000001, 1.50000002, 1.51)]
    digests = [TableOrder.of(table, (*KEYS, "time")).digest for table in timed]
    assert digests[0] == digests[1] != digests[2]


def test_row_order__is_read_as_it_was_saved(tmp_path):
    order = RowOrder.of(dataset(), "f" * 64)
    order.save(tmp_path / ROWS)
    found = load_row_order(tmp_path / ROWS)
    assert found.sha256 == "f" * 64 and list(found.tables) == ["inter_feat"]
    assert found.tables["inter_feat"].digest == order.tables["inter_feat"].digest
    assert np.array_equal(found.tables["inter_feat"].order, order.tables["inter_feat"].order)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_load_row_order__names_a_damaged_file(tmp_path, content):
    file = tmp_path / ROWS
    RowOrder.of(dataset(), "f" * 64).save(file)
    file.write_bytes(file.read_bytes()[:-40] if content is None else content)
    with pytest.raises(CheckpointError, match=rf"^{file}: the order of the run's rows cannot be read \(.*; copy the"):
        load_row_order(file)


def test_list_tables__has_the_time_only_where_it_is_loaded():
    assert list_tables(dataset()) == {"inter_feat": (PART, "user", "item")}
    timed = dataset(inter_feat=TABLE.assign(time=1.0))
    assert list_tables(timed) == {"inter_feat": (PART, "user", "item", "time")}
    names = {"head_entity_field": "head", "relation_field": "relation", "tail_entity_field": "tail"}
    assert list_tables(dataset(kg_feat=TABLE, **names))["kg_feat"] == ("head", "relation", "tail")


def test_number_parts__numbers_benchmark_files():
    assert number_parts(dataset(), "inter_feat")[PART].tolist() == [0, 0, 0, 0]
    parts = dataset(benchmark_filename_list=["train", "test"])
    assert number_parts(parts, "inter_feat")[PART].tolist() == [0, 0, 0, 1]
    assert PART not in number_parts(dataset(kg_feat=TABLE), "kg_feat")
