"""Names of runs sort by time and are unique."""

import re

from recbole_samrec.utils import naming


def test_make_unique_name__joins_parts_time_and_id(monkeypatch):
    monkeypatch.setattr(naming.time, "strftime", lambda form: f"<{form}>")
    assert re.fullmatch(r"SAMRec-ml-100k-<%Y%m%d-%H%M%S>-[0-9a-f]{6}", naming.make_unique_name("SAMRec", "ml-100k"))
    assert re.fullmatch(r"<%Y%m%d-%H%M%S>-[0-9a-f]{6}", naming.make_unique_name())


def test_count__writes_plurals():
    assert [naming.count(number, "row") for number in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


def test_make_unique_name__differs_each_time(monkeypatch):
    monkeypatch.setattr(naming.time, "strftime", lambda form: "now")
    assert len({naming.make_unique_name("a") for _ in range(20)}) == 20
