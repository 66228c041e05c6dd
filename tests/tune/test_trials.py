"""A trial stores the state of its seeds on disk, and reports a validation once its state is saved."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from recbole_samrec.tune import trials
from recbole_samrec.tune.trials import STATE, TrialState, TrialTask, ValidationReporter


def make_task(**more):
    return TrialTask("SASRec+SAM", {"dataset": "tiny", "model": "SASRec", "seed": 5}, None, (1,), "f" * 64, **more)


def test_trial_task__makes_the_job_of_drawn_settings_and_seed():
    job = make_task(source="mine.py:Mine").make_job({"learning_rate": 0.1, "seed": 3}, 7, Path("trial"))
    assert (job.entry, job.dataset, job.seed, job.fraction) == ("SASRec+SAM", "tiny", 7, 1.0)
    assert job.settings == {"dataset": "tiny", "model": "SASRec", "seed": 7, "learning_rate": 0.1}
    shared = make_task(folder=Path("out", "trials")).make_job({"train_fraction": 0.5}, 7, Path("trial"))
    assert shared.settings["pretrained_dir"] == str(Path("out", "pretrained")) and shared.fraction == 0.5


def test_trial_task__has_a_folder_for_each_of_several_seeds():
    assert make_task().seed_folder(Path("trial"), 1) == Path("trial")
    several = TrialTask("SASRec", {}, None, (1, 2), "")
    assert several.seed_folder(Path("trial"), 2) == Path("trial", "2")


def test_trial_state__is_read_as_it_was_written(tmp_path):
    state = TrialState("003", tmp_path)
    state.finished, state.epochs, state.seconds, state.passes = {"1": 0.25}, 8, 3.5, 16.0
    state.write()
    again = TrialState("003", tmp_path)
    assert (again.finished, again.epochs, again.seconds, again.passes) == ({"1": 0.25}, 8, 3.5, 16.0)
    assert json.loads((tmp_path / STATE).read_text())["trial"] == "003"


@pytest.mark.parametrize("text", [None, "", "{", "{}", "[]", "null"])
def test_trial_state__is_new_without_a_file_that_can_be_read(tmp_path, text):
    if text is not None:
        (tmp_path / STATE).write_text(text)
    state = TrialState("003", tmp_path)
    assert (state.finished, state.epochs, state.seconds) == ({}, 0, 0.0)


@pytest.fixture
def reported(tmp_path, monkeypatch):
    """A reporter, its state and its reports; the clock shows a given time."""
    clock, found, state = SimpleNamespace(now=0.0), [], TrialState("003", tmp_path)
    monkeypatch.setattr(trials.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(trials, "best_score", lambda trainer: 0.0)
    reporter = ValidationReporter(lambda metrics, files: found.append(metrics), state, tmp_path)
    reporter.on_train_start(None)
    return reporter, state, found, clock


def test_validation_reporter__reports_the_best_when_saved(reported):
    reporter, state, found, clock = reported
    for epoch, score, best in ((0, 0.2, True), (1, 0.1, False)):
        reporter.on_validation_end(None, epoch, score, {}, best)
        assert len(found) == epoch
        clock.now += 2
        trainer = SimpleNamespace(gradient_passes=2.0 * (epoch + 1))
        reporter.on_save_checkpoint(trainer, epoch)
        reporter.on_save_checkpoint(trainer, epoch)  # without a validation before it
    assert found == [
        {"valid": 0.2, "epoch": 1, "score": 0.2, "seconds": 2.0, "passes": 2.0},
        {"valid": 0.1, "epoch": 2, "score": 0.2, "seconds": 4.0, "passes": 4.0},
    ]
    assert json.loads(state.file.read_text())["epochs"] == 2


def test_validation_reporter__of_a_further_seed_reports_the_mean(reported):
    reporter, state, found, _ = reported
    state.finished, state.epochs, state.passes = {"1": 0.25, "2": 0.75}, 9, 18.0
    reporter.on_validation_end(None, 0, 0.9, {}, True)
    reporter.on_save_checkpoint(SimpleNamespace(gradient_passes=1.0), 0)
    assert found == [{"valid": 0.9, "epoch": 9, "score": 0.5, "seconds": 0.0, "passes": 19.0}]
