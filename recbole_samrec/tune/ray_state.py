"""Copies of Ray Tune's state of a search, from which a damaged state is restored.

Ray Tune overwrites its files in place, so that a full disk leaves them incomplete.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError

COPY = "copy.zip"
TUNER, TRIALS = "tuner.pkl", "experiment_state-"
"""Ray Tune's file of the arguments of a search, and the beginning of the names of its files of trials."""


def copy_state(folder: Path) -> None:
    """Copy the files of a state if they are complete; otherwise keep the previous copy.

    Args:
        folder: Folder of the state.

    Raises:
        ConfigError: The copy cannot be written.
    """
    files = _read_files(folder)
    if not is_whole(files):
        return
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    try:
        with checkpoint_io.open_atomically(folder / COPY) as file:
            file.write(packed.getvalue())
    except OSError as error:
        reason = f"cannot be written ({error.strerror})"
        raise ConfigError(f"{folder / COPY}: {reason}; free some space and resume the search") from error


def repair_state(folder: Path) -> bool:
    """Replace a damaged state by the copy.

    Args:
        folder: Folder of the state.

    Returns:
        True if the state is whole now; False if there is none, or neither it nor a copy is whole.
    """
    files = _read_files(folder)
    if is_whole(files) or not (folder / COPY).exists():
        return is_whole(files)
    for name in files:
        (folder / name).unlink()
    with zipfile.ZipFile(folder / COPY) as archive:
        archive.extractall(folder)
    return True


def is_whole(files: Mapping[str, bytes]) -> bool:
    """Return True if files are a complete state: that of the trials is JSON, the others end like pickles."""
    states = {name: content for name, content in files.items() if name.startswith(TRIALS)}
    others = [content for name, content in files.items() if name not in states]
    return bool(states) and TUNER in files and all(map(_is_json, states.values())) and all(map(_is_pickle, others))


def _read_files(folder: Path) -> dict[str, bytes]:
    """Read the files of a state; those with a dot in front are markers."""
    paths = [path for path in sorted(folder.glob("*")) if path.is_file()]
    return {path.name: path.read_bytes() for path in paths if path.name != COPY and not path.name.startswith(".")}


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def _is_pickle(content: bytes) -> bool:
    return content.endswith(b".")
