"""Markdown for generated pages."""

import pytest

from tools.markdown import code, escape, make_table


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ("a_b*c", r"a\_b\*c"),
        ("[1] <x> $y | #", r"\[1\] \<x\> \$y \| \#"),
        ("two\n  lines", "two lines"),
    ],
)
def test_escape__leaves_no_markup(text, wanted):
    assert escape(text) == wanted


def test_code__keeps_a_cell_whole():
    assert (code("a|b"), code("a`b"), code("")) == (r"`a\|b`", "``a`b``", "")


def test_make_table__has_a_line_for_each_row():
    assert make_table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
