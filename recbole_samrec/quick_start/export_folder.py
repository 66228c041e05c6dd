"""Folders of files for other programs, which are complete or lack the file that is written last."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.files import require_writable

STAGE = ".export-"
"""Begin of the name of the folder in which files are written."""


def require_folder(folder: Path, files: Sequence[str], overwrite: bool, flag: str = "--overwrite") -> None:
    """Check that an export can be written before anything is computed.

    The files of an interrupted export do not count as an export: the same command makes it again.

    Args:
        folder: The folder.
        files: Names of the files of an export; the last one is there if it is complete.
        overwrite: Whether an earlier export may be replaced.
        flag: Argument that allows it, for the message.

    Raises:
        ConfigError: The folder has other files, has an export already, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out={folder}: it is a file; name a folder")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if any(name not in files and not name.startswith(STAGE) for name in there):
        raise ConfigError(f"--out={folder}: it has other files; name a new folder")
    if files[-1] in there and not overwrite:
        raise ConfigError(f"--out={folder}: it has an export already; add {flag} to replace it, or name another")
    require_writable(folder, "--out")


@contextmanager
def stage_files(folder: Path, files: Sequence[str]) -> Iterator[Path]:
    """Yield a folder whose files replace those of an earlier export when the block ends without error.

    The last file of the list goes first and comes last, so that an export without it is incomplete.

    Raises:
        ConfigError: The files cannot be written.
    """
    last = files[-1]
    try:
        for left in folder.glob(f"{STAGE}*"):  # by a process that was killed
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=STAGE, dir=folder) as place:
            stage = Path(place)
            yield stage
            for name in reversed(files):
                if name == last or not (stage / name).exists():
                    (folder / name).unlink(missing_ok=True)
            for name in files:
                if (stage / name).exists():
                    os.replace(stage / name, folder / name)
    except OSError as error:
        raise ConfigError(
            f"--out={folder}: it cannot be written ({error.strerror or error}); free some space or choose another"
        ) from error
