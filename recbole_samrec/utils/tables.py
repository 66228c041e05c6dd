"""Write tables to files: CSV, TSV, JSON Lines or Parquet, according to the file name."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.installer import make_install_command

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
"""Ends of the names of files that can be written."""


def require_pyarrow(where: str) -> None:
    """Check that Parquet files can be written.

    Args:
        where: The file or option, for the message.

    Raises:
        ConfigError: pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        install = make_install_command("pyarrow")
        raise ConfigError(f"{where}: Parquet needs pyarrow; install it with {install}, or use a .csv file")


def require_new_file(file: Path, overwrite: bool) -> None:
    """Check that a file can be written before anything is computed.

    Raises:
        ConfigError: It exists already, its folder does not, or its kind is not known or cannot be written here.
    """
    if file.suffix not in SUFFIXES:
        raise ConfigError(f"--out={file}: name a file that ends in {', '.join(SUFFIXES)}")
    if file.suffix == ".parquet":
        require_pyarrow(f"--out={file}")
    if not file.parent.is_dir():
        raise ConfigError(f"--out={file}: there is no folder {file.parent}; create it first")
    if file.exists() and not overwrite:
        raise ConfigError(f"--out={file}: the file exists; add --overwrite to replace it, or choose another")


def write_table(frame: pd.DataFrame, file: Path) -> None:
    """Write a table so that the file is at every moment either the old one or the new one.

    Raises:
        ConfigError: It cannot be written.
    """
    from recbole_samrec.utils import checkpoint_io  # imports torch

    try:
        with checkpoint_io.open_atomically(file) as stream:
            if file.suffix == ".parquet":
                frame.to_parquet(stream, index=False)
            elif file.suffix == ".jsonl":
                frame.to_json(stream, orient="records", lines=True, force_ascii=False, double_precision=15)
            else:
                separator = "\t" if file.suffix == ".tsv" else ","
                frame.to_csv(stream, sep=separator, index=False, mode="wb", encoding="utf-8")
    except OSError as error:
        reason = f"it cannot be written ({error.strerror or error})"
        raise ConfigError(f"--out={file}: {reason}; free some space or name another") from error
