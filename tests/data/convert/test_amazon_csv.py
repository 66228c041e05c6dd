"""Amazon's published files of ratings of 2014, 2018 and 2023 give exactly the expected lines."""

import gzip

import pytest

from recbole_samrec.data.convert.amazon_csv import is_ratings
from recbole_samrec.utils.errors import DataError
from tests.helpers.providers import convert, lines

USERS, ITEMS = ("A39HTATAQ9V7YF", "A3JM6GV9MNOF9X"), ("0205616461", "B00LLPT4HI", "B01AKZ9T9C")
PAIRS = [(user, item) for user in USERS for item in ITEMS]
WRITTEN = [f"{user}\t{item}\t5.0\t{1369699200 + n}" for n, (user, item) in enumerate(PAIRS)]
HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float"


def test_read_ratings__2014_begins_with_the_user(tmp_path):
    source = tmp_path / "ratings_Beauty.csv"
    source.write_text("".join(f"{user},{item},5.0,{1369699200 + n}\n" for n, (user, item) in enumerate(PAIRS)))
    convert("Amazon_A", source)
    assert lines(tmp_path / "dataset/Amazon_A/Amazon_A.inter") == [HEADER, *WRITTEN]


def test_read_ratings__2018_begins_with_the_item(tmp_path):
    source = tmp_path / "All_Beauty.csv.gz"
    text = "".join(f"{item},{user},5.0,{1369699200 + n}\n" for n, (user, item) in enumerate(PAIRS))
    source.write_bytes(gzip.compress(text.encode()))
    convert("Amazon_A", source)
    assert lines(tmp_path / "dataset/Amazon_A/Amazon_A.inter") == [HEADER, *WRITTEN]


def test_read_ratings__2023_has_a_header_and_milliseconds(tmp_path, capsys):
    source = tmp_path / "All_Beauty.csv"
    users = ("AGKHLEW2SOWHNMFQIJGBECAF7INQ", "AE74DYR3QUGVPZJ3P7RFWBGIX7XQ")
    rows = [(user, item, 1588687728923 + n) for n, (user, item) in enumerate((u, i) for u in users for i in ITEMS)]
    source.write_text(
        "user_id,parent_asin,rating,timestamp\n" + "".join(f"{user},{item},5.0,{time}\n" for user, item, time in rows)
    )
    convert("Amazon_A", source)
    expected = [f"{user}\t{item}\t5.0\t{time / 1000}" for user, item, time in rows]
    assert lines(tmp_path / "dataset/Amazon_A/Amazon_A.inter") == [HEADER, *expected]
    assert "milliseconds became Unix seconds" in capsys.readouterr().out


def test_is_ratings__leaves_other_tables_alone():
    assert is_ratings("A39HTATAQ9V7YF,0205616461,5.0,1369699200") and is_ratings("user_id,parent_asin,rating,timestamp")
    for line in ("1,2,5.0,1369699200", "user,item,rating,time", "u1,i1,3", "A39HTATAQ9V7YF,0205616461,5.0,2013-05-28"):
        assert not is_ratings(line)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("A3JM6GV9MNOF9X,B00LLPT4HIX,5.0,1369699200", "neither of the first two columns, or both"),
        ("A3JM6GV9MNOF9X,B00LLPT4HI,5.0,soon", "is no file of Amazon's ratings"),
        ("A3JM6GV9MNOF9X,,5.0,1369699200", "line 2: item is missing"),
    ],
)
def test_read_ratings__names_what_is_wrong(tmp_path, line, words):
    source = tmp_path / "ratings_Beauty.csv"
    source.write_text(f"A39HTATAQ9V7YF,0205616461,5.0,1369699200\n{line}\n")
    with pytest.raises(DataError, match=words):
        convert("Amazon_A", source)
