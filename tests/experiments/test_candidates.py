"""Candidates of entries: their grids, their names, and invalid ones."""

import re

import pytest

from recbole_samrec.experiments.candidates import (
    FurtherCandidates,
    list_candidates,
    name_candidate,
    read_choices,
    read_further,
)
from recbole_samrec.utils.errors import ConfigError


def test_list_candidates__is_the_grid():
    choices = read_choices({"sam_rho": [0, 0.1], "learning_rate": [1, 2, 3]}, "here")
    grid = list_candidates(choices)
    assert grid == [{"sam_rho": rho, "learning_rate": rate} for rho in (0, 0.1) for rate in (1, 2, 3)]
    assert list_candidates(read_choices(None, "here")) == [{}]


def test_further_candidates__add_values_and_repeat_nothing():
    choose, more = {"a": (1, 2), "b": (5,)}, read_further({"a": [2, 3], "b": [6, 7]}, "here")
    first, *further = FurtherCandidates(choose, more, first={"epochs": 6}).take(99)
    grid = {(a, b) for a in (1, 2, 3) for b in (5, 6, 7)}
    found = [(one["a"], one["b"]) for one in further]
    assert first == {"epochs": 6} and set(found) == grid - {(1, 5), (2, 5)} and len(found) == 7
    again = FurtherCandidates(choose, more, first={"epochs": 6})
    assert [again.take(n) for n in (1, 3)] == [[first], [first, *further[:2]]] and found != sorted(found)
    assert FurtherCandidates(choose, {}, first={}).take(9) == [{}] == FurtherCandidates({}, {}, first={}).take(9)


def test_further_candidates__are_drawn_from_ranges():
    """A range of decimal numbers replaces the values tried; a list and a small range are added to them."""
    choose = {"rate": (0.001,), "layers": (1,), "size": (8,)}
    given = {"rate": {"loguniform": [0.0001, 0.01]}, "layers": {"int": [1, 3]}, "size": [16]}
    more = read_further(given, "here")
    _, *drawn = FurtherCandidates(choose, more, first={}).take(401)
    assert FurtherCandidates(choose, more, first={}).take(401)[1:] == drawn and len(drawn) == 400
    assert len({tuple(one.values()) for one in drawn}) == 400
    rates = [one["rate"] for one in drawn]
    assert all(0.0001 <= rate <= 0.01 and rate == float(f"{rate:.4g}") for rate in rates)
    assert 160 < sum(rate < 0.001 for rate in rates) < 240  # half of them, since the range is logarithmic
    assert {one["layers"] for one in drawn} == {1, 2, 3} and {one["size"] for one in drawn} == {8, 16}


def test_further_candidates__of_narrow_ranges_end():
    more = read_further({"rate": {"uniform": [0.1, 0.1003]}}, "here")
    drawn = FurtherCandidates({"rate": (0.1,)}, more, first={}).take(99)
    assert sorted(one.get("rate", 0) for one in drawn) == [0, 0.1001, 0.1002, 0.1003]


@pytest.mark.parametrize(
    "given, words",
    [
        ({"rate": {"uniform": [1, 0]}}, "rate: 1 is not below 0; write the lower bound first"),
        ({"rate": {"normal": [0, 1]}}, "rate: unknown range normal; "),
        ({"rate": {}}, "rate: {} is not a range; write one of {uniform: [0, 1]}, {loguniform: [0.01, 1]}"),
        ({"rate": 1}, "rate: 1 is not a list of values"),
        ({"n_layers": {"int": [1, 2]}}, "n_layers is also fixed by the entry"),
    ],
)
def test_read_further__names_place_and_remedy(given, words):
    with pytest.raises(ConfigError, match=f"^{re.escape(f'choose_more of A: {words}')}"):
        read_further(given, "choose_more of A", {"n_layers": 1})


def test_name_candidate__is_short_and_unique():
    assert name_candidate("SAMRec", {"sam_rho": 0.1, "n_layers": 2}) == "SAMRec [sam_rho=0.1, n_layers=2]"
    assert name_candidate("SAMRec", {}) == "SAMRec"
    long = [name_candidate("A", {"x" * 90: value}) for value in (1, 2)]
    assert long[0] != long[1] and all(len(name) < 100 for name in long)


@pytest.mark.parametrize(
    "given, words",
    [
        ([0.1], "[0.1] has no settings with values; write {sam_rho: [0, 0.1, 0.3]}"),
        ({}, "{} has no settings with values"),
        ({"sam_rho": 0.1}, "sam_rho: 0.1 is not a list of values; write sam_rho: [first, second]"),
        ({"sam_rho": []}, "sam_rho: [] is not a list of values"),
        ({"sam_rho": [0, 0.1, 0.0]}, "sam_rho: 0.0 is listed twice; keep one of them"),
        ({"weight_average": [None, "ema 0.9", None]}, "weight_average: None is listed twice; keep one of them"),
        ({"epochs": [10, 20]}, "epochs determines what is measured or for how long"),
        ({"n_layers": [1, 2]}, "n_layers is also fixed by the entry; remove it from one of them"),
    ],
)
def test_read_choices__names_place_and_remedy(given, words):
    with pytest.raises(ConfigError, match=f"^{re.escape(f'choose of A: {words}')}"):
        read_choices(given, "choose of A", {"n_layers": 1})
