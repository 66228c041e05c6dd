"""Durations as text."""

from recbole_samrec.utils.durations import format_duration


def test_format_duration__has_hours_minutes_and_seconds():
    assert format_duration(129.6) == "0:02:10" and format_duration(90_061) == "1 day, 1:01:01"
