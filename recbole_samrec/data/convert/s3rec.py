"""Convert S3Rec's form of a data set: one line per user, with the user and the items in time order."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from recbole_samrec.data.convert.atomic import join_words, write_frame
from recbole_samrec.data.convert.source import open_text
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
        DataError: A line has no item, a user has two lines, or the attributes have another form.
    """
    sequences = _read_sequences(source)
    frame = pd.DataFrame({"user_id:token": sequences.keys(), "item_id:token": sequences.values()})
    frame = frame.explode("item_id:token", ignore_index=True)
    frame["timestamp:float"] = frame.groupby("user_id:token", sort=False).cumcount() + 1
    write_frame(frame, stage / f"{name}.inter")
    if attributes is not None:
        items = sorted(frame["item_id:token"].unique(), key=lambda item: (int(item) if item.isdecimal() else 0, item))
        write_frame(_read_items(attributes, items), stage / f"{name}.item")
    return ["the source has no times: timestamp is the position in the user's sequence"]


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


def _read_items(attributes: Path, items: list[str]) -> pd.DataFrame:
    with open_text(attributes) as file:
        try:
            table = json.load(file)
        except ValueError as error:
            raise DataError(f"{attributes} is not a JSON file ({error}); use the file of S3Rec's data") from error
    if not isinstance(table, dict) or not all(isinstance(values, list) for values in table.values()):
        raise DataError(f"{attributes} must map each item to a list of attributes")
    cells = [" ".join(map(join_words, table.get(item, []))) for item in items]
    return pd.DataFrame({"item_id:token": items, "class:token_seq": cells})
