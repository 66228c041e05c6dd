"""Durations as text."""

from __future__ import annotations

from datetime import timedelta


def format_duration(seconds: float) -> str:
    """Format seconds as hours, minutes and seconds: ``0:02:10``."""
    return str(timedelta(seconds=round(seconds)))
