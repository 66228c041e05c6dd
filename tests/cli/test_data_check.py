"""The report of a data set names every count, and a run prints the same notes once."""

import pytest

from tests.helpers.command import SMALL, main, succeed
from tests.helpers.tiny import random_events, write_events


@pytest.fixture
def folder(tmp_path):
    """Events of 30 users and 20 items: one row twice, and a file of items without i0 and i1, with two others."""
    events = list(random_events(users=30, items=20))
    path = write_events(tmp_path, "tiny", [*events, events[0]])
    rows = "".join(f"{f'i{i}' if i != 2 else '02'}\tk{i % 3}\n" for i in range(2, 22))
    (path / "tiny.item").write_text("item_id:token\tkind:token\n" + rows)
    return tmp_path


def read_rows(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_report_dataset__lists_counts(folder):
    events = list(random_events(users=30, items=20))
    kept = [event for event in events if event[1] not in ("i0", "i1", "i2")]
    settings = [f"--data_path={folder}", "--model=FM"]
    settings += ["--load_col={'inter': ['user_id', 'item_id', 'timestamp'], 'item': '*'}"]
    rows = read_rows(succeed("data", "--check", "tiny", *settings, "--rm_dup_inter=first").out)
    assert rows[0] == "tiny, as FM loads it"
    pairs = {(user, item) for user, item, _ in events}
    users, items = (len({event[n] for event in events}) for n in (0, 1))
    assert rows[2] == f"file {users} {items} {len(events) + 1}"
    assert rows[3] == f"rm_dup_inter=first {users} {items} {len(pairs)}"
    left = {(user, item) for user, item, _ in kept}
    assert rows[4] == f"rows in .item {len({u for u, _ in left})} {len({i for _, i in left})} {len(left)}"
    gone = len(pairs) - len(left)
    assert f"items without a row in tiny.item 3 of {items}; their {gone} events are dropped" in rows
    assert any(row.startswith("rows of tiny.item without events 3") for row in rows)
    assert f"repeated rows 1 of {len(events) + 1} (same user, item, time)" in rows


def test_report_dataset__notes_are_those_of_a_run(folder):
    rows = read_rows(succeed("data", "--check", "tiny", f"--data_path={folder}").out)
    assert "tiny.item not loaded; load_col names none of its columns" in rows
    notes = [row for row in rows if row.startswith("note: ")]
    assert len(notes) == 1 and "1 of" in notes[0] and "rows repeat a row (same user, item, time)" in notes[0]
    where = [f"--data_path={folder}", "--dataset=tiny", f"--run_dir={folder / 'run'}"]
    said = " ".join(read_rows(succeed("run", *where, *SMALL).out))
    assert said.count("rows repeat a row (same user, item, time)") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--check", "tiny", "--modell=FM"], "unknown setting --modell; did you mean model"),
        (["--check", "tiny", "a.csv"], "SOURCE cannot be used with --check"),
        (["--check", "tiny", "--user=u"], "--user cannot be used with --check"),
        (["tiny"], "give the provider's file as SOURCE, or add --check"),
        (["--check", "nowhere"], "nowhere is not in"),
    ],
)
def test_report_dataset__errors(folder, words, said):
    found = main("data", *words, f"--data_path={folder}") if "--check" in words else main("data", *words)
    assert (found.status, found.err.count("\n")) == (2, 1) and said in found.err
