"""Ids have their types from the table."""

from pathlib import Path

import numpy as np
import pytest

from recbole_samrec.data.id_types import ORIGIN, read_column_names, read_id_type, restore_ids


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"types": 1}'])
def test_read_id_type__is_text_without_a_record(own_folder, text):
    if text is not None:
        Path(ORIGIN).write_text(text)
    assert read_id_type(Path(), "user_id") == "string" and read_column_names(Path()) == {}


def test_read_column_names__gives_those_of_the_table(own_folder):
    Path(ORIGIN).write_text('{"columns": {"user_id": "customer"}}')
    assert read_column_names(Path()) == {"user_id": "customer"}


def test_restore_ids__gives_the_types_of_the_table(own_folder):
    Path(ORIGIN).write_text('{"types": {"user_id": "uint64", "item_id": "string"}}')
    assert read_id_type(Path(), "user_id") == "uint64" and read_id_type(Path(), "item_id") == "string"
    ids = restore_ids(["7", str(2**64 - 1)], "uint64")
    assert ids.dtype == np.uint64 and ids.tolist() == [7, 2**64 - 1]
    assert restore_ids(["007", "7"], "string").tolist() == ["007", "7"]
    assert restore_ids([], "int32").dtype == np.int32


@pytest.mark.parametrize("texts", [["7", "007"], ["7", "x"], ["7", str(2**40)]])
def test_restore_ids__leaves_others_as_text(texts):
    assert restore_ids(texts, "int32").tolist() == texts
