"""The folder of a run."""

from pathlib import Path

import pytest

from recbole_samrec.quick_start import run_folder
from recbole_samrec.utils.errors import CheckpointError, ConfigError
from tests.helpers.command import tree


def test_remove_unstarted__keeps_other_files(own_folder):
    folder = Path("runs/one")
    (folder / "tensorboard").mkdir(parents=True)
    (folder / "run.log").touch()
    (folder / "mine").touch()
    run_folder.remove_unstarted(folder)
    assert set(tree(own_folder)) == {"runs", "runs/one", "runs/one/mine"}
    (folder / "mine").unlink()
    run_folder.remove_unstarted(folder)
    assert not tree(own_folder)
    folder.mkdir(parents=True)
    for name in ("run.log", run_folder.CONFIG):
        (folder / name).touch()
    run_folder.remove_unstarted(folder)
    assert (folder / "run.log").exists()


def test_make_folder__takes_no_folder_of_another_run(own_folder):
    run_folder.make_folder(Path("one"))
    run_folder.make_folder(Path("one"))
    Path("one/last.pth").touch()
    with pytest.raises(ConfigError, match=r"last\.pth"):
        run_folder.make_folder(Path("one"))


def test_newest_checkpoint__is_needed_to_resume(own_folder):
    Path("one").mkdir()
    for folder in ("one", "two"):
        with pytest.raises(CheckpointError, match=f"--resume={folder}"):
            run_folder.newest_checkpoint(Path(folder))
        assert run_folder.find_checkpoint(Path(folder)) is None
