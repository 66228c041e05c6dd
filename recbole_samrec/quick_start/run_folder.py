"""The folder of a run: its files, its newest checkpoint, and the removal of folders of runs that did not start."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from recbole_samrec.config.fingerprint import fingerprint
from recbole_samrec.quick_start.record import RESULT
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError, ConfigError
from recbole_samrec.utils.files import require_writable

CONFIG = "config.yaml"
"""File of the settings of a run."""
CHECKPOINTS = ("last.pth", "previous.pth", "best.pth")
"""Files of checkpoints, in the order in which they are preferred among equally new ones."""


SELECTION = "selection"
"""Folder, inside that of a run that is trained twice, of the first training."""


def newest_checkpoint(folder: Path, warn: Callable[[str], None] = lambda line: None) -> Path:
    """Return the newest readable checkpoint, from which a run can be resumed.

    Args:
        folder: Folder of a run, or a checkpoint file.
        warn: Called with a line about each damaged file that is skipped.

    Raises:
        CheckpointError: There is none.
    """
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise CheckpointError(f"--resume={folder}: there is no such run; the runs are in runs/")
    if not any((folder / name).exists() for name in CHECKPOINTS) and (folder / SELECTION).is_dir():
        folder = folder / SELECTION
    states = [(file, _read_epoch(file, warn)) for file in map(folder.joinpath, CHECKPOINTS) if file.exists()]
    readable = [(epoch, file) for file, epoch in states if epoch is not None]
    if readable:
        return max(readable, key=lambda pair: pair[0])[1]  # the first of several, which is last.pth
    if states:
        raise CheckpointError(f"--resume={folder}: none of its checkpoints can be read; start a new run")
    raise CheckpointError(
        f"--resume={folder}: no checkpoint found (the run ended before its first epoch did); start a new run"
    )


def find_checkpoint(folder: Path) -> Path | None:
    """Return the newest readable checkpoint of a run's folder, or None."""
    try:
        return newest_checkpoint(folder)
    except CheckpointError:
        return None


def find_own_checkpoint(folder: Path) -> Path | None:
    """Return the newest readable checkpoint of a training's own folder, or None."""
    found = find_checkpoint(folder)
    return found if found is not None and found.parent == folder else None


def has_checkpoint(folder: Path) -> bool:
    """Return True if a run's folder has a checkpoint, of the first training if it is trained twice."""
    return any((place / name).exists() for place in (folder, folder / SELECTION) for name in CHECKPOINTS)


def find_run_folder(checkpoint: Path) -> Path:
    """Return the folder of the run that a checkpoint belongs to."""
    return checkpoint.parent.parent if checkpoint.parent.name == SELECTION else checkpoint.parent


def _read_epoch(file: Path, warn: Callable[[str], None]) -> int | None:
    """Return the epoch after which a checkpoint was written, or None if it is damaged."""
    try:
        return int(checkpoint_io.load(file).get("epoch", -1))
    except CheckpointError as error:
        warn(f"skipped: {error}")
        return None


def newest_run_like(runs: Path, settings: Mapping[str, Any]) -> Path | None:
    """Return the newest folder under ``runs`` whose run has the same settings, or None."""
    wanted = fingerprint(settings)
    folders = [file.parent for file in runs.glob(f"*/{CONFIG}")]
    for folder in sorted(folders, key=lambda f: (f / CONFIG).stat().st_mtime, reverse=True):
        try:
            stored = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            continue
        if isinstance(stored, dict) and fingerprint(stored) == wanted:
            if has_checkpoint(folder):
                return folder
    return None


def make_folder(path: Path) -> None:
    """Create the folder of a new run.

    Raises:
        ConfigError: It has a run already, or cannot be written.
    """
    taken = [name for name in (*CHECKPOINTS, RESULT, SELECTION) if (path / name).exists()]
    if taken:
        raise ConfigError(
            f"--run_dir={path}: the folder has a run already ({taken[0]}); resume it with --resume={path}, or choose "
            "another folder"
        )
    require_writable(path, "--run_dir")


def newest_weights(folder: Path) -> Path | None:
    """Return the newest file of pre-trained weights in a run's folder, or None."""
    others = [file for file in folder.glob("*.pth") if file.name not in CHECKPOINTS]
    return max(others, key=lambda file: file.stat().st_mtime, default=None)


def remove_unstarted(path: Path) -> None:
    """Remove the files of a run that ended before its training started, and its folder if it is empty."""
    if (path / CONFIG).exists():
        return
    (path / "run.log").unlink(missing_ok=True)
    shutil.rmtree(path / "tensorboard", ignore_errors=True)
    with suppress(OSError):  # it has other files
        path.rmdir()
        path.parent.rmdir()
