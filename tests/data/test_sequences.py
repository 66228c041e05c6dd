"""Sequences are read in time order from tables in many formats, and omissions and errors are reported."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_samrec.data.id_types import ORIGIN
from recbole_samrec.data.sequences import Sequences, align_left, collect_sequences, read_sequences
from recbole_samrec.utils.errors import DataError

ITEMS = ["[PAD]", *(f"i{number}" for number in range(1, 10))]
CIRCLE = SimpleNamespace(
    dataset_name="circle",
    dataset_path=".",
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


def of_table(source):
    """The items of each sequence by its name, and the notes, for a table whose items are numbers."""
    tokens = ["[PAD]", *map(str, range(1, 10))]
    fields = {"item_id": dict(zip(tokens, range(10), strict=True))}
    numbers = {"field2id_token": {"item_id": np.array(tokens)}, "field2token_id": fields}
    sequences, notes = read_sequences(source, SimpleNamespace(**{**vars(CIRCLE), **numbers}))
    items = (values.tolist() for values in sequences.list_values("item_id"))
    return dict(zip(sequences.names, items, strict=True)), notes


@pytest.mark.parametrize("kind", ["float64", "Int64"])
def test_read_sequences__finds_integers_beside_gaps(own_folder, kind):
    table = pd.DataFrame({"user": [1, 1, 1, None], "item": [3, None, 5, 6]}).astype(kind)
    table.to_parquet("new.parquet")
    for source in (table, Path("new.parquet")):
        assert of_table(source) == ({"1": [3, 5]}, ["2 events without sequence or item were skipped"])


def test_read_sequences__reads_polars(own_folder):
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"user": [1, 1], "item": [3, 5], "timestamp": [2, 1]})
    assert of_table(table) == of_table(table.lazy()) == ({"1": [5, 3]}, [])


def test_read_sequences__knows_the_columns_of_the_runs_table(own_folder):
    """Names are those of the run's own table before RecBole's, whose time may be another one."""
    names = {"user_id": "customer", "item_id": "sku", "timestamp": "bought"}
    Path(ORIGIN).write_text(json.dumps({"columns": names, "types": {}}))
    table = pd.DataFrame({"customer": [1, 1], "sku": [3, 5], "timestamp": [1, 2], "bought": [9, 8]})
    table.to_csv("new.csv", index=False)
    for source in (table, Path("new.csv"), table.rename(columns={"customer": "user", "sku": "item_id"})):
        assert of_table(source) == ({"1": [5, 3]}, [])


@pytest.mark.parametrize("values", [pd.to_datetime(["2020-01-02", "2020-01-01"]), ["2020-01-02T10:00:00", None]])
def test_read_sequences__notes_dates_that_it_does_not_use(values):
    table = pd.DataFrame({"user": [1, 1], "item": [3, 5], "when": values, "mixed": [1, "a"], "rating": [1, 2]})
    found, notes = of_table(table)
    assert found == {"1": [3, 5]} and len(notes) == 1
    assert notes[0].startswith("sequences: its rows count as in order, and the dates in when are not used; name the ")
    assert of_table(table.assign(time=[2, 1])) == ({"1": [5, 3]}, [])


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("item", [b"a", b"b"], "sequences, column item: ids are integers or text, and these have type binary"),
        ("item", [1.5, 2], r"sequences, row 0 \(the first is 0\), column item: 1.5 is not an id"),
        ("user", [1, "a"], "sequences, column user: its values cannot be read as one type"),
    ],
)
def test_read_sequences__refuses_ids_as_a_run_does(column, values, words):
    with pytest.raises(DataError, match=f"^{words}"):
        of_table(pd.DataFrame({"user": [1, 1], "item": [3, 5]}).assign(**{column: values}))


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
