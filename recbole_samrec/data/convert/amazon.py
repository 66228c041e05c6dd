"""Convert the Amazon review files of 2014 or 2018: one JSON object per line."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_samrec.data.convert.atomic import INTERACTION_HEADER, join_words, write_frame
from recbole_samrec.data.convert.source import open_text
from recbole_samrec.utils.errors import DataError

_KEYS = ("reviewerID", "asin", "overall", "unixReviewTime")


def convert_amazon(source: Path, stage: Path, name: str, meta: Path | None = None) -> list[str]:
    """Write ``.inter`` from a review file and, given the meta file, ``.item`` with brand and categories as ``class``.

    The first category of every path is skipped because it names the whole set. Blanks inside a value become ``_``,
    since a blank separates values. Items without metadata get an empty cell; items without reviews are skipped.

    Args:
        source: ``reviews_<Category>_5.json.gz`` (2014) or ``<Category>_5.json.gz`` (2018), gzipped or not.
        stage: Folder to write to.
        name: Name of the data set.
        meta: ``meta_<Category>.json.gz`` of the same year.

    Returns:
        Notes for the user, one line each.

    Raises:
        DataError: A line is not a review; the message contains its number.
    """
    rows = list(_read_reviews(source))
    frame = pd.DataFrame(rows, columns=INTERACTION_HEADER.split("\t"))
    write_frame(frame, stage / f"{name}.inter")
    if meta is None:
        return []
    items = frame["item_id:token"].unique()
    classes = _read_classes(meta, set(items))
    table = pd.DataFrame({"item_id:token": items, "class:token_seq": [classes.get(item, "") for item in items]})
    write_frame(table, stage / f"{name}.item")
    bare = int((table["class:token_seq"] == "").sum())
    return [f"{bare:,} of {len(items):,} items have neither brand nor category in {meta.name}"] if bare else []


def _read_reviews(source: Path) -> Iterator[tuple[Any, ...]]:
    for number, review in _read_objects(source):
        try:
            yield tuple(review[key] for key in _KEYS)
        except KeyError as error:
            raise DataError(f"{source} line {number} has no {error}: a review has {', '.join(_KEYS)}") from None


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
        if entry.get("asin") in wanted:
            found[entry["asin"]] = " ".join(_list_attributes(entry))
    return found


def _list_attributes(entry: dict[str, Any]) -> list[str]:
    """Return an item's categories and brand, each once: ``categories`` are paths (2014), ``category`` one (2018)."""
    paths = entry.get("categories") or [entry.get("category") or []]
    names = [name for path in paths for name in path[1:]] + [entry.get("brand") or ""]
    return list(dict.fromkeys(token for name in names if (token := join_words(name))))
