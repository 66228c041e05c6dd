"""An export is complete, or lacks the file that is written last."""

from pathlib import Path

import pytest

from recbole_samrec.quick_start.export_folder import STAGE, require_folder, stage_files
from recbole_samrec.utils.errors import ConfigError

FILES = ("a", "b", "last")


def write(folder, names, text):
    require_folder(folder, FILES, overwrite=True)
    with stage_files(folder, FILES) as stage:
        for name in names:
            (stage / name).write_text(text)


def read(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_stage_files__replace_an_earlier_export(own_folder):
    out = Path("out")
    write(out, FILES, "old")
    write(out, ("a", "last"), "new")
    assert read(out) == {"a": "new", "last": "new"}
    with pytest.raises(ZeroDivisionError), stage_files(out, FILES) as stage:
        (stage / "a").write_text("newer")
        raise ZeroDivisionError
    assert read(out) == {"a": "new", "last": "new"}
    with pytest.raises(ConfigError, match=r"^--out=out: it cannot be written"), stage_files(out, FILES):
        raise OSError(28, "No space left on device")


def test_require_folder__takes_new_and_unfinished_ones(own_folder):
    require_folder(Path("new/folder"), FILES, overwrite=False)
    left = Path("out")
    (left / f"{STAGE}x").mkdir(parents=True)
    (left / "a").touch()
    require_folder(left, FILES, overwrite=False)
    write(left, FILES, "")
    assert set(read(left)) == set(FILES)


def test_require_folder__leaves_other_files_alone(own_folder):
    write(Path("out"), FILES, "")
    with pytest.raises(ConfigError, match="it already contains an export; add --force to replace it"):
        require_folder(Path("out"), FILES, overwrite=False, flag="--force")
    Path("out/mine").touch()
    with pytest.raises(ConfigError, match="it contains other files; choose a new folder"):
        require_folder(Path("out"), FILES, overwrite=True)
    with pytest.raises(ConfigError, match="it is a file"):
        require_folder(Path("out/mine"), FILES, overwrite=True)
