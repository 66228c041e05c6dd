"""Sessions are written complete, with their start as time, and a global temporal split keeps them together."""

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.data.convert.sessions import open_member, require_cells, to_seconds, write_sessions
from recbole_samrec.data.temporal_options import TemporalOptions
from recbole_samrec.data.temporal_split import split_events
from recbole_samrec.utils.errors import DataError
from tests.helpers.providers import lines, zipped


def test_write_sessions__orders_by_begin_and_then_by_time(tmp_path):
    rows = [("b", 5, 3000), ("a", 1, 9000), ("b", 6, 1000), ("b", 7, 1000), ("a", 2, 2000)]
    write_sessions(pd.DataFrame(rows, columns=["session", "item", "time"]), tmp_path / "x.inter")
    assert lines(tmp_path / "x.inter") == [
        "user_id:token\titem_id:token\ttimestamp:float\tevent_time:float",
        "b\t6\t1\t1",
        "b\t7\t1\t1",
        "b\t5\t1\t3",
        "a\t2\t2\t2",
        "a\t1\t2\t9",
    ]


def test_write_sessions__a_split_by_time_keeps_sessions_whole(tmp_path):
    """Sessions overlap in time, so that a split by the times of events would cut many of them."""
    draw = np.random.default_rng(1)
    rows = [
        (f"s{n}", draw.integers(20), start + step * 1000)
        for n, start in enumerate(draw.integers(0, 60_000, 80))
        for step in range(draw.integers(2, 40))
    ]
    events = pd.DataFrame(rows, columns=["session", "item", "time"]).sample(frac=1, random_state=1)
    write_sessions(events, tmp_path / "x.inter")
    written = pd.read_csv(tmp_path / "x.inter", sep="\t").set_axis(["user", "item", "time", "event"], axis=1)
    users, items = (pd.factorize(written[name])[0] for name in ("user", "item"))
    options = TemporalOptions.from_settings({"quantile": 0.7, "target": "successive"})
    split = split_events(users, items, written["time"].to_numpy(), options)
    begun = events.groupby("session")["time"].min() / 1000
    late = begun > split.counts.cut
    sessions = written["user"].to_numpy()
    assert set(sessions[split.test.events[split.test.targets]]) == set(begun.index[late])
    assert not set(sessions[split.train.events]) & set(begun.index[late])
    ended = events.groupby("session")["time"].max() / 1000
    assert ((begun <= split.counts.cut) & (ended > split.counts.cut)).sum() > 3  # a split by events would cut these
    for session, mine in written.groupby("user", sort=False):
        assert mine["event"].is_monotonic_increasing and len(mine) == (events["session"] == session).sum()


def test_to_seconds__is_exact():
    assert to_seconds(np.array([1000, 2000])).tolist() == [1, 2]
    assert to_seconds(np.array([1396861869277, 2])).tolist() == [1396861869.277, 0.002]


def test_open_member__finds_files_archives_and_folders(tmp_path):
    file = tmp_path / "folder" / "a.csv"
    file.parent.mkdir()
    file.write_bytes(b"x")
    for source in (file, file.parent, zipped(tmp_path / "a.zip", {"inner/a.csv": "x"})):
        with open_member(source, "a.csv") as found:
            assert found.read() == b"x"
    words = r"folder has no b\.csv: give the provider's archive"
    with pytest.raises(DataError, match=words), open_member(file.parent, "b.csv"):
        pass
    with pytest.raises(DataError, match="is missing"), open_member(tmp_path / "nowhere", "b.csv"):
        pass


def test_require_cells__names_the_first_line(tmp_path):
    table = pd.DataFrame({"a": ["1", "2"], "b": ["x", None]})
    with pytest.raises(DataError, match=r"f\.csv line 3: b is missing"):
        require_cells(table, tmp_path / "f.csv", 2)
