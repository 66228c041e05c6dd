"""Write sessions as users, so that a split by time keeps each of them whole."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from recbole_samrec.data.convert.atomic import write_frame
from recbole_samrec.data.convert.source import Archive, open_bytes
from recbole_samrec.utils.errors import DataError

NOTE = (
    "users are sessions; timestamp is the time at which the session began, so that a split by time keeps it whole, and "
    "event_time that of the event; events of a session are in order"
)
"""Note for the user on what the columns are."""


def write_sessions(events: pd.DataFrame, target: Path) -> None:
    """Write events whose ``timestamp`` is the time at which their session began, in the order of that time.

    A global temporal split then puts a session on the side on which it begins: all its events are early or late. Equal
    times keep the order of the lines, which is that of the events.

    Args:
        events: Columns ``session``, ``item`` and ``time`` (milliseconds); events with equal times are in order.
        target: File to write.
    """
    start = events.groupby("session", sort=False)["time"].transform("min").to_numpy()
    codes = pd.factorize(events["session"])[0]
    order = np.lexsort((events["time"], codes, start))
    ordered, begun = events.iloc[order], start[order]
    columns = {
        "user_id:token": ordered["session"].to_numpy(),
        "item_id:token": ordered["item"].to_numpy(),
        "timestamp:float": to_seconds(begun),
        "event_time:float": to_seconds(ordered["time"].to_numpy()),
    }
    write_frame(pd.DataFrame(columns), target)


def to_seconds(milliseconds: np.ndarray) -> np.ndarray:
    """Convert integers of milliseconds to seconds, which are integers if all are whole."""
    whole = not (milliseconds % 1000).any()
    return milliseconds // 1000 if whole else milliseconds / 1000


@contextmanager
def open_member(source: Path, member: str) -> Iterator[IO[bytes]]:
    """Open a file, or the member of a zip archive or folder with this name.

    Raises:
        DataError: There is none, or it is damaged.
    """
    if not (source.is_dir() or (source.is_file() and zipfile.is_zipfile(source))):
        with open_bytes(source) as file:
            yield file
        return
    with Archive(source) as archive:
        if member not in archive:
            raise DataError(f"{source} has no {member}: give the provider's archive, its folder or that file")
        with archive.open(member) as file:
            yield file


def require_cells(events: pd.DataFrame, source: Path, first: int) -> None:
    """Check that no cell is missing.

    Args:
        events: The columns that are used, as they were read.
        source: Their file, for the message.
        first: Number of the first line.

    Raises:
        DataError: A cell is missing.
    """
    missing = events.isna()
    if missing.any(axis=None):
        row = int(missing.any(axis=1).to_numpy().argmax())
        column = missing.columns[missing.iloc[row].to_numpy().argmax()]
        raise DataError(f"{source} line {row + first}: {column} is missing: download the file again")
