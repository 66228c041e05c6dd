"""Atomic writing and careful reading of text files, a check that folders are writable, and hashes of files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError


def write_atomically(path: Path, text: str, folder: str = "--run_dir") -> None:
    """Write a text file atomically, so that it is always either the old or the new one.

    Args:
        path: The file.
        text: Its content.
        folder: Name of the setting that chooses the folder, for the error.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        with checkpoint_io.open_atomically(path) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        reason = f"cannot be written ({error.strerror})"
        raise ConfigError(f"{path}: {reason}; free some space or choose another {folder}") from error


def read_mapping(file: Path) -> dict[str, Any]:
    """Read a JSON file with a mapping; empty if it is missing or damaged."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def require_writable(path: Path, flag: str) -> None:
    """Create a folder, and check that files can be written in it.

    Args:
        path: The folder.
        flag: The setting that chooses the folder, for the error.

    Raises:
        ConfigError: The folder cannot be created or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{os.getpid()}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = f"the folder cannot be written ({error.strerror})"
        raise ConfigError(f"{flag}={path}: {reason}; choose another") from error


def hash_files(files: Iterable[Path]) -> str:
    """Return the sha256 of files one after the other, read piece by piece: they may be larger than the memory."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()
