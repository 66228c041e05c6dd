"""Ids that differ only by what programs add or drop are found."""

import pytest

from recbole_samrec.data.spelling import find_alike


@pytest.mark.parametrize(
    ("one", "other"),
    [("19.0", "19"), ("007", "7"), (" a b ", "a b"), ("Ab", "aB"), ("0", "0.0"), ("00", "0"), ("B01.00", "b01")],
)
def test_find_alike__what_programs_change(one, other):
    assert find_alike([one, "else"], ["nothing", other]) == (1, one, other)
    assert find_alike([other], [one]) == (1, other, one)


@pytest.mark.parametrize(("one", "other"), [("19.5", "19"), ("70", "7"), ("a b", "ab"), ("1.10", "1.1"), ("v1", "1")])
def test_find_alike__other_ids(one, other):
    assert find_alike([one], [other]) is None
