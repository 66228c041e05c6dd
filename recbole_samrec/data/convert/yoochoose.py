"""Convert the clicks of the RecSys Challenge 2015 (YOOCHOOSE): session, time, item and category, without a header."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from recbole_samrec.data.convert.sessions import NOTE, open_member, require_cells, write_sessions
from recbole_samrec.utils.errors import DataError

CLICKS = "yoochoose-clicks.dat"
_LINE = re.compile(r"\d+,\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z,\d+,\w+\s*$")
_COLUMNS = ["session", "time", "item", "category"]


def is_yoochoose(line: str) -> bool:
    """Return True if a file's first line is a click."""
    return bool(_LINE.match(line))


def convert_yoochoose(source: Path, stage: Path, name: str) -> list[str]:
    """Write ``.inter`` with the sessions as users; see :func:`recbole_samrec.data.convert.sessions.write_sessions`.

    Args:
        source: ``yoochoose-clicks.dat``, gzipped or not, or a folder or zip archive with it.
        stage: Folder to write to.
        name: Name of the data set.

    Returns:
        Notes for the user, one line each.

    Raises:
        DataError: A line is not a click.
    """
    with open_member(source, CLICKS) as file:
        try:
            events = pd.read_csv(
                file, header=None, names=_COLUMNS, dtype=dict.fromkeys(_COLUMNS, str), index_col=False, na_filter=True
            )
        except (ValueError, pd.errors.ParserError) as error:
            raise DataError(f"{source} is not {CLICKS} of YOOCHOOSE: {str(error).strip()}") from error
    require_cells(events, source, 1)
    times = pd.to_datetime(events["time"], format="ISO8601", utc=True, errors="coerce")
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        raise DataError(f"{source} line {row + 1}: {events['time'].iloc[row]!r} is no time of a click")
    events["time"] = times.dt.as_unit("ms").astype("int64")
    write_sessions(events, stage / f"{name}.inter")
    return [NOTE]
