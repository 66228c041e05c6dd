"""Searches of plain entries continue until they have used the passes of their entry with SAM."""

import pytest
import yaml

from recbole_samrec.compare.continued_search import continue_searches, sum_run_passes
from recbole_samrec.compare.equal_passes import add_equal_entries
from recbole_samrec.compare.selection import select_settings
from recbole_samrec.experiments.protocols import PROTOCOLS
from tests.helpers.jobs import SMALL
from tests.helpers.selection import make_selector, prepare, write_run
from tests.helpers.tiny import random_events, write_events

RATES = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
NAME = "SASRec (equal passes)"


def passes(job):
    """A pass per epoch, two with SAM."""
    return job.settings["epochs"] * (2.0 if job.settings["sam_rho"] else 1.0)


def score(job):
    return job.settings["learning_rate"] + 0.001 * job.settings["epochs"]


@pytest.fixture
def begin(own_folder):
    """Select settings of SASRec and SAM, and write their runs."""
    write_events("dataset", "tiny", random_events(users=12, items=25))

    def select(more, rhos=(0, 0.1, 0.2), fixed=None, split=None):
        further = RATES[: more + 1] if isinstance(more, int) else more
        plain = {"choose": {"learning_rate": RATES[:1]}, "choose_more": {"learning_rate": further}}
        table = {"SASRec": {"model": "SAMRec", "fixed": {"sam_rho": 0, **(fixed or {})}, **plain}}
        sam = {"model": "SAMRec", "variant_of": "SASRec", "tuned_as": "SASRec"}
        table["SAM"] = {**sam, "choose": {"sam_rho": list(rhos)}}
        own_folder.joinpath("entries.yaml").write_text(yaml.safe_dump({"entries": table}))
        settings = {**SMALL, **({"eval_args": {**PROTOCOLS["loo"], "split": split}} if split else {})}
        options = {"extend": lambda entries: add_equal_entries(entries, {}), "settings": settings}
        preparation = prepare(["SAM", "SASRec"], own_folder / "entries.yaml", **options)
        (choices,) = select_settings([preparation], make_selector(score, passes))
        jobs = preparation.plan(choices.collect(preparation), choices.waiting).jobs
        assert {job.entry for job in jobs} == {"SAM", "SASRec"}
        for job in jobs:
            write_run(job, 0.5, passes(job))
        return preparation, choices, jobs

    return select


def test_continue_searches__takes_the_passes_of_sam(begin):
    """With 3 epochs and 3 seeds: SASRec 9, SAM 9 + 18 + 18 and two runs of 3, as all are equal: with SASRec's, 60."""
    preparation, choices, jobs = begin(more=5)
    assert sum_run_passes("SAM", "tiny", jobs) == 6
    log = []
    budgets = continue_searches(preparation, choices, jobs, make_selector(score, passes, log=log))
    budget, choice = budgets["tiny"][NAME], choices.made["tiny"][NAME]
    assert (budget.sam, budget.passes, budget.searched) == ("SAM", 9 + 9 + 18 + 18 + 6, 9)
    # the doubled one takes 18, each further one 9, and two runs of the best 6: 9 + 18 + 3 * 9 + 6 = 60
    assert (budget.added, budget.runs, budget.ran_out) == (4, 6, False) and len(log) == 3 * 4
    assert {job.settings["epochs"] for job in log[:3]} == {6} and {
        job.settings["stopping_step"] for job in log[:3]
    } == {20}
    assert {job.settings["learning_rate"] for job in log[:3]} == {0.01} and not any(job.tested for job in log)
    tried = [job.settings["learning_rate"] for job in log[3:]]
    assert choice.chosen.settings == {"learning_rate": max(tried)} and len(choice.candidates) == 5
    plan = preparation.plan(choices.collect(preparation), choices.waiting)
    (equal, _) = (job for job in plan.jobs if job.entry == NAME)
    assert equal.settings["learning_rate"] == max(tried) and equal.settings["epochs"] == 3
    total = budget.searched + choice.passes - 9 + budget.runs
    assert budget.passes <= total < budget.passes + 9  # within one trial


def test_continue_searches__resumes_from_records(begin):
    preparation, choices, jobs = begin(more=5)
    first = continue_searches(preparation, choices, jobs, make_selector(score, passes))
    log = []
    again = continue_searches(preparation, choices, jobs, make_selector(score, passes, log=log))
    assert first == again and log == []


def test_continue_searches__says_if_candidates_run_out(begin):
    preparation, choices, jobs = begin(more=1)
    budgets = continue_searches(preparation, choices, jobs, make_selector(score, passes))
    budget = budgets["tiny"][NAME]
    assert (budget.added, budget.ran_out) == (2, True)


def test_continue_searches__draws_from_ranges(begin):
    preparation, choices, jobs = begin(more={"loguniform": [0.001, 0.1]})
    budget = continue_searches(preparation, choices, jobs, make_selector(score, passes))["tiny"][NAME]
    assert (budget.added, budget.ran_out) == (4, False)  # as many as of a list
    assert budget.space == {"learning_rate": "0.001 to 0.1, logarithmic"}
    _, doubled, *drawn = (one.settings for one in choices.made["tiny"][NAME].candidates)
    assert doubled["epochs"] == 6 and all(0.001 <= one["learning_rate"] <= 0.1 for one in drawn)


def test_continue_searches__expects_runs_to_be_trained_again(begin):
    """Final runs of 3 epochs, the second of which is the best, are trained for 2 more."""
    preparation, choices, jobs = begin(more=5, split={"GTS": {"quantile": 0.7, "retrain": True}})
    budget = continue_searches(preparation, choices, jobs, make_selector(score, passes))["tiny"][NAME]
    assert budget.runs == 2 * (3 + 2)


def test_continue_searches__ends_if_drawn_candidates_fail(begin):
    preparation, choices, jobs = begin(more={"loguniform": [0.001, 0.1]}, rhos=[0.01 * n for n in range(1, 20)])
    log = []

    def fails(job):
        return score(job) if job.settings["learning_rate"] == 0.01 else None

    assert continue_searches(preparation, choices, jobs, make_selector(fails, passes, log=log)) == {}
    words = "its search has not continued: 10 added candidates in a row failed, the last one with seed 7: the loss is"
    assert choices.waiting["tiny"][NAME].startswith(words) and len(log) <= 3 * (1 + 2 * 10)


def test_continue_searches__may_choose_more_epochs(begin):
    preparation, choices, jobs = begin(more=0)
    continue_searches(preparation, choices, jobs, make_selector(score, passes))
    chosen = choices.made["tiny"][NAME].chosen.settings
    assert chosen == {"learning_rate": 0.01, "epochs": 6, "stopping_step": 20}
    plan = preparation.plan(choices.collect(preparation), choices.waiting)
    assert {job.settings["epochs"] for job in plan.jobs if job.entry == NAME} == {6}


def test_continue_searches__trains_runs_like_the_winner(begin):
    """The winner has doubled epochs although the plain entry fixes them; the others keep those."""
    log, fixed = [], {"epochs": 2, "stopping_step": 5}
    preparation, choices, jobs = begin(more=1, fixed=fixed)
    continue_searches(preparation, choices, jobs, make_selector(lambda job: job.settings["epochs"], passes, log=log))
    plan = preparation.plan(choices.collect(preparation), choices.waiting)
    final = next(job for job in plan.jobs if job.entry == NAME)
    of_selection = {"seed"}
    first, further = ({key: one.settings[key] for key in one.settings.keys() - of_selection} for one in log[2::3])
    assert {key: final.settings[key] for key in final.settings.keys() - of_selection} == first
    assert (first["epochs"], first["stopping_step"]) == (4, 10)
    assert {key: further[key] for key in fixed} == fixed
    assert {job.settings["epochs"] for job in plan.jobs if job.entry == "SASRec"} == {2}


def test_continue_searches__waits_for_runs(begin):
    preparation, choices, jobs = begin(more=1)
    (jobs[0].folder / "result.json").unlink()
    assert continue_searches(preparation, choices, jobs, make_selector(score, passes)) == {}
    assert choices.waiting["tiny"][NAME] == "its search has not continued: the runs of SAM have not ended yet"
    write_run(jobs[0], 0.5, ...)
    assert continue_searches(preparation, choices, jobs, make_selector(score, passes)) == {}
    words = f"its search has not continued: {jobs[0].folder}: its record was written by an earlier version"
    assert choices.waiting["tiny"][NAME].startswith(words)
