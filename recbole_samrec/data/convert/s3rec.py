"""Convert data sets in S3Rec's format: one line per user, with the user and the items in time order."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from recbole_samrec.data.convert.atomic import join_words, write_frame
from recbole_samrec.data.convert.source import open_text
from recbole_samrec.data.spelling import find_alike
from recbole_samrec.utils.errors import DataError


def is_s3rec(line: str) -> bool:
    """Return True if a file's first line is a user with items: integers separated by single blanks."""
    words = line.strip().split(" ")
    return len(words) > 1 and all(word.isdecimal() for word in words)


def convert_s3rec(source: Path, stage: Path, name: str, attributes: Path | None = None) -> list[str]:
    """Write ``.inter`` with the position in the sequence as ``timestamp``, and ``.item`` from the attributes.

    Args:
        source: The file of sequences, such as ``Beauty.txt``.
        stage: Folder to write to.
        name: Name of the data set.
        attributes: JSON file that maps an item to the list of its attributes; items without interactions are skipped.

    Returns:
        Notes for the user, one line each.

    Raises:
        DataError: A line has no item, a user has two lines, or the attributes have another form or none of the items.
    """
    sequences = _read_sequences(source)
    frame = pd.DataFrame({"user_id:token": sequences.keys(), "item_id:token": sequences.values()})
    frame = frame.explode("item_id:token", ignore_index=True)
    frame["timestamp:float"] = frame.groupby("user_id:token", sort=False).cumcount() + 1
    write_frame(frame, stage / f"{name}.inter")
    notes = ["the source has no times: timestamp is the position in the user's sequence"]
    if attributes is not None:
        items = sorted(frame["item_id:token"].unique(), key=lambda item: (int(item) if item.isdecimal() else 0, item))
        table = _read_attributes(attributes)
        notes += _compare_items(items, table, source, attributes)
        write_frame(_make_item_frame(table, items), stage / f"{name}.item")
    return notes


def _read_sequences(source: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with open_text(source) as lines:
        for number, line in enumerate(lines, 1):
            user, *items = line.split() or [""]
            if user and not items:
                raise DataError(f"{source} line {number} has a user and no item: write a user and items per line")
            if user in found:
                raise DataError(f"{source} line {number}: user {user} already has a line; write one line per user")
            if user:
                found[user] = items
    return found


def _read_attributes(attributes: Path) -> dict[str, list[str]]:
    with open_text(attributes) as file:
        try:
            table = json.load(file)
        except ValueError as error:
            raise DataError(f"{attributes} is not a JSON file ({error}); use the file of S3Rec's data") from error
    if not isinstance(table, dict) or not all(isinstance(values, list) for values in table.values()):
        raise DataError(f"{attributes} must map each item to a list of attributes")
    return table


def _compare_items(items: list[str], table: dict[str, list[str]], source: Path, attributes: Path) -> list[str]:
    """Return a note on the items without attributes; raise an error if no item has any."""
    missing = [item for item in items if item not in table]
    if not missing:
        return []
    alike = find_alike(missing, table.keys() - set(items))
    if len(missing) == len(items):
        here, there = (alike.here, alike.there) if alike else (items[0], next(iter(table), None))
        shown = f"{here!r} in {source.name}, {there!r} in {attributes.name}"
        raise DataError(f"{attributes} has none of the {len(items):,} items ({shown}): write the ids alike in both")
    what = f" ({alike.number:,} spelled differently: {alike.here!r} and {alike.there!r})" if alike else ""
    return [f"{len(missing):,} of {len(items):,} items have no attributes in {attributes.name}{what}"]


def _make_item_frame(table: dict[str, list[str]], items: list[str]) -> pd.DataFrame:
    cells = [" ".join(map(join_words, table.get(item, []))) for item in items]
    return pd.DataFrame({"item_id:token": items, "class:token_seq": cells})
