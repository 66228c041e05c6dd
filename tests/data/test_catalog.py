"""Published data sets are listed with their sources, and misspelled names with similar ones."""

import pytest

from recbole_samrec.data.catalog import PUBLISHED, Counts, describe_source, find_close_names


def test_counts__read_well():
    assert str(Counts(6_040, 3_706, 1_000_209)) == "6,040 users, 3,706 items and 1,000,209 interactions"


@pytest.mark.parametrize(
    "name, words",
    [
        ("ml-20m", "get ml-20m.zip from GroupLens (MovieLens), then run: "
                   "python -m recbole_samrec data ml-20m path/to/ml-20m.zip"),
        ("Amazon_Beauty", "get reviews_Beauty_5.json.gz from the Amazon review data (2014, 5-core), then run: "
                          "python -m recbole_samrec data Amazon_Beauty path/to/reviews_Beauty_5.json.gz"),
        ("mine", "get its interactions from the provider as CSV or Parquet, then run: python -m recbole_samrec data "
                 "mine path/to/file.csv --user COLUMN --item COLUMN --time COLUMN"),
    ],
)  # fmt: skip
def test_describe_source__names_the_file_and_the_command(name, words):
    assert describe_source(name) == words


@pytest.mark.parametrize(
    "word, found",
    [
        ("ML_1M", "ml-1m"),
        ("ml100k", "ml-100k"),
        ("amazon-beauty", "Amazon_Beauty"),
        ("Amazon_Toys", "Amazon_Toys_and_Games"),
    ],
)
def test_find_close_names__ignores_case_and_kind_of_dash(word, found):
    assert found in find_close_names(word, PUBLISHED)


def test_find_close_names__returns_at_most_so_many():
    assert len(find_close_names("ml-1", PUBLISHED, count=2)) == 2
    assert find_close_names("steam", PUBLISHED) == []
