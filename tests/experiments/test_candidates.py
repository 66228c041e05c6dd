"""Candidates of entries: their grids, their names, and invalid ones."""

import re

import pytest

from recbole_samrec.experiments.candidates import list_candidates, list_further, name_candidate, read_choices
from recbole_samrec.utils.errors import ConfigError


def test_list_candidates__is_the_grid():
    choices = read_choices({"sam_rho": [0, 0.1], "learning_rate": [1, 2, 3]}, "here")
    grid = list_candidates(choices)
    assert grid == [{"sam_rho": rho, "learning_rate": rate} for rho in (0, 0.1) for rate in (1, 2, 3)]
    assert list_candidates(read_choices(None, "here")) == [{}]


def test_list_further__adds_values_and_repeats_nothing():
    choose, more = {"a": (1, 2), "b": (5,)}, {"a": (2, 3), "b": (6, 7)}
    further = list_further(choose, more)
    grid = {(a, b) for a in (1, 2, 3) for b in (5, 6, 7)}
    found = [(one["a"], one["b"]) for one in further]
    assert set(found) == grid - {(1, 5), (2, 5)} and len(found) == 7
    assert further == list_further(choose, more) and found != sorted(found)
    assert list_further(choose, {}) == [] == list_further({}, {})


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
        ({"sam_rho": 0.1}, "sam_rho: 0.1 is no list of values; write sam_rho: [first, second]"),
        ({"sam_rho": []}, "sam_rho: [] is no list of values"),
        ({"sam_rho": [0, 0.1, 0.0]}, "sam_rho: 0.0 is listed twice; keep one of them"),
        ({"weight_average": [None, "ema 0.9", None]}, "weight_average: None is listed twice; keep one of them"),
        ({"epochs": [10, 20]}, "epochs decides what is measured or for how long"),
        ({"n_layers": [1, 2]}, "n_layers is fixed by the entry, too; remove it from one of them"),
    ],
)
def test_read_choices__names_place_and_remedy(given, words):
    with pytest.raises(ConfigError, match=f"^{re.escape(f'choose of A: {words}')}"):
        read_choices(given, "choose of A", {"n_layers": 1})
