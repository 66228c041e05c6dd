"""Generated tables are converted, and read as sequences and lists of users, row by row, or give a one-line error."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from recbole_samrec.data.sequences import read_sequences
from recbole_samrec.data.user_lists import read_users
from tests.helpers.fuzz_levels import Refused, levels, outcome, try_examples
from tests.helpers.fuzz_tables import Table, tables, user_lists
from tests.helpers.providers import convert

NAMES = ("customer", "article", "moment", "stars")
KNOWN = ["i1", "NA", "a,b", "007"]


def clean(text: str) -> str:
    """An id as documented: atomic files cannot contain surrounding spaces, line ends, tabs and quotation marks."""
    for mark in ("\t", "\r", "\n"):
        text = text.replace(mark, " ")
    return text.replace('"', "'").strip()


def is_refused(table: Table) -> bool:
    """True for an error that must be reported: some encodings decode any byte, and a single time may be of any kind."""
    if table.fault == "byte":
        return table.encoding.startswith("utf-8")
    return table.fault in ("missing", "surplus", "delimiter")


def check_conversion(table: Table) -> None:
    Path("events.csv").write_bytes(table.content)
    columns = [f"--{kind}={name}" for kind, name in zip(("user", "item", "time", "rating"), NAMES, strict=True)]
    arguments = ["toy", "events.csv", *columns, f"--delimiter={table.delimiter}", f"--encoding={table.encoding}"]
    found = outcome(lambda: convert(*arguments))
    wanted = [
        (clean(user), clean(item), time, rating)
        for (user, item, _, rating), time in zip(table.rows, _seconds(table), strict=True)
        if clean(user) and clean(item)
    ]
    if isinstance(found, Refused):
        assert table.fault or not wanted or not all(math.isfinite(row[2]) for row in wanted), found.message
        assert not Path("dataset", "toy").exists()
        return
    assert not is_refused(table), table.fault
    if table.fault:
        return
    lines = Path("dataset/toy/toy.inter").read_text(encoding="utf-8").split("\n")[1:-1]
    read = [line.split("\t") for line in lines]
    assert [(row[0], row[1]) for row in read] == [row[:2] for row in wanted]
    assert [float(row[3]) for row in read] == [row[2] for row in wanted]
    assert [float(row[2] or "nan") for row in read] == [_number(row[3]) for row in wanted] or _has_gaps(wanted)


def _seconds(table: Table) -> list[float]:
    return table.seconds or [float(row[2]) for row in table.rows]


def _number(text: str) -> float:
    return float(text or "nan")


def _has_gaps(rows: list) -> bool:
    return any(not math.isfinite(_number(row[3])) for row in rows)


def check_sequences(table: Table) -> None:
    file = Path("new.csv")
    file.write_bytes(table.content)
    tokens = ["[PAD]", *KNOWN]
    data = SimpleNamespace(
        uid_field="user_id", iid_field="item_id", time_field="timestamp", dataset_name="toy", dataset_path="toy",
        field2token_id={"item_id": {token: number for number, token in enumerate(tokens)}},
        field2id_token={"item_id": pd.array(tokens, dtype=object).to_numpy()},
    )  # fmt: skip
    found = outcome(lambda: read_sequences(file, data))
    rows = [(*row[:2], time) for row, time in zip(table.rows, _order(table), strict=True)]
    rows = sorted((row for row in rows if row[0] and row[1] in KNOWN), key=lambda row: row[2])
    wanted: dict[str, list[str]] = {user: [] for user, *_ in table.rows if user}
    for user, item, _ in rows:
        wanted[user].append(item)
    wanted = {user: items for user, items in wanted.items() if items}
    if isinstance(found, Refused):
        assert table.fault or not wanted, found.message
        return
    assert not is_refused(table), table.fault
    if table.fault:
        return
    sequences, _ = found
    assert dict(zip(sequences.names, _items(sequences, tokens), strict=True)) == wanted
    assert list(sequences.names) == list(wanted)


def _order(table: Table) -> list[float]:
    if table.seconds:
        return table.seconds
    texts = [row[2] for row in table.rows]
    return (
        [int(text) for text in texts]
        if all(text.lstrip("-").isdigit() for text in texts)
        else [float(t) for t in texts]
    )


def _items(sequences, tokens) -> list[list[str]]:
    return [[tokens[number] for number in values] for values in sequences.list_values("item_id")]


def check_users(example: tuple[str, bytes, list[str]]) -> None:
    kind, content, users = example
    file = Path(f"users{kind}")
    file.write_bytes(content)
    assert outcome(lambda: read_users(file, "user_id")) == users


@levels(quick=15, thorough=250)
def test_convert_table__keeps_every_row(level, capsys):
    try_examples(level, tables(NAMES), check_conversion)


@levels(quick=20, thorough=250)
def test_read_sequences__keeps_every_known_item(level):
    names = ("user", "item", "timestamp", "rating")
    try_examples(level, tables(names, KNOWN, delimiters=",\t;", plain=True), check_sequences)


@levels(quick=20, thorough=250)
def test_read_users__keeps_every_id(level):
    try_examples(level, user_lists(), check_users)
