"""Parameters of a search: their values, draws, words and errors."""

import math
import random
import re

import pytest

from recbole_samrec.config.parameters import Parameter, parse_parameter
from recbole_samrec.utils.errors import ConfigError


def draw(parameter: Parameter, count: int = 600) -> list:
    generator = random.Random(7)
    return [parameter.draw(generator) for _ in range(count)]


def test_draw__takes_every_value_within_the_bounds():
    whole = draw(parse_parameter("here", "n", "int", [1, 4]))
    assert set(whole) == {1, 2, 3, 4} and {type(one) for one in whole} == {int}
    tenths = parse_parameter("here", "p", "quniform", [0, 0.5, 0.1])
    assert sorted(set(draw(tenths))) == tenths.list_all() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert set(draw(Parameter("a", "choice", (1, "x")))) == {1, "x"}


def test_draw__is_uniform_in_the_logarithm_or_in_the_value():
    rates = draw(parse_parameter("here", "lr", "loguniform", [0.0001, 0.01]), 2000)
    assert 0.0001 <= min(rates) < 0.00011 and 0.0095 < max(rates) <= 0.01
    assert abs(sum(map(math.log10, rates)) / 2000 + 3) < 0.05
    shares = draw(parse_parameter("here", "p", "uniform", [-1, 1]), 2000)
    assert min(shares) >= -1 and max(shares) <= 1 and abs(sum(shares) / 2000) < 0.05
    assert all(one == float(f"{one:.4g}") for one in (*rates, *shares))


def test_draw__rounds_within_the_bounds():
    """Rounded to four digits, most values between these bounds would be outside."""
    low, high = 0.123412, 0.123438
    values = draw(parse_parameter("here", "p", "uniform", [low, high]))
    assert all(low <= one <= high for one in values)


def test_parameter__counts_and_describes_its_values():
    expected = {
        ("int", (1, 4)): (4, "1 to 4, whole numbers"),
        ("quniform", (0, 1, 0.25)): (5, "0 to 1 in steps of 0.25"),
        ("uniform", (0, 1)): (math.inf, "0 to 1"),
        ("loguniform", (0.01, 1)): (math.inf, "0.01 to 1, logarithmic"),
        ("choice", (3, 4)): (2, "one of 3, 4"),
        ("choice", (3,)): (1, "always 3"),
    }
    for (kind, given), (size, words) in expected.items():
        parameter = parse_parameter("here", "x", kind, given)
        assert (parameter.size, parameter.describe()) == (size, words)
    with pytest.raises(ValueError, match="x is a choice and has no bounds"):
        _ = parameter.bounds


@pytest.mark.parametrize(
    "kind, given, words",
    [
        ("uniforn", [0, 1], "unknown range uniforn; did you mean uniform"),
        ("uniform", [0], "uniform takes 2 numbers, such as {uniform: [0, 1]}; not [0]"),
        ("uniform", [0, math.inf], "uniform takes 2 numbers"),
        ("loguniform", [0, 1], "the lower bound of loguniform must be above 0, not 0; write a bound such as 0.01"),
        ("int", [1, 2.5], "int takes whole numbers, such as {int: [1, 4]}; not [1, 2.5]"),
        ("quniform", [0, 1, 0.3], "1 is not a multiple of the step 0.3; choose bounds that are"),
        ("quniform", [0, 1, 2], "a step of 2 does not fit from 0 to 1"),
        ("choice", [], "there is nothing to choose from; list the values, such as [0.1, 0.2]"),
        ("choice", [1, 2, 1.0], "1.0 is listed twice; keep one of them"),
    ],
)
def test_parse_parameter__names_place_and_remedy(kind, given, words):
    with pytest.raises(ConfigError, match=f"^{re.escape(f'here: x: {words}')}"):
        parse_parameter("here", "x", kind, given)
