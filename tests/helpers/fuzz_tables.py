"""Generated tables (CSV, TSV) as people export them, with the rows that they contain."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.helpers.fuzz_texts import NO_NUMBERS, NUMBERS, ids, times

Draw = Callable[[st.SearchStrategy], Any]
ENCODINGS = ["utf-8", "utf-8", "utf-8-sig", "latin-1", "utf-16"]
START = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Table:
    """A table.

    Attributes:
        content: The file.
        delimiter: Text between its cells.
        encoding: Encoding to name.
        rows: User, item, time and rating of each row as texts; "" is nothing.
        seconds: Time of each row in seconds, where the times are dates; else None.
        fault: What is wrong with it; None if it must be accepted.
    """

    content: bytes
    delimiter: str
    encoding: str
    rows: list[tuple[str, str, str, str]]
    seconds: list[float] | None
    fault: str | None


@st.composite
def tables(
    draw: Draw,
    names: tuple[str, str, str, str],
    known: Sequence[str] = (),
    delimiters: str = ",\t;|",
    plain: bool = False,
) -> Table:
    """Draw a table.

    Args:
        names: Names of the columns of user, item, time and rating.
        known: Items of which most are drawn.
        delimiters: Delimiters to choose from.
        plain: Write UTF-8 only, and name the right delimiter.
    """
    delimiter = draw(st.sampled_from(delimiters))
    encoding = "utf-8" if plain else draw(st.sampled_from(ENCODINGS))
    cell = st.one_of(ids(), st.sampled_from(['a"b', "x\ty", "two\nlines", "a,b;c|d"])).filter(
        lambda text: _can_write(text, encoding)
    )
    users = draw(st.lists(cell, min_size=1, max_size=4, unique=True))
    items = draw(st.lists(cell, min_size=1, max_size=5, unique=True)) + list(known) * 2
    moments, seconds = draw(_moments())
    chosen = draw(
        st.lists(
            st.tuples(
                st.sampled_from([*users, ""]),
                st.sampled_from([*items, ""]),
                st.integers(0, 11),
                st.one_of(st.just(""), NUMBERS),
            ),
            min_size=1,
            max_size=20,
        )
    )
    rows = [(user, item, moments[place], rating) for user, item, place, rating in chosen]
    chosen_seconds = None if seconds is None else [seconds[place] for *_, place, _ in chosen]
    header = [*names, "more"] if draw(st.booleans()) else list(names)
    cells = [[*row, "z"][: len(header)] for row in rows]
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    fault = draw(
        st.sampled_from([None, None, None, "missing", "surplus", "time", "byte", *["delimiter"] * (not plain)])
    )
    if fault in ("missing", "surplus"):
        place = draw(st.integers(0, len(cells) - 1))
        cells[place] = cells[place][:-1] if fault == "missing" else [*cells[place], "x"]
    if fault == "time":
        cells[draw(st.integers(0, len(cells) - 1))][2] = draw(
            st.sampled_from([*NO_NUMBERS, ""]).filter(lambda t: _can_write(t, encoding))
        )
    stream = io.StringIO()
    writer = csv.writer(
        stream, delimiter=delimiter, quoting=quoting, lineterminator=draw(st.sampled_from(["\n", "\r\n"]))
    )
    writer.writerow(header)
    writer.writerows(cells)
    content = stream.getvalue().encode(encoding)
    if fault == "byte":
        content += b"\xff\xfe\xff"
    others = [one for one in (",", "\t", "|", "::") if one != delimiter]
    named = draw(st.sampled_from(others)) if fault == "delimiter" else delimiter
    return Table(content, named, encoding, rows, chosen_seconds, fault)


def _can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return "\x1c" not in text and "\ufeff" not in text


@st.composite
def _moments(draw: Draw) -> tuple[list[str], list[float] | None]:
    """Draw twelve times as texts and, for dates, in seconds."""
    if draw(st.booleans()):
        return draw(times()), None
    steps = draw(st.lists(st.integers(-(10**9), 10**9), min_size=12, max_size=12))
    kind = draw(st.sampled_from(["date", "time", "zulu", "zone", "millis", "blank"]))
    dates = [
        START + timedelta(days=step % 9000) if kind == "date" else START + timedelta(seconds=step) for step in steps
    ]
    if kind == "millis":
        dates = [date + timedelta(milliseconds=250) for date in dates]
    spelled = {
        "date": lambda d: d.strftime("%Y-%m-%d"),
        "time": lambda d: d.strftime("%Y-%m-%dT%H:%M:%S"),
        "zulu": lambda d: d.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "zone": lambda d: (d + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00"),
        "millis": lambda d: d.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
        "blank": lambda d: d.strftime("%Y-%m-%d %H:%M:%S"),
    }[kind]
    return [spelled(date) for date in dates], [
        (date - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() for date in dates
    ]


@st.composite
def user_lists(draw: Draw) -> tuple[str, bytes, list[str]]:
    """Draw a file of users: the end of its name, the content and the ids."""
    kind = draw(st.sampled_from([".csv", ".tsv", ".txt"]))
    users = draw(
        st.lists(ids().filter(lambda text: text.strip() and not text.startswith("\ufeff")), min_size=1, max_size=8)
    )
    end = draw(st.sampled_from(["\n", "\r\n"]))
    if kind == ".txt":
        text = end.join(users) + draw(st.sampled_from(["", end]))
    else:
        stream = io.StringIO()
        writer = csv.writer(stream, delimiter="\t" if kind == ".tsv" else ",", lineterminator=end)
        more = draw(st.booleans())
        writer.writerow(["user_id", "age"][: 1 + more])
        writer.writerows([user, "7"][: 1 + more] for user in users)
        text = stream.getvalue()
    return kind, text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig"]))), list(dict.fromkeys(users))
