"""Names of runs sort by time and are unique; numbers and lists are written as in a sentence."""

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


def test_list_some__writes_how_many_more_there_are():
    assert naming.list_some([1, "b", 3]) == "1, b, 3"
    assert naming.list_some("abcdef") == "a, b, c and 3 more"
    assert naming.list_some("abcdef", 5) == "a, b, c, d, e and 1 more"
