"""Verdicts on SAM follow from the primary comparisons alone."""

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare.control_groups import ControlGroup, Role
from recbole_samrec.compare.primary import Place
from recbole_samrec.compare.verdicts import Verdicts, judge
from recbole_samrec.experiments.entries import Entry

PLACES = [Place("a", "loo"), Place("b", "loo", {"SAM"})]
ENTRIES = {name: Entry(name, "SAMRec") for name in ("plain", "plain (equal passes)", "random", "averaged")}
SAM = Entry("SAM", "SAMRec", tuned_as="plain")


def group(**more):
    roles = {Role.PLAIN: ["plain"], Role.RANDOM: ["random"], Role.AVERAGED: ["averaged"]} | more
    return ControlGroup(SAM, {role: [ENTRIES[name] for name in names] for role, names in roles.items()})


def primary(**figures):
    """Lines of the table of declared comparisons: opponent, difference and corrected p."""
    lines = [
        {"dataset": "a", "protocol": "loo", "test": "difference", "metric": "ndcg@10", "entry": "SAM",
         "reference": name.replace("_", " "), "difference": difference, "p_holm": p}
        for name, (difference, p) in figures.items()
    ]  # fmt: skip
    return pd.DataFrame(lines)


GOOD = {"plain": (0.01, 0.01), "random": (0.02, 0.049), "averaged": (0.005, 0.03)}


def conclude(table, groups):
    return Verdicts(judge(table, groups, PLACES), groups).conclusions


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
    alone = group(**{})
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
