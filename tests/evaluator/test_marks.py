"""Differences are marked by their corrected p-values and their intervals."""

from math import nan

import pytest

from recbole_samrec.evaluator.marks import MEANINGS, SIGNIFICANT, UNCORRECTED, explain_marks, mark_differences


@pytest.mark.parametrize(
    "p, low, high, mark",
    [
        (0.01, 0.1, 0.2, SIGNIFICANT),
        (0.01, -0.2, -0.1, SIGNIFICANT),
        (0.05, 0.1, 0.2, UNCORRECTED),
        (nan, 0.1, 0.2, UNCORRECTED),
        (0.01, -0.1, 0.2, ""),
        (0.01, 0.0, 0.2, ""),
        (0.01, nan, nan, ""),
    ],
)
def test_mark_differences__needs_the_interval_first(p, low, high, mark):
    assert mark_differences([p], [low], [high]) == [mark]


def test_mark_differences__marks_each_and_needs_equal_lengths():
    assert mark_differences([0.01, 0.5], [1, -1], [2, 1]) == [SIGNIFICANT, ""]
    with pytest.raises(ValueError):
        mark_differences([0.01], [1, 2], [2, 3])


def test_explain_marks__has_a_sentence_for_each():
    assert explain_marks(UNCORRECTED) == ["(†): the 95 % CI excludes 0, but p (Holm) is not below 0.05."]
    assert len(explain_marks(*MEANINGS)) == len(MEANINGS)
