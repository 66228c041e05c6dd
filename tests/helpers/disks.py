"""A small separate disk that can be full or read-only."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest


def _mount(*words) -> None:
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*sudo, *map(str, words)], check=True, capture_output=True)


class Disk:
    """A file system in memory.

    Args:
        folder: Where it is mounted.
        size: Its size in bytes.
    """

    def __init__(self, folder: Path, size: int = 16 * 2**20) -> None:
        self.folder, self._filler = folder, folder / ".filler"
        folder.mkdir()
        _mount("mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", folder)

    def fill(self, left: int) -> None:
        """Fill the disk up to some bytes; fewer are left if other processes write at the same time."""
        space = os.statvfs(self.folder)
        with contextlib.suppress(OSError):
            self._filler.write_bytes(b"x" * max(0, space.f_bavail * space.f_frsize - left))

    def close_writing(self) -> None:
        """Make the disk read-only."""
        _mount("mount", "-o", "remount,ro", self.folder)

    def repair(self) -> None:
        """Make the disk writable and free its space."""
        _mount("mount", "-o", "remount,rw", self.folder)
        self._filler.unlink(missing_ok=True)

    def remove(self) -> None:
        """Unmount the disk."""
        _mount("umount", "--lazy", self.folder)


@contextlib.contextmanager
def make_disk(folder: Path):
    """Mount a disk for the duration of a block; skip the test if mounting is not permitted."""
    try:
        disk = Disk(folder)
    except (OSError, AttributeError, subprocess.CalledProcessError):  # Windows has no os.geteuid
        pytest.skip("needs the permission to mount a disk")
    try:
        yield disk
    finally:
        disk.remove()
