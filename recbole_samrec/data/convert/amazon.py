"""Convert the Amazon review files of 2014, 2018 and 2023: one JSON object per line, or ratings as CSV."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_samrec.data.convert.amazon_csv import SECONDS_NOTE, is_ratings, read_ratings
from recbole_samrec.data.convert.atomic import INTERACTION_HEADER, join_words, write_frame
from recbole_samrec.data.convert.sessions import to_seconds
from recbole_samrec.data.convert.source import first_line, open_text
from recbole_samrec.utils.errors import DataError

_KEYS = ("reviewerID", "asin", "overall", "unixReviewTime")
_KEYS_2023 = ("user_id", "parent_asin", "rating", "timestamp")
"""Keys of a review of 2023, whose item is the parent of the variants of a product."""


def convert_amazon(source: Path, stage: Path, name: str, meta: Path | None = None) -> list[str]:
    """Write ``.inter`` from a review file and, given the meta file, ``.item`` with brand and categories as ``class``.

    The first category of every path is skipped because it names the whole set. Blanks inside a value become ``_``,
    since a blank separates values. Items without metadata get an empty cell; items without reviews are skipped. The
    times of 2023, in milliseconds, become seconds.

    Args:
        source: ``reviews_<Category>_5.json.gz`` (2014), ``<Category>_5.json.gz`` (2018) or ``<Category>.jsonl.gz``
            (2023); or ``ratings_<Category>.csv`` (2014) or ``<Category>.csv`` (2018, 2023); gzipped or not.
        stage: Folder to write to.
        name: Name of the data set.
        meta: ``meta_<Category>.json.gz``, in 2023 ``meta_<Category>.jsonl.gz``, of the same year.

    Returns:
        Notes for the user, one line each.

    Raises:
        DataError: A line is not a review; the message contains its number.
    """
    frame, notes = read_ratings(source) if is_ratings(first_line(source)) else _read_reviews(source)
    frame.columns = pd.Index(INTERACTION_HEADER.split("\t"))
    write_frame(frame, stage / f"{name}.inter")
    if meta is None:
        return notes
    items = frame["item_id:token"].unique()
    classes = _read_classes(meta, set(items))
    table = pd.DataFrame({"item_id:token": items, "class:token_seq": [classes.get(item, "") for item in items]})
    write_frame(table, stage / f"{name}.item")
    bare = int((table["class:token_seq"] == "").sum())
    if bare:
        notes.append(f"{bare:,} of {len(items):,} items have neither brand nor category in {meta.name}")
    return notes


def _read_reviews(source: Path) -> tuple[pd.DataFrame, list[str]]:
    rows: list[tuple[Any, ...]] = []
    keys = _KEYS
    for number, review in _read_objects(source):
        if not rows and _KEYS_2023[1] in review:
            keys = _KEYS_2023
        try:
            rows.append(tuple(review[key] for key in keys))
        except KeyError as error:
            raise DataError(f"{source} line {number} has no {error}: a review has {', '.join(keys)}") from None
    frame = pd.DataFrame(rows, columns=list(keys))
    if keys is _KEYS:
        return frame, []
    return frame.assign(timestamp=to_seconds(frame["timestamp"].to_numpy())), [SECONDS_NOTE]


def _read_objects(source: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a file with their line numbers, written as JSON or, as in 2014's meta files, as Python."""
    with open_text(source) as lines:
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            try:
                value = _parse(line)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                value = None
            if not isinstance(value, dict):
                raise DataError(f"{source} line {number} is not a JSON object: use the unchanged file of Amazon's data")
            yield number, value


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return ast.literal_eval(line.strip())


def _read_classes(meta: Path, wanted: set[str]) -> dict[str, str]:
    found = {}
    for _, entry in _read_objects(meta):
        item = entry.get("parent_asin") or entry.get("asin")
        if item in wanted:
            found[item] = " ".join(_list_attributes(entry))
    return found


def _list_attributes(entry: dict[str, Any]) -> list[str]:
    """Return an item's categories and brand, each once.

    ``categories`` are paths (2014) or one path (2023), ``category`` is one (2018); the brand of 2023 is the ``store``.
    """
    paths = entry.get("categories") or [entry.get("category") or []]
    paths = [paths] if paths and isinstance(paths[0], str) else paths
    names = [name for path in paths for name in path[1:]] + [entry.get("brand") or entry.get("store") or ""]
    return list(dict.fromkeys(token for name in names if (token := join_words(name))))
