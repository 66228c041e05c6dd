"""Unique names for runs and files, and words for numbers and lists in messages."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import Any


def make_unique_name(*parts: str) -> str:
    """Join the parts with the local time to the second and a short random id.

    Example: ``SAMRec-ml-100k-20260102-030405-1f2e3d``.
    """
    return "-".join([*parts, time.strftime("%Y%m%d-%H%M%S"), secrets.token_hex(3)])


def count(number: int, noun: str) -> str:
    """Write a number with a noun, such as ``1 row`` and ``2 rows``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def list_some(names: Iterable[Any], most: int = 3) -> str:
    """Write the first names of a list and how many more there are, such as ``a, b, c and 2 more``."""
    names = list(map(str, names))
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
