"""Verdicts on SAM follow from the primary comparisons alone."""

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare.control_groups import ControlGroup, Role
from recbole_samrec.compare.primary import Place
from recbole_samrec.compare.provenance import SearchBudget
from recbole_samrec.compare.verdicts import Verdicts, judge
from recbole_samrec.experiments.entries import Entry

PLACES = [Place("a", "loo"), Place("b", "loo", {"SAM"})]
ENTRIES = {name: Entry(name, "SAMRec") for name in ("plain", "plain (equal passes)", "random", "averaged")}
SAM = Entry("SAM", "SAMRec", tuned_as="plain")


def group(sam=SAM, tuned_without=True):
    roles = {Role.PLAIN: "plain", Role.RANDOM: "random", Role.AVERAGED: "averaged"}
    return ControlGroup(sam, {role: [ENTRIES[name]] for role, name in roles.items()}, tuned_without)


def primary(**figures):
    """Lines of the table of declared comparisons: opponent, difference and corrected p."""
    lines = [
        {"dataset": "a", "protocol": "loo", "test": "difference", "metric": "ndcg@10", "entry": "SAM",
         "reference": name.replace("_", " "), "difference": difference, "p_holm": p}
        for name, (difference, p) in figures.items()
    ]  # fmt: skip
    return pd.DataFrame(lines)


GOOD = {"plain": (0.01, 0.01), "random": (0.02, 0.049), "averaged": (0.005, 0.03)}


def conclude(table, groups, place=PLACES[0]):
    return Verdicts(judge(table, groups, [place, PLACES[1]]), groups).conclusions


def test_verdicts__need_the_plain_entry_and_both_controls():
    found = conclude(primary(**GOOD), [group()])
    assert found.to_dict("records") == [{"dataset": "a", "protocol": "loo", "entry": "SAM", "sam": "helps"}]
    turned = primary(**GOOD)
    turned.loc[1, ["entry", "reference", "difference"]] = ["random", "SAM", -0.02]  # declared the other way round
    assert list(conclude(turned, [group()])["sam"]) == ["helps"]


@pytest.mark.parametrize(
    "figures, words",
    [
        ({"plain": (0.01, 0.05)}, "not shown: not better than plain"),
        ({"random": (-0.02, 0.001)}, "not shown: not better than random"),
        ({"random": (0.001, 0.9), "averaged": (0.1, 0.06)}, "not shown: not better than random, averaged"),
        ({"averaged": (0.1, np.nan)}, "not tested: no p against averaged"),
    ],
)
def test_verdicts__name_what_is_not_beaten(figures, words):
    assert list(conclude(primary(**GOOD | figures), [group()])["sam"]) == [words]


def test_verdicts__need_controls_and_declarations():
    alone = group()
    without = ControlGroup(SAM, {**alone.opponents, Role.AVERAGED: []})
    words = "not tested: no weight averaging that is selected like it"
    assert list(conclude(primary(**GOOD), [without])["sam"]) == [words]
    declared = {name: figures for name, figures in GOOD.items() if name != "plain"}
    assert list(conclude(primary(**declared), [group()])["sam"]) == ["not tested: no p against plain"]
    equal = ControlGroup(SAM, {**alone.opponents, Role.PLAIN: [ENTRIES["plain"], ENTRIES["plain (equal passes)"]]})
    assert list(conclude(primary(**GOOD), [equal])["sam"]) == ["not tested: no p against plain (equal passes)"]
    table = pd.concat([primary(**GOOD), primary(x=(0.001, 0.5)).assign(reference="plain (equal passes)")])
    assert list(conclude(table, [equal])["sam"]) == ["not shown: not better than plain (equal passes)"]


def test_verdicts__are_laid_out_where_there_are_controls():
    verdicts = Verdicts(judge(primary(**GOOD), [group()], PLACES), [group()])
    (grid,) = verdicts.lay_out("a", "loo")
    line = dict(zip(grid.header, (cell.text for cell in grid.body[0]), strict=True))
    assert line == {
        "entry": "SAM",
        "data set": "a",
        "protocol": "loo",
        "tuned": "as plain",
        "plain": "+0.0100 (p 0.0100)",
        "random direction": "+0.0200 (p 0.0490)",
        "weight averaging": "+0.0050 (p 0.0300)",
        "SAM": "helps",
    }
    assert grid.captions[1] == "SAM is compared with plain at settings tuned without it only."
    assert verdicts.lay_out("b", "loo") == []
    bare = [ControlGroup(SAM, {Role.PLAIN: [ENTRIES["plain"]], Role.RANDOM: [], Role.AVERAGED: []})]
    assert Verdicts(judge(primary(**GOOD), bare, PLACES), bare).lay_out() == []


def test_verdicts__credit_no_entry_without_a_perturbation():
    """An entry that is better by another setting, as validation chose a radius of 0, says nothing about SAM."""
    for rho, words in ((0, "not shown: validation chose sam_rho 0"), (0.1, "helps")):
        place = Place("a", "loo", radii={"SAM": rho, "random": 0})
        assert list(conclude(primary(**GOOD), [group()], place)["sam"]) == [words]


def search(trials, passes=None):
    return SearchBudget(trials, "random", "none", 0, 9, (1,), "NDCG@10", passes)


@pytest.mark.parametrize(
    "searches, words",
    [
        ({}, "helps"),
        ({"SAM": search(9)}, "not tested: not searched like SAM: random, averaged"),
        ({"SAM": search(9), "random": search(9), "averaged": search(8)}, "not tested: not searched like SAM: averaged"),
        ({"SAM": search(9), "random": search(9), "averaged": search(9)}, "helps"),
        ({"SAM": search(9, 50), "random": search(10, 50), "averaged": search(15, 50)}, "helps"),
        ({"random": search(9)}, "not tested: not searched like SAM: random"),
    ],
)
def test_verdicts__need_controls_that_are_searched_alike(searches, words):
    place = Place("a", "loo", searches=searches)
    assert list(conclude(primary(**GOOD), [group(Entry("SAM", "SAMRec"))], place)["sam"]) == [words]


@pytest.mark.parametrize(
    "sam, tuned_without, searches, tuned, words",
    [
        (Entry("SAM", "SAMRec"), False, {}, "not tuned", "that are not tuned."),
        (Entry("SAM", "SAMRec"), False, {"SAM": search(9)}, "with SAM", "tuned with it only."),
        (Entry("SAM", "SAMRec", choose={"sam_rho": (0, 1)}), False, {}, "with SAM", "tuned with it only."),
        (Entry("SAM", "SAMRec", tuned_as="other"), False, {}, "as other", "tuned with it only."),
        (SAM, True, {}, "as plain", "tuned without it only."),
    ],
)
def test_verdicts__name_how_settings_were_tuned(sam, tuned_without, searches, tuned, words):
    groups = [group(sam, tuned_without)]
    (grid,) = Verdicts(judge(primary(**GOOD), groups, [Place("a", "loo", searches=searches)]), groups).lay_out()
    assert grid.body[0][grid.header.index("tuned")].text == tuned
    assert grid.captions[1] == f"SAM is compared with plain at settings {words}"
