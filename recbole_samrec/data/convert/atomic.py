"""Write RecBole's atomic files so that a data set appears completely or not at all."""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_samrec.utils.errors import DataError

_BREAKS = re.compile(r"[\t\r\n\x00]+")
SUFFIXES = ("inter", "user", "item")
INTERACTION_HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float"


@contextmanager
def stage_dataset(folder: Path, name: str, *, force: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside ``folder`` whose files become the set ``name`` when the block ends without error.

    With ``force`` the old ``.inter``, ``.user`` and ``.item`` are replaced together, so that the features of one
    conversion are never combined with the interactions of another.

    Raises:
        DataError: Files of the set exist and ``force`` is false.
    """
    old = [path for suffix in SUFFIXES if (path := folder / f"{name}.{suffix}").exists()]
    if old and not force:
        raise DataError(f"{old[0]} exists already: add --force to replace it, or --out to write elsewhere")
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = folder.parent / f".{folder.name}.{os.getpid()}.partial"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    try:
        yield stage
        _publish(stage, folder, old)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _publish(stage: Path, folder: Path, old: list[Path]) -> None:
    files = sorted(stage.iterdir())
    for path in files:
        _sync(path)
    if not folder.exists():
        os.rename(stage, folder)
    else:
        moves = [(path, stage / f"{path.name}.old") for path in {*old, *_list_existing(files, folder)}]
        _move_all(moves + [(path, folder / path.name) for path in files])
    if os.name == "posix":
        _sync(folder)
        _sync(folder.parent)


def _list_existing(files: list[Path], folder: Path) -> list[Path]:
    return [target for path in files if (target := folder / path.name).exists()]


def _move_all(moves: list[tuple[Path, Path]]) -> None:
    """Make every move or none: files moved before a failure are moved back."""
    done = []
    try:
        for here, there in moves:
            os.replace(here, there)
            done.append((here, there))
    except BaseException:
        for here, there in reversed(done):
            os.replace(there, here)
        raise


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame whose column names are atomic headers, such as ``user_id:token``, tab separated."""
    texts = {name: _clean(column) for name, column in frame.items() if not pd.api.types.is_numeric_dtype(column)}
    frame.assign(**texts).to_csv(
        path, sep="\t", index=False, lineterminator="\n", quoting=csv.QUOTE_NONE, encoding="utf-8", errors="replace"
    )


def _clean(column: pd.Series) -> pd.Series:
    codes, values = pd.factorize(column)
    cleaned = [clean_text(str(value)) for value in values]
    return pd.Series(np.array([*cleaned, ""], dtype=object)[codes], index=column.index, dtype=object)


def clean_text(text: str) -> str:
    """Replace tabs and line ends, which would break a line, and quotation marks, at which RecBole joins lines."""
    return _BREAKS.sub(" ", text).replace('"', "'").strip()


def join_words(text: str) -> str:
    """Join the words of one value, since a space separates the values of a ``token_seq`` cell."""
    return "_".join(str(text).split())
