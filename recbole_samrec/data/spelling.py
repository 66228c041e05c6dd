"""Find ids that two files spell differently: ``19`` and ``19.0``, ``7`` and ``007``, surrounding spaces, case."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_ZEROS = re.compile(r"^0+(?=\w)|\.0+$")


class Alike(NamedTuple):
    """Ids of one file that another file spells differently: their number, and the first with its other spelling."""

    number: int
    here: str
    there: str


def find_alike(ids: Iterable[object], others: Iterable[object]) -> Alike | None:
    """Find the ids that equal other ids except for ``.0``, leading zeros, surrounding spaces and case.

    Args:
        ids: Ids that are not among the others.
        others: The ids of the other file.

    Returns:
        Their number and an example; None if there is none.
    """
    spelled = {normalize(str(other)): str(other) for other in others}
    found = [(str(one), spelled[plain]) for one in ids if (plain := normalize(str(one))) in spelled]
    return Alike(len(found), *found[0]) if found else None


def normalize(text: str) -> str:
    """Remove from an id what programs add or drop: ``.0``, leading zeros, surrounding spaces, and its case."""
    return _ZEROS.sub("", text.strip()).casefold()
