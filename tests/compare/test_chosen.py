"""The file of choices equals a recomputation from the records of the runs of the selection."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from recbole_samrec.compare.choices import Candidate, Choice
from recbole_samrec.compare.chosen import Selected, explain, tabulate
from recbole_samrec.compare.equal_passes import Budget
from recbole_samrec.compare.selection import select_settings
from recbole_samrec.experiments.entries import Entry
from tests.helpers.selection import make_selector, prepare
from tests.helpers.tiny import random_events, write_events

RHOS = (0, 0.03, 0.1, 0.3)


def choose(settings, scores, name="A", **more):
    """Choose among candidates with given scores, each of which took 4 passes."""
    empty = Choice(name, (7, 8), "ndcg@10", False, (), None)
    failures = [("seed 7: nan",) if any(map(math.isnan, own)) else () for own in scores]
    candidates = [
        Candidate(of, tuple(own), 4.0, (), why) for of, own, why in zip(settings, scores, failures, strict=True)
    ]
    return empty.extend(Entry(name, "SAMRec"), candidates)


def test_selected__is_reproduced_from_the_records(own_folder):
    write_events("dataset", "tiny", random_events(users=12, items=25))
    own_folder.joinpath("entries.yaml").write_text(
        yaml.safe_dump({"entries": {"SAM": {"model": "SAMRec", "choose": {"sam_rho": list(RHOS)}}}})
    )
    noise = np.random.default_rng(2)
    preparation = prepare(["SAM"], "entries.yaml")
    (choices,) = select_settings(
        [preparation],
        make_selector(lambda job: 0.5 + 0.1 * job.settings["sam_rho"] + 0.05 * noise.normal(), lambda job: 2.5),
    )
    Selected(choices.made["tiny"], {}, {}, Path("out")).write(Path("pages", "tiny-chosen.json"))
    stored = json.loads(Path("pages", "tiny-chosen.json").read_text())["entries"]["SAM"]
    records = [
        [json.loads(Path("out", run, "result.json").read_text()) for run in one["runs"]] for one in stored["candidates"]
    ]
    assert [[record["config"]["sam_rho"] for record in of] for of in records] == [[rho] * 3 for rho in RHOS]
    assert [[record["seed"] for record in of] for of in records] == [stored["seeds"]] * 4
    scores = np.array([[record["valid"]["ndcg@10"] for record in of] for of in records])
    best = scores.mean(axis=1).argmax()
    differences = scores[best] - scores
    errors = np.sqrt(((differences - differences.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) / 2 / 3)
    chosen = next(number for number in range(4) if differences[number].mean() <= errors[number])
    assert (stored["best"], stored["chosen"]) == (best, chosen) and chosen < best  # by this draw
    assert stored["settings"] == {"sam_rho": RHOS[chosen]} and stored["passes"] == 4 * 3 * 2.5
    for number, one in enumerate(stored["candidates"]):
        figures = [one["mean"], one["behind_best"], one["standard_error"]]
        assert figures == pytest.approx([scores[number].mean(), differences[number].mean(), errors[number]])
        assert list(one["scores"].values()) == list(scores[number])
    assert stored["why"].startswith(f"smallest sam_rho within one standard error, {errors[chosen]:.4f}, of the best")


def test_explain__names_the_rule():
    rhos = [{"sam_rho": 0}, {"sam_rho": 0.1}]
    assert explain(choose(rhos, [(0.1, 0.2), (0.3, 0.4)])) == "best mean"
    assert explain(choose([{}], [(0.1, 0.2)])) == "the only candidate"
    assert explain(choose(rhos, [(0.3, 0.2), (0.3, 0.2)])) == "best mean"  # the first of equals
    words = "smallest sam_rho within one standard error, 0.1500, of the best, 0.1: 0.0500 behind"
    assert explain(choose(rhos, [(0.3, 0.4), (0.5, 0.3)])) == words
    assert (
        explain(choose(rhos[::-1], [(0.3,), (0.3,)]))
        == "smallest sam_rho equal to the mean of the best, 0.1: 0.0000 behind"
    )
    assert explain(choose(rhos, [(math.nan, 1)] * 2)) == "no candidate has a score of each seed"


def test_selected__lays_out_choices_and_budgets():
    """6 passes before, 4 of an added candidate and 5 of the runs are compared with 14 of SAM."""
    plain = choose([{"lr": 1}, {"lr": 2}], [(0.1, 0.2), (0.3, 0.4)])
    equal = choose([{"lr": 1}, {"lr": 2}, {"lr": 3}], [(0.1, 0.2), (0.3, 0.4), (math.nan, 0.5)], "A (equal passes)")
    budget = Budget("SAM", 14.0, 6.0, 5.0, 1, ran_out=True, space={"lr": "0.1 to 1"})
    selected = Selected(
        {"A": plain, "A (equal passes)": equal}, {"A (equal passes)": budget}, {"A (equal passes)": 5.0}
    )
    choices, budgets = selected.lay_out()
    line = dict(zip(choices.header, (cell.text for cell in choices.body[0]), strict=True))
    assert (line["best"], line["chosen"], line["edge"], line["passes"]) == ("lr 2: 0.3500", "lr 2", "lr", "8.0")
    line = dict(zip(budgets.header, (cell.text for cell in budgets.body[0]), strict=True))
    assert list(line.values())[1:] == ["SAM", "14.0", "10.0", "5.0", "15.0", "1, no more to try"]
    assert selected.list_notes() == [
        "A: the best lr, 2, is at the edge of the values that have a score; extend choose",
        "A (equal passes): the best lr, 2, is at the edge of the values that have a score; extend choose",
        "A (equal passes): the candidate lr 3 is excluded; seed 7: nan",
        "A (equal passes): its search ran out of candidates before it had taken the 14.0 passes of SAM; add values or "
        "a range to choose_more",
    ]
    (none,) = Selected({"A": choose([{"sam_rho": 0}], [(1, 2)])}, {}, {}).list_notes()
    assert none == "A: validation chose sam_rho 0, so it is trained without a perturbation"
    stored = selected.describe()["entries"]["A (equal passes)"]
    assert stored["equal_passes"] == {
        "sam": "SAM", "passes": 14.0, "searched": 6.0, "runs": 5.0, "added": 1, "ran_out": True,
        "space": {"lr": "0.1 to 1"}, "passes_of_runs": 5.0,
    }  # fmt: skip
    assert stored["candidates"][2]["mean"] is None and stored["candidates"][2]["scores"]["7"] is None
    table = tabulate({("tiny", ""): selected})
    assert list(table["chosen"]) == [False, True, False, True, False] and set(table["dataset"]) == {"tiny"}
