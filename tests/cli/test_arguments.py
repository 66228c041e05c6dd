"""Formats of arguments that several commands share."""

import pytest

from recbole_samrec.cli.arguments import parse_seeds, split_words
from recbole_samrec.utils.errors import ConfigError


def test_parse_seeds_reads_a_number_or_a_list():
    assert parse_seeds("2") == [2020, 2021] and parse_seeds("7,") == [7] and parse_seeds("3, 1") == [3, 1]


@pytest.mark.parametrize("text", ["0", "many", "1,x", "-1", "2020", "1,1", ",", ""])
def test_parse_seeds_rejects_other_words(text):
    with pytest.raises(ConfigError, match=r"^--seeds"):
        parse_seeds(text)


def test_split_words():
    assert split_words("a, b,,c ", "--models") == ["a", "b", "c"]
    with pytest.raises(ConfigError, match="--models: name at least one"):
        split_words(" , ", "--models")
