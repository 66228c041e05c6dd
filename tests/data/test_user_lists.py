"""Users are listed in an argument or in a file, with any characters in their ids."""

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recbole_samrec.data.user_lists import read_users, split_users
from recbole_samrec.utils.errors import DataError


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("a,b", ["a", "b"]),
        (" a , b", ["a", "b"]),
        ("u1, jr", ["u1, jr"]),
        ('"u1, jr",a', ["u1, jr", "a"]),
        ('a, "u1, jr"', ["a", "u1, jr"]),
        ("x,jr", ["x", "jr"]),
        (" padded ", [" padded "]),
        ("", []),
    ],
)
def test_split_users__keeps_commas_of_ids(text, users):
    assert split_users(text, {"a", "b", "u1, jr", " padded "}) == users


def test_read_users__one_id_in_each_line():
    Path("users.txt").write_bytes("﻿u1, jr\r\n\n010\nNA\nu1, jr\n".encode())
    assert read_users(Path("users.txt"), "user_id") == ["u1, jr", "010", "NA"]


@pytest.mark.parametrize("header", ["user", "uid", "uid:token", "User_ID"])
def test_read_users__a_column(header):
    text = f'rank,{header}\n1,"u1, jr"\n2,010\n3,NA\n4,\n5,010\n'
    Path("users.csv").write_text(text)
    Path("users.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("users.csv", "users.csv.gz"):
        assert read_users(Path(name), "uid") == ["u1, jr", "010", "NA"]
    pd.DataFrame({"uid": ["u1, jr", "010", None]}).to_parquet("users.parquet")
    assert read_users(Path("users.parquet"), "uid") == ["u1, jr", "010"]
    pd.DataFrame({"uid": [7, None, 8]}).to_parquet("users.parquet")
    assert read_users(Path("users.parquet"), "uid") == ["7", "8"]


def test_read_users__keeps_large_ids_of_parquet_exact():
    users = [2**60 + 1, None, 2**60 + 3]
    pd.DataFrame({"user": pd.array(users, dtype="Int64")}).to_parquet("users.parquet")
    assert read_users(Path("users.parquet"), "user_id") == [str(2**60 + 1), str(2**60 + 3)]
    pq.write_table(pa.table({"user": users}), "users.parquet")
    assert read_users(Path("users.parquet"), "user_id") == [str(2**60 + 1), str(2**60 + 3)]
    pd.DataFrame({"user": [b"a"]}).to_parquet("users.parquet")
    with pytest.raises(DataError, match=r"^users.parquet, column user: ids are integers or text"):
        read_users(Path("users.parquet"), "user_id")


def test_read_users__errors():
    for name, text, words in (
        ("a.txt", "\n", "a.txt: it has no users"),
        ("a.csv", "", "a.csv has no column user"),
        ("a.csv", "name,rank\nx,1\n", "a.csv has no column user: it has 'name, rank'"),
        ("a.csv", "user\n", "a.csv: it has no users"),
    ):
        Path(name).write_text(text)
        with pytest.raises(DataError, match=words):
            read_users(Path(name), "user_id")
    with pytest.raises(DataError, match=r"b\.txt is missing"):
        read_users(Path("b.txt"), "user_id")


def test_read_users__ends_lines_at_line_ends_only(tmp_path):
    (tmp_path / "users.txt").write_bytes("a\u2028b\r\nc\x1cd\ne\x85\rf".encode())
    assert read_users(tmp_path / "users.txt", "user_id") == ["a\u2028b", "c\x1cd", "e\x85", "f"]
