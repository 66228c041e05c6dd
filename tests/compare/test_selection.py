"""Selection: the runs that choose, their choices, and the entries that wait for a choice."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from recbole_samrec.compare.selection import Selector, expect_retraining, read_failed_passes, select_settings
from recbole_samrec.experiments.estimate import CostBook
from recbole_samrec.experiments.protocols import PROTOCOLS
from recbole_samrec.quick_start.record import RESULT, RunRecord
from recbole_samrec.utils import checkpoint_io
from tests.helpers.selection import SEEDS, make_selector, prepare
from tests.helpers.tiny import random_events, write_events

ENTRIES = {
    "SASRec": {"model": "SAMRec", "fixed": {"sam_rho": 0}, "choose": {"learning_rate": [0.1, 0.2], "n_layers": [1, 2]}},
    "SAM": {"model": "SAMRec", "variant_of": "SASRec", "tuned_as": "SASRec", "choose": {"sam_rho": [0, 0.1, 0.3]}},
    "again": {"model": "SAMRec", "variant_of": "SASRec", "choose": {"sam_rho": [0, 0.1], "learning_rate": [0.1, 0.2]}},
}


@pytest.fixture
def file(own_folder):
    write_events("dataset", "tiny", random_events(users=12, items=25))
    own_folder.joinpath("entries.yaml").write_text(yaml.safe_dump({"entries": ENTRIES}))
    return own_folder / "entries.yaml"


def score(job):
    """Best with a rate of 0.2 and two layers, then with rho 0.3, which 0.1 equals within the noise of the seeds."""
    of, noise = job.settings, 0.01 * (job.seed % 3)
    rho = {0: 0.0, 0.1: 0.02 + noise, 0.3: 0.03}[of["sam_rho"]]
    return 0.3 + 0.1 * of["learning_rate"] + 0.01 * of["n_layers"] + rho


def test_select_settings__chooses_by_untested_runs(file):
    log, preparation = [], prepare(["SASRec", "SAM", "GRU4Rec"], file)
    (choices,) = select_settings([preparation], make_selector(score, log=log))
    plain, sam = choices.made["tiny"]["SASRec"], choices.made["tiny"]["SAM"]
    assert plain.chosen.settings == {"learning_rate": 0.2, "n_layers": 2} and len(plain.candidates) == 4
    behind = [0.03 - (0.02 + 0.01 * (seed % 3)) for seed in SEEDS]
    assert sam.decision.behind[1] == pytest.approx(np.mean(behind), abs=1e-12) and sam.decision.best == 1
    assert (sam.chosen.settings, sam.tuned_as, sam.seeds) == ({"sam_rho": 0.1}, "SASRec", SEEDS)
    assert len(log) == 3 * (4 + 3) and plain.passes == 12 and not choices.waiting
    for job in log:
        assert not job.tested and job.folder.parent.as_posix() == "out/selection/tiny" and job.seed in SEEDS
        assert RunRecord.read(job.folder / RESULT).test is None
    of_sam = [job.settings for job in log if job.entry.startswith("SAM ")]
    assert {(one["learning_rate"], one["n_layers"]) for one in of_sam} == {(0.2, 2)}
    plan = preparation.plan(choices.collect(preparation), choices.waiting)
    settings = {job.entry: job.settings for job in plan.jobs}
    assert (settings["SAM"]["sam_rho"], settings["SAM"]["learning_rate"], settings["SAM"]["n_layers"]) == (0.1, 0.2, 2)
    assert settings["SASRec"]["sam_rho"] == 0 and settings["SASRec"]["n_layers"] == 2
    assert all(job.tested and job.folder.parent.as_posix() == "out/tiny" for job in plan.jobs)


def test_select_settings__trains_no_finished_run_again(file):
    log, names = [], ["SASRec", "SAM", "again"]
    (first,) = select_settings([prepare(names, file)], make_selector(score, log=log))
    assert len(log) == 3 * (4 + 3 + 4)
    (second,) = select_settings([prepare(names, file)], make_selector(score, log=log))
    assert len(log) == 33
    for name in names:
        assert first.made["tiny"][name].candidates == second.made["tiny"][name].candidates


def test_select_settings__shares_runs_between_targets(file):
    """Protocols that differ only in test targets share validation runs, even if runs are trained again."""
    log = []
    split = {"GTS": {"quantile": 0.7, "target": "last", "retrain": True}}
    other = {"GTS": {"quantile": 0.7, "target": "successive", "retrain": True}}
    settings = [{"eval_args": {**PROTOCOLS["loo"], "split": one}} for one in (split, other)]
    small = prepare(["SAM", "SASRec"], file).given
    both = [prepare(["SAM", "SASRec"], file, settings={**small, **one}) for one in settings]
    one, two = select_settings(both, make_selector(score, log=log))
    assert len(log) == 3 * (4 + 3) and one.made["tiny"]["SAM"].candidates == two.made["tiny"]["SAM"].candidates
    assert not any(job.settings["eval_args"]["split"]["GTS"]["retrain"] for job in log)


def test_select_settings__excludes_candidates_that_fail(file):
    def fails(job):
        return None if job.settings["sam_rho"] == 0.1 and job.seed == 8 else score(job)

    preparation = prepare(["SASRec", "SAM"], file)
    (choices,) = select_settings([preparation], make_selector(fails))
    sam = choices.made["tiny"]["SAM"]
    assert sam.chosen.settings == {"sam_rho": 0.3} and sam.candidates[1].failures == ("seed 8: the loss is nan",)
    assert sam.candidates[1].passes == 2 * 1 + 1  # a run that failed counts, too


@pytest.mark.parametrize(
    "record, passes",
    [
        ({"gradient_passes": 20.0, "epochs_run": 10, "best_epoch": 3}, 8),  # SAM takes two in each epoch
        ({"gradient_passes": 0.0, "epochs_run": None, "best_epoch": None}, 0),
        ({"gradient_passes": 50.0, "epochs_run": 20, "best_epoch": 9, "pretraining": {"gradient_passes": 30.0}}, 40),
        ({"epochs_run": 10, "best_epoch": 3}, math.nan),
    ],
)
def test_expect_retraining__counts_to_the_best_epoch(record, passes):
    assert expect_retraining(record) == pytest.approx(passes, nan_ok=True)


@pytest.mark.parametrize(
    "state, passes",
    [
        (None, 1),
        ({"epoch": 3}, 1),
        ({"sam": {"passes": 0.0}, "pretraining": None}, 1),
        ({"sam": {"passes": None}}, 1),
        ({"sam": {"passes": 12.5}, "pretraining": {"gradient_passes": 30.0}}, 42.5),
    ],
)
def test_read_failed_passes__reads_the_checkpoint(tmp_path, state, passes):
    if state is not None:
        checkpoint_io.save(tmp_path / "last.pth", state)
    assert read_failed_passes(tmp_path) == passes


def test_select_settings__waits_for_choices(file):
    """Without a score of the plain entry, neither it nor the entry that is tuned as it has jobs."""
    preparation = prepare(["SASRec", "SAM", "again"], file)
    (choices,) = select_settings(
        [preparation], make_selector(lambda job: None if job.entry.startswith("SASRec") else score(job))
    )
    words = "no candidate has a validation score of each seed; seed 7: the loss is nan"
    assert choices.waiting["tiny"] == {"SASRec": words, "SAM": "the settings of SASRec are not chosen yet"}
    plan = preparation.plan(choices.collect(preparation), choices.waiting)
    assert {job.entry for job in plan.jobs} == {"again"} and plan.waiting == choices.waiting
    idle = Selector(SEEDS, Path("other"), CostBook)
    (choices,) = select_settings([preparation], idle)
    words = "4 of 4 candidates are not trained: run the command again without --tables"
    assert choices.waiting["tiny"]["again"] == words
