"""Types of settings accept the values that they describe."""

from typing import Literal

import pytest

from recbole_samrec.config.value_types import (
    Count,
    NonNegative,
    Patterns,
    Positive,
    PositiveShare,
    Probability,
    describe_type,
    is_accepted,
    list_base_types,
    list_choices,
)

TYPES = [  # a type, its words, values that it accepts, values that it does not
    (Count, "a whole number of at least 1", (1, 99), (0, 1.0, True, "1", None)),
    (Positive, "a number above 0", (1, 1e-9), (0, -1, True, float("inf"), float("nan"))),
    (NonNegative, "a number of at least 0", (0, 0.5), (-0.1, False)),
    (Probability, "a number in [0, 1)", (0, 0.99), (1, -0.1)),
    (PositiveShare, "a number in (0, 1]", (1, 0.5), (0, 1.1)),
    (bool, "True or False", (True, False), (1, 0, "True")),
    (Literal["a", "b"], "one of a, b", ("a", "b"), ("c", 1)),
    (Patterns, "text or a list", ("x", ["x"], ("x",), []), (1, [1])),
    (Positive | None, "a number above 0", (None, 1), (0,)),
    (dict, "a dictionary", ({},), ([],)),
]


@pytest.mark.parametrize(("annotation", "words", "right", "wrong"), TYPES, ids=[words for _, words, *_ in TYPES])
def test_is_accepted__agrees_with_describe_type(annotation, words, right, wrong):
    assert describe_type(annotation) == words
    assert all(is_accepted(annotation, value) for value in right)
    assert not any(is_accepted(annotation, value) for value in wrong)


def test_list_choices__and_list_base_types():
    assert list_choices(Literal["a", "b"] | None) == ("a", "b") and list_choices(Count) == ()
    assert list_base_types(Count | None) == (int,) and list_base_types(Literal["a"]) == (str,)
    assert list_base_types(Patterns) == (str, list, tuple)
