"""Errors about folders that are not finished runs contain the path."""

import pytest

from recbole_samrec.integration.registry import is_model
from recbole_samrec.quick_start.finished_run import load_finished_run, load_settings
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError, ConfigError


def test_load_finished_run__names_the_checkpoint_that_is_missing(tmp_path):
    for run, file in ((tmp_path, tmp_path / "best.pth"), (tmp_path / "a.pth", tmp_path / "a.pth")):
        with pytest.raises(CheckpointError, match=f"^{file}: there is no such checkpoint; give the folder of a run"):
            load_finished_run(run)


def test_load_finished_run__names_a_damaged_checkpoint(tmp_path):
    (tmp_path / "best.pth").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=r"best\.pth"):
        load_finished_run(tmp_path)


def test_load_finished_run__registers_the_model_first(tmp_path):
    assert is_model("SASRec")
    with pytest.raises(ConfigError, match=r"^--model=SASRec: give the file and the class of your model"):
        load_finished_run(tmp_path, "SASRec")


def test_load_settings__leaves_out_the_gpu(own_folder):
    """It is the index of a GPU of the machine on which the run was trained."""
    stored = {"config": {"model": "BPR", "dataset": "tiny", "gpu_id": "3", "use_gpu": False}, "state_dict": {}}
    checkpoint_io.save(own_folder / "best.pth", stored)
    found = load_settings(own_folder / "best.pth")
    assert found.items() >= {"model": "BPR", "dataset": "tiny", "use_gpu": False}.items() and "gpu_id" not in found
