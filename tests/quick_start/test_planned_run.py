"""A run is planned in its own folder, and no folder is left of a run that cannot start."""

from pathlib import Path

import pytest

from recbole_samrec.data.convert.frame import Roles
from recbole_samrec.quick_start import planned_run
from recbole_samrec.quick_start.planned_run import PlannedRun, plan_run
from recbole_samrec.quick_start.processes import Processes
from recbole_samrec.utils.errors import CheckpointError, ConfigError, DataError
from tests.helpers.tables import ROLES, make_frame
from tests.helpers.tiny import random_events, write_events

GIVEN = {"model": "BPR", "dataset": "tiny"}


@pytest.fixture
def data(own_folder):
    return write_events("dataset", "tiny", random_events())


@pytest.mark.parametrize("names, found", [([], False), (["last.pth"], True), (["best.pth"], True), (["x.pth"], False)])
def test_planned_run__has_a_checkpoint_to_resume_from(tmp_path, names, found):
    for name in names:
        (tmp_path / name).touch()
    assert PlannedRun(None, tmp_path, None, "").has_checkpoint is found


def test_plan_run__makes_a_new_folder_for_each(data):
    first, second = plan_run(GIVEN), plan_run(GIVEN)
    assert first.folder != second.folder and first.folder.is_dir() and first.folder.parent == Path("runs")
    assert first.folder.name.startswith("BPR-tiny-") and first.resume is None
    assert first.sha256 == second.sha256 and len(first.sha256) == 64
    assert first.config["checkpoint_dir"] == first.config["run_dir"] == str(first.folder)


def test_plan_run__takes_a_given_folder_and_removes_leftovers(data):
    Path("mine").mkdir()
    Path("mine", ".best.pth.abc.tmp").touch()
    notes = []
    planned = plan_run(GIVEN, {"run_dir": "mine", "checkpoint_dir": "elsewhere", "epochs": 3}, note=notes.append)
    assert planned.folder == Path("mine") and planned.config["epochs"] == 3
    assert list(Path("mine").iterdir()) == []
    assert "checkpoint_dir has no effect: checkpoints are in the folder of the run; choose it by --run_dir" in notes
    assert plan_run(GIVEN, {"run_dir": "mine"}, run_dir="other").folder == Path("other")


def test_plan_run__makes_no_folder_for_a_mistake(data):
    with pytest.raises(ConfigError):
        plan_run({**GIVEN, "learning_rte": 1})
    with pytest.raises(CheckpointError):
        plan_run(GIVEN, resume="nowhere")
    assert not Path("runs").exists()


def test_plan_run__starts_anew_if_there_is_nothing_to_resume(data):
    notes = []
    assert plan_run(GIVEN, resume="auto", note=notes.append).resume is None
    assert "no earlier run with these settings; starting a new one" in notes


def test_plan_run__takes_a_table_that_a_file_names(own_folder):
    make_frame().to_parquet("events.parquet")
    base = {"dataset": "events.parquet"}
    names = [plan_run({"model": "BPR"} | one, base, roles=Roles(**ROLES)).config["dataset"] for one in ({}, base)]
    assert names[0] == names[1] and names[0].startswith("events-")
    with pytest.raises(DataError, match=r"^events.parquet has no column 'user_id'"):
        plan_run({"model": "BPR"}, base)
    with pytest.raises(ConfigError, match="but mine is a data set"):
        plan_run({"model": "BPR"}, {"dataset": "mine"}, roles=Roles(**ROLES))


@pytest.mark.parametrize(("given", "sent"), [({}, None), ({"gpu_id": "2,3"}, "2,3"), ({"gpu_id": 1}, "1")])
def test_planned_run__names_gpus_to_processes_if_given(data, monkeypatch, given, sent):
    """Otherwise each run on several processes takes the first GPUs, despite RecBole's default of one GPU."""
    found = {}
    monkeypatch.setattr(planned_run, "train_in_processes", lambda settings, *more, **how: found.update(settings))
    plan_run(GIVEN | given).train(processes=Processes(nproc=2))
    assert found.get("gpu_id") == sent
