"""Unique names for runs and files."""

from __future__ import annotations

import secrets
import time


def make_unique_name(*parts: str) -> str:
    """Join the parts with the local time to the second and a short random id.

    Example: ``SAMRec-ml-100k-20260102-030405-1f2e3d``.
    """
    return "-".join([*parts, time.strftime("%Y%m%d-%H%M%S"), secrets.token_hex(3)])
