"""Sequences are read in time order from tables in many formats, and omissions and errors are reported."""

import gzip
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_samrec.data.sequences import Sequences, align_left, collect_sequences, read_sequences
from recbole_samrec.utils.errors import DataError

ITEMS = ["[PAD]", *(f"i{number}" for number in range(1, 10))]
CIRCLE = SimpleNamespace(
    dataset_name="circle",
    uid_field="user_id",
    iid_field="item_id",
    time_field="timestamp",
    field2id_token={"item_id": np.array(ITEMS)},
    field2token_id={"item_id": {item: number for number, item in enumerate(ITEMS)}},
)


def read(text, name="new.csv"):
    """The items of each sequence by its name, and the notes, for the text of a file."""
    Path(name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    sequences, notes = read_sequences(Path(name), CIRCLE)
    items = (values.tolist() for values in sequences.list_values("item_id"))
    return dict(zip(sequences.names, items, strict=True)), notes


@pytest.mark.parametrize(
    "name, text",
    [
        ("new.csv", "user,item\n007,i3\n007,i4\nNA,i8\n"),
        ("new.csv", '"item","user"\r\n"i3","007"\r\n"i4","007"\r\n"i8","NA"\r\n'),
        ("new.tsv", "session\titem_id\ttime\n007\ti4\t2020-01-02T00:00:00\n007\ti3\t2020-01-01\nNA\ti8\t2021-01-01\n"),
        ("new.inter", "user_id:token\titem_id:token\ttimestamp:float\n007\ti4\t20.5\nNA\ti8\t0\n007\ti3\t9\n"),
        ("new.csv", "user,item\n007,i3,\n007,i4\nNA,i8\n"),
        ("new.csv", 'user:token,item:token\n"007","i3"\n"007","i4"\nNA,"i8"\n'),
        ("new.csv.gz", "sequence;rating;item\n007;5;i3\nNA;5;i8\n007;5;i4\n"),
    ],
)
def test_read_sequences__forms_of_files(name, text):
    assert read(text, name) == ({"007": [3, 4], "NA": [8]}, [])


def test_read_sequences__of_a_frame_and_of_parquet():
    times = pd.to_datetime(["2020-01-02", "2020-01-01", "2021-01-01"])
    table = pd.DataFrame({"user": [7, 7, 8], "item": ["i4", "i3", "i8"], "time": times})
    table.to_parquet("new.parquet")
    for source in (table, Path("new.parquet")):
        sequences, notes = read_sequences(source, CIRCLE)
        assert sequences.names.tolist() == ["7", "8"] and notes == []
        assert [values.tolist() for values in sequences.list_values("item_id")] == [[3, 4], [8]]


def test_read_sequences__keeps_the_order_of_equal_times():
    assert read("user,item,time\na,i5,1\na,i2,1\na,i9,0\n")[0] == {"a": [9, 5, 2]}


def test_read_sequences__counts_what_it_leaves_out():
    found, notes = read("user,item\na,i3\na,x\na,i4\na,I5\nb,x\nc,\n,i4\nd,i7\n")
    assert found == {"a": [3, 4], "d": [7]}
    assert notes == [
        "2 events without sequence or item were skipped",
        "3 events with items that are not in the data set were skipped: x, I5 (the data set has 'i5' for 'I5')",
        "no recommendations for b, c, which have no known items",
    ]


def test_read_sequences__lists_three_unknown_items_at_most():
    _, notes = read("user,item\n" + "".join(f"a,{item}\n" for item in ("i1", "q", "r", "s", "t", "t")))
    assert notes == ["5 events with items that are not in the data set were skipped: q, r, s and 1 more"]


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "new.csv line 1 has no column user"),
        ("user,thing\na,i1\n", "new.csv line 1 has no column item: it has 'user,thing'; name the columns user and"),
        ("user,item\na,x\n", "new.csv: none of its items is in circle ('x' here, 'i1' there); use the item ids of"),
        ("user,item\n,i3\n,i4\n", "new.csv: no event has a user; fill its column"),
        ("user,item\na,\nb,\n", "new.csv: no event has an item; fill its column"),
        ("user,item\n", "new.csv: no events below its first line"),
        ("user,item,time\na,i1,1\na,i2,soon\n", "new.csv line 3: the time 'soon' is neither a number nor an ISO date"),
        ("user,item,time\na,i1,1\na,i2,\n", "new.csv line 3: the time nothing is neither"),
        ('user,item\na,i1\n"b,i2\n', "new.csv line 3 has 1 cells, the header has 2"),
        ("user,item\na,the,i1\nb,i2\n", "new.csv line 2 has 3 cells, the header has 2"),
        ("user,item,time\na,i1\nb,i2,3\n", "new.csv line 2 has 2 cells, the header has 3"),
        ("user,item\na,I7\n", "none of its items is in circle ('I7' here, 'i7' there)"),
    ],
)
def test_read_sequences__errors(text, words):
    with pytest.raises(DataError) as caught:
        read(text)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_collect_sequences__of_each_user_in_time_order():
    columns = {"user_id": [2, 1, 2], "item_id": [5, 6, 7], "timestamp": [9, 1, 3]}
    events = Events({name: torch.tensor(values) for name, values in columns.items()})
    tokens = {"user_id": np.array(["[PAD]", "a", "b", "c"])}
    data = SimpleNamespace(**{**vars(CIRCLE), "inter_feat": events, "field2id_token": tokens, "sort": events.sort})
    found = collect_sequences(data)
    assert found.names.tolist() == ["a", "b"] and found.users.tolist() == [1, 2]
    assert [values.tolist() for values in found.list_values("item_id")] == [[6], [7, 5]]


class Events(dict):
    """The parts of a RecBole data set's interactions that sequences need."""

    columns = property(list)

    def sort(self, by):
        order = np.lexsort([self[field].numpy() for field in by[::-1]])
        self |= {field: values[order] for field, values in self.items()}


def test_take_last__pads_behind_the_last_events():
    items = {"item": torch.tensor([1, 2, 3, 4]), "vector": torch.arange(8).view(4, 2)}
    sequences = Sequences(np.array(["a", "b"]), items, np.array([0, 3]), np.array([3, 4]))
    padded, counts = sequences.take_last(2)
    assert padded["item"].tolist() == [[2, 3], [4, 0]] and counts.tolist() == [2, 1]
    assert padded["vector"].tolist() == [[[2, 3], [4, 5]], [[6, 7], [0, 0]]]
    chosen = sequences.select(np.array([1]))
    assert len(chosen) == 1 and chosen.take_last(2)[0]["item"].tolist() == [[4, 0]]


def test_align_left__lists_events_and_their_places():
    inside, events = align_left(torch.tensor([4, 0, 9]), torch.tensor([2, 0, 3]), 3)
    assert inside.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert events.tolist() == [4, 5, 9, 10, 11]
