"""Comparisons are prepared, and entries that cannot be compared are reported."""

from pathlib import Path

import pytest
import yaml

from recbole_samrec.compare.declarations import Declarations
from recbole_samrec.compare.prepare import ComparisonPlan, check_validation, prepare_comparison
from recbole_samrec.experiments import worker
from recbole_samrec.experiments.jobs import Job
from recbole_samrec.experiments.results import read_finished_runs
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.jobs import SMALL, ignore
from tests.helpers.searches import BEST, write_search
from tests.helpers.tiny import random_events, write_events


def test_prepare_comparison__warns_of_mixed_predictions(own_folder):
    write_events("dataset", "tiny", random_events(users=10))
    ratio = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user", "mode": "full"}
    for models, settings, warned in (
        (["SASRec", "Pop"], {"eval_args": ratio}, True),
        (["SASRec", "GRU4Rec"], {"eval_args": ratio}, False),
        (["SASRec", "Pop"], {}, False),
    ):
        notes = []
        entries = {"seeds": 1, "fractions": [1.0], "out": Path("out"), "settings": settings}
        prepare_comparison(models, ["tiny"], note=notes.append, **entries).plan()
        line = "tiny: SASRec predicts a user's test events one by one and Pop at once; there will be no table of both"
        assert any(note.startswith(line) for note in notes) is warned


@pytest.mark.parametrize("fractions, named", [([], ""), ([0.0, 1.0], "0,1"), ([1.5], "1.5"), ([0.5, 0.5], "0.5,0.5")])
def test_prepare_comparison__refuses_wrong_shares(fractions, named):
    words = rf"^--train_fraction={named}: give distinct numbers in \(0, 1\]$"
    with pytest.raises(ConfigError, match=words):
        prepare_comparison(["Pop"], ["tiny"], seeds=1, fractions=fractions, out=Path("out"), settings={})


def plan_validation(dataset, pairs=(), **masks):
    jobs = [Job(name, dataset, 1, 1.0, {"mask_history": one}, "", Path()) for name, one in masks.items()]
    return ComparisonPlan([], jobs, declared=Declarations(tuple(pairs)))


@pytest.mark.parametrize(
    "pairs, select, why", [([("A", "C")], False, "primary and equivalence"), ([], True, "--select")]
)
def test_check_validation__wants_one_form_of_the_history(pairs, select, why):
    check_validation([plan_validation("a", pairs, A=True, C=True), plan_validation("b", pairs, C=True)], select)
    check_validation([plan_validation("a", [("A", "B")], A=False, B=None, C=True)], select=False)
    words = rf"^mask_history: validation masks the history of C on b, but not that of A on a; for {why}, give all"
    with pytest.raises(ConfigError, match=words):
        check_validation([plan_validation("a", pairs, A=False), plan_validation("b", pairs, C=True)], select)


def test_preparation__takes_what_another_entry_searched(own_folder):
    """Its settings without SAM are not among what SASRec's search found for the entry with SAM."""
    write_events("dataset", "tiny", random_events(users=10))
    write_search("runs/tune", "SASRec", "tiny", settings={"sam_rho": 0, "n_layers": 1})
    tuned = {"model": "SAMRec", "variant_of": "SASRec", "tuned_as": "SASRec"}
    Path("mine.yaml").write_text(yaml.safe_dump({"entries": {"SAM": tuned, "no layers": {"model": "SAMRec"}}}))
    options = {"seeds": 1, "fractions": [1.0], "out": Path("out"), "entry_files": ["mine.yaml"], "tuned": "runs/tune"}
    preparation = prepare_comparison(["SAM", "SASRec", "no layers"], ["tiny"], **options)
    assert preparation.found["tiny"]["SAM"] == BEST and preparation.found["tiny"]["no layers"] == {}
    assert preparation.found["tiny"]["SASRec"] == {**BEST, "sam_rho": 0, "n_layers": 1}
    settings = {job.entry: job.settings for job in preparation.plan().jobs}
    assert settings["SAM"]["sam_rho"] == 0.3 and settings["SAM"]["learning_rate"] == 0.002
    assert settings["no layers"]["learning_rate"] == 0.001 and settings["SASRec"]["sam_rho"] == 0


def few_events(smallest):
    """Events of twenty users, the fewest of a user being ``smallest`` and the most eight."""
    for user in range(20):
        for step in range(max(smallest, user % 9)):
            yield f"u{user}", f"i{user + step}", 100 * user + step


def compared(entries=("SASRec", "Pop", "RecentPop"), **settings):
    """The prepared comparison of some entries on the data set in the working folder, and its notes."""
    notes = []
    settings |= SMALL if "SASRec" in entries else {}
    how = {"seeds": 1, "fractions": [1.0], "out": Path("out"), "settings": settings, "note": notes.append}
    jobs = prepare_comparison(entries, ["tiny"], **how).plan().jobs
    return jobs, [note for note in notes if "sequential_targets" in note]


def test_preparation__holds_out_the_same_events_for_all(own_folder):
    write_events("dataset", "tiny", few_events(1))
    jobs, (note,) = compared()
    assert [job.settings["sequential_targets"] for job in jobs] == [False, True, True]
    assert note.startswith("tiny: some users have fewer than 4 events") and "; Pop, RecentPop get the targets" in note
    assert [worker.train_job(job, ignore).get("failed") for job in jobs] == [None] * 3
    runs, damaged = read_finished_runs(jobs)
    assert len(runs) == 3 and not damaged and len({run.test for run in runs}) == 1
    assert len(runs[0].ranks) == sum(user % 9 > 2 for user in range(20))
    assert [(job.folder, job.finished) for job in compared()[0]] == [(job.folder, True) for job in jobs]


def test_preparation__aligns_no_targets_where_all_are_alike(own_folder):
    write_events("dataset", "tiny", few_events(4))
    assert compared()[1] == []
    write_events("dataset", "tiny", few_events(3))
    assert len(compared()[1]) == 1
    by_time = {"eval_args": {"split": {"GTS": {"quantile": 0.6}}}}
    for entries, settings in (
        (["Pop", "RecentPop"], {}),
        (["SASRec"], {}),
        (["SASRec", "Pop"], by_time),
        (["SASRec", "Pop"], {"sequential_targets": False}),
    ):
        jobs, notes = compared(entries, **settings)
        assert notes == [] and not any(job.settings["sequential_targets"] for job in jobs)
