"""Convert the events of the RetailRocket e-commerce data set: views of visitors, cut into sessions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recbole_samrec.data.convert.sessions import NOTE, open_member, require_cells, write_sessions
from recbole_samrec.utils.errors import DataError

EVENTS = "events.csv"
HEADER = "timestamp,visitorid,event,itemid,transactionid"
PAUSE = 30 * 60 * 1000
"""Milliseconds without an event after which a visitor's next event begins a session."""
_COLUMNS = ["timestamp", "visitorid", "event", "itemid"]


def convert_retailrocket(source: Path, stage: Path, name: str) -> list[str]:
    """Write ``.inter`` of the views, with sessions as users: ``<visitor>_<number>``, numbered from 1.

    A session ends when its visitor has no view for more than 30 minutes. See
    :func:`recbole_samrec.data.convert.sessions.write_sessions` for the times.

    Args:
        source: ``events.csv``, gzipped or not, or a folder or zip archive with it.
        stage: Folder to write to.
        name: Name of the data set.

    Returns:
        Notes for the user, one line each.

    Raises:
        DataError: The file is another one, or has no views.
    """
    with open_member(source, EVENTS) as file:
        kinds = {"timestamp": np.int64, "visitorid": str, "event": str, "itemid": str}
        try:
            table = pd.read_csv(file, usecols=_COLUMNS, dtype=kinds, index_col=False)
        except (ValueError, pd.errors.ParserError) as error:
            raise DataError(f"{source} is not {EVENTS} of RetailRocket ({HEADER}): {str(error).strip()}") from error
    require_cells(table, source, 2)
    views = table[table["event"] == "view"]
    if views.empty:
        raise DataError(f"{source} has no event 'view': use the unchanged {EVENTS}")
    events = views.rename(columns={"timestamp": "time", "itemid": "item"}).reset_index(drop=True)
    events["session"] = events["visitorid"] + "_" + number_sessions(events).astype(str)
    write_sessions(events, stage / f"{name}.inter")
    others = table["event"].value_counts().drop("view")
    skipped = ", ".join(f"{number:,} {event}" for event, number in others.items())
    notes = [NOTE, "a session ends when its visitor has no view for more than 30 minutes"]
    return [*notes, f"views were kept, other events skipped: {skipped}"] if skipped else notes


def number_sessions(events: pd.DataFrame) -> pd.Series:
    """Number the sessions of each visitor, from 1.

    Args:
        events: Columns ``visitorid`` and ``time`` (milliseconds), in any order.
    """
    ordered = events.sort_values("time", kind="stable")
    visitors = ordered.groupby("visitorid")
    begins = visitors["time"].diff().isna() | (visitors["time"].diff() > PAUSE)
    return begins.groupby(ordered["visitorid"]).cumsum().reindex(events.index).astype(np.int64)
