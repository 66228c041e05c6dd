"""Declared comparisons, recomputed from ranks with numpy and scipy alone."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from recbole_samrec.compare.declarations import Declarations
from recbole_samrec.compare.layout import MINUS
from recbole_samrec.compare.prepare import ComparisonPlan
from recbole_samrec.compare.primary import Family, Place, build_primary_table
from recbole_samrec.compare.provenance import SearchBudget, Tuning
from recbole_samrec.evaluator.marks import EQUIVALENT, SIGNIFICANT
from recbole_samrec.experiments.jobs import Job
from tests.helpers.compared import make_run

PLACES = [Place("a", "loo"), Place("a", "gts-last"), Place("b", "loo")]
SHIFTS = {"A": 0, "B": 2, "C": 0.1, "Pop": 3}
SEEDS = {"A": 3, "B": 2, "C": 5, "Pop": 1}
PAIRS = (("B", "A"), ("A", "C"), ("Pop", "A"))


def draw(place: Place, names="ABC", users=80):
    """Runs with different numbers of seeds, and one run of a deterministic model."""
    generator = np.random.default_rng([PLACES.index(place), users])
    easy, runs = generator.normal(2, 0.7, users), []
    for name in (*names, "Pop"):
        for seed in range(SEEDS[name]):
            noise = 0.3 * generator.normal(size=users) + 0.05 * generator.normal()
            rank = np.maximum(1, np.exp(easy + noise).round() + SHIFTS[name]).astype(int)
            run = make_run(name, seed, rank, model="Pop" if name == "Pop" else "SASRec")
            runs.append(replace(run, dataset=place.dataset, protocol=place.protocol))
    return runs


def ndcg(runs, name):
    """NDCG@10 of each user by each seed, from the ranks."""
    ranks = np.stack([run.ranks["rank"].to_numpy() for run in runs if run.entry == name], axis=1).astype(float)
    return np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0)


def infer(runs, entry, other):
    """Difference, standard error and degrees of freedom, by the analysis of variance of users crossed with seeds."""
    mine, theirs = ndcg(runs, entry), ndcg(runs, other)
    users = len(mine)
    differences = mine.mean(axis=1) - theirs.mean(axis=1)
    squares = [(np.var(differences, ddof=1) / users,) * 2 + (users - 1,)]
    for values in (mine, theirs):
        seeds = values.shape[1]
        if seeds > 1:  # the one seed of Pop adds nothing
            residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
            interaction = (residuals**2).sum() / ((users - 1) * (seeds - 1))
            between = np.var(values.mean(axis=0), ddof=1)
            squares.append((max(0, between - interaction / users) / seeds, between / seeds, seeds - 1))
    variance = sum(one for one, _, _ in squares)
    freedom = variance**2 / sum(of**2 / df for _, of, df in squares)
    return differences.mean(), math.sqrt(variance), max(freedom, min(df for *_, df in squares))


def correct(p):
    """Holm's correction, step by step."""
    corrected, largest = np.empty(len(p)), 0.0
    for left, index in enumerate(np.argsort(p)):
        largest = max(largest, min(1, (len(p) - left) * p[index]))
        corrected[index] = largest
    return corrected


def test_primary_table__is_that_of_numpy_and_scipy():
    runs = [run for place in PLACES for run in draw(place)]
    table = build_primary_table(runs, Declarations(PAIRS), PLACES)
    named = list(zip(table["dataset"], table["protocol"], table["entry"], table["reference"], strict=True))
    assert named == [(place.dataset, place.protocol, *pair) for place in PLACES for pair in PAIRS]
    expected = []
    for place in PLACES:
        for pair in PAIRS:
            difference, error, freedom = infer(draw(place), *pair)
            half = stats.t.ppf(0.975, freedom) * error
            p = 2 * stats.t.sf(abs(difference) / error, freedom)
            expected.append((difference, difference - half, difference + half, p))
    columns = ["difference", "low", "high", "p"]
    assert table[columns].to_numpy() == pytest.approx(np.array(expected))
    assert table["p_holm"].to_numpy() == pytest.approx(correct(np.array(expected)[:, 3]))
    assert set(table["mark"]) == {"", SIGNIFICANT}
    assert ((table["mark"] == SIGNIFICANT) == (table["p_holm"] < 0.05)).all() and (table["users"] == 80).all()
    for line, (place, pair) in zip(table.itertuples(), ((a, b) for a in PLACES for b in PAIRS), strict=True):
        _, error, freedom = infer(draw(place), *pair)
        assert stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, line.mde / error) == pytest.approx(0.8, abs=1e-4)


def test_primary_table__tests_equivalence_with_a_margin():
    runs = [run for place in PLACES for run in draw(place)]
    declared = Declarations((("B", "A"),), (("C", "A"), ("B", "A")), 25.0)
    table = build_primary_table(runs, declared, PLACES)
    lines = table[table["test"] == "equivalence"]
    expected = []
    for place in PLACES:
        for pair in declared.equivalence:
            difference, error, freedom = infer(draw(place), *pair)
            margin = 0.25 * ndcg(draw(place), pair[1]).mean()
            above, below = ((difference + sign * margin) / error for sign in (1, -1))
            half = stats.t.ppf(0.95, freedom) * error
            p = max(stats.t.sf(above, freedom), stats.t.cdf(below, freedom))
            expected.append((margin, difference - half, difference + half, p))
    assert lines[["margin", "low_90", "high_90", "p"]].to_numpy() == pytest.approx(np.array(expected))
    assert lines["p_holm"].to_numpy() == pytest.approx(correct(np.array(expected)[:, 3]))  # apart from the difference's
    assert EQUIVALENT in set(lines["mark"]) and SIGNIFICANT not in set(lines["mark"])


def test_primary_table__counts_what_has_no_interval():
    """An entry with one seed, and one without runs, are in the family; one that is incompatible is not."""
    runs = [run for run in draw(PLACES[0]) if run.entry != "C" or run.seed == 0]
    declared = Declarations((("B", "A"), ("C", "A"), ("C", "Pop")))
    table = build_primary_table(runs, declared, [PLACES[0], Place("b", "loo", {"C": "needs attributes"})])
    assert list(table["dataset"]) == ["a"] * 3 + ["b"]
    known, *others = table.itertuples()
    assert known.p_holm == pytest.approx(min(1, 4 * known.p))
    assert table.loc[1:, ["low", "high", "mde", "p", "p_holm"]].isna().all(axis=None)
    assert not any(line.mark for line in others) and math.isfinite(others[0].difference)


def plan(*planned, **more):
    """A plan with a run for each entry, data set, seed and share."""
    jobs = [
        Job(entry, dataset, seed, share, {}, "", Path(), protocol="loo")
        for entry, dataset, seeds, share in planned
        for seed in range(seeds)
    ]
    return ComparisonPlan([], jobs, protocol="loo", **more)


def test_place__describes_what_is_planned():
    planned = plan(("A", "a", 3, 1.0), ("A", "a", 3, 0.2), ("A", "b", 2, 0.5), incompatible={"c": {"A": "no times"}})
    places = [Place.describe(planned, dataset) for dataset in planned.datasets]
    assert [(place.dataset, place.share, dict(place.seeds)) for place in places] == [
        ("a", 1.0, {"A": 3}), ("b", 0.5, {"A": 2}), ("c", None, {})
    ]  # fmt: skip
    assert places[2].incompatible == {"A": "no times"} and {place.protocol for place in places} == {"loo"}


def test_place__knows_radii_and_searches():
    budget = SearchBudget(9, "random", "none", 0, 9, (1,), "NDCG@10")
    planned = plan(("A", "a", 1, 1.0), ("B", "a", 1, 1.0), tuning={"a": [Tuning("A", budget, 1), Tuning("B")]})
    jobs = [replace(job, settings={"sam_rho": 0.1 if job.entry == "A" else 0}) for job in planned.jobs]
    place = Place.describe(replace(planned, jobs=jobs), "a")
    assert place.radii == {"A": 0.1, "B": 0} and place.searches == {"A": budget}


def test_primary_table__tests_the_planned_share_alone():
    """Runs on fewer users do not stand in for those that have not finished."""
    runs = [replace(run, fraction=0.2) for run in draw(PLACES[0])]
    declared, planned = Declarations(PAIRS[:1]), plan(("A", "a", 3, 1.0), ("B", "a", 2, 1.0), ("A", "a", 3, 0.2))
    (line,) = build_primary_table(runs, declared, [Place.describe(planned, "a")]).itertuples()
    assert math.isnan(line.p) and math.isnan(line.difference) and line.missing == 5
    (line,) = build_primary_table([*runs, *draw(PLACES[0])], declared, [Place.describe(planned, "a")]).itertuples()
    assert math.isfinite(line.p) and line.missing == 0
    assert math.isfinite(build_primary_table(runs, declared, PLACES[:1])["p"][0])  # nothing is known of the plan


def test_family__names_pairs_with_missing_seeds():
    places = [Place.describe(plan(("A", "a", 5, 1.0), ("B", "a", 2, 1.0), ("C", "a", 5, 1.0)), "a")]
    family = Family.test(draw(PLACES[0]), Declarations((("B", "A"), ("C", "B"))), places)
    assert list(family.table["missing"]) == [2, 0]
    (grid,) = family.lay_out(family.table)
    words = f"B {MINUS} A on a, loo: 2 of its planned runs have not finished, so its figures are not final."
    assert grid.captions[-1] == words and not any(f"C {MINUS} B" in caption for caption in grid.captions)


def test_family__takes_the_form_of_validation():
    runs = draw(PLACES[0])
    family = Family.test(runs, Declarations(PAIRS), PLACES[:1])
    assert not family.masked and len(family.select("a", "loo", masked=False)) == 3
    assert family.select("a", "loo", masked=True).empty and family.select("b", "loo", masked=False).empty
    assert family.remark(False) == [] and "exploratory" in family.remark(True)[0]
    masking = [replace(run, result={**run.result, "config": {"mask_history": True}}) for run in runs]
    assert Family.test(masking, Declarations(PAIRS), PLACES[:1]).masked
    assert not Family.test([*masking[1:], runs[0]], Declarations(PAIRS), PLACES[:1]).masked
    others = [*masking, replace(runs[0], entry="D")]  # what is not declared does not count
    assert Family.test(others, Declarations(PAIRS), PLACES[:1]).masked


def test_family__lays_out_a_table_for_each_test():
    runs = draw(PLACES[0])
    family = Family.test(runs, Declarations(PAIRS[:1], PAIRS[1:], 5.0), PLACES[:1])
    grids = family.lay_out(family.table)
    assert [grid.title for grid in grids] == ["Primary comparisons", "Equivalence"]
    assert all(len(line) == len(grid.header) for grid in grids for line in grid.body)
    line = dict(zip(grids[0].header, (cell.text for cell in grids[0].body[0]), strict=True))
    assert line[f"entry {MINUS} reference"] == f"B {MINUS} A" and line["protocol"] == "loo" and line["n"] == "80"
    assert "Number of tests: 1." in grids[0].captions[0] and "Number of tests: 2." in grids[1].captions[0]
