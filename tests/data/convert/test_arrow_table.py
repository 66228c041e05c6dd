"""Frames of pandas and polars and Parquet files give the same data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recbole_samrec.data.convert.arrow_table import ArrowTable, is_text
from recbole_samrec.data.convert.frame import Roles, store_table
from recbole_samrec.utils.errors import DataError

FRAME = pd.DataFrame(
    {
        "u": pd.array([1, None, 2**60 + 1], dtype="Int64"),
        "i": pd.Categorical(["a", "b", "a"]),
        "t": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"]),
    }
)
LINES = ["1\ta\t1577836800", "\tb\t1577923200", f"{2**60 + 1}\ta\t1578009600"]


def stored(source):
    name = store_table(source, Roles("u", "i", "t"), {}, Path("dataset")).name
    return name, Path("dataset", name, f"{name}.inter").read_text().splitlines()[1:]


def test_open__reads_every_kind_alike(own_folder):
    FRAME.to_parquet("some events.v2.parquet")
    assert stored(FRAME)[1] == stored(pa.Table.from_pandas(FRAME))[1] == LINES
    for path in ("some events.v2.parquet", Path("some events.v2.parquet")):
        name, lines = stored(path)
        assert lines == LINES and name.startswith("some-events-v2-")


def test_open__reads_polars(own_folder):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {"u": [1, None, 2**60 + 1], "i": ["a", "b", "a"], "t": FRAME["t"].dt.to_pydatetime().tolist()},
        schema_overrides={"i": polars.Categorical},
    )
    name = stored(FRAME)[0]
    for one in (frame, frame.lazy(), frame.with_columns(polars.col("t").dt.replace_time_zone("UTC"))):
        assert stored(one) == (name, LINES)
    with pytest.raises(DataError, match="Array: give a frame"):
        ArrowTable.open(frame["u"])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x.parquet", "x.parquet is missing"),
        ("folder.parquet", "folder.parquet is a folder"),
        ("broken.parquet", "broken.parquet cannot be read as Parquet"),
        (Path("x.csv"), "x.csv: its name must end in .parquet or .pq; read other files with pandas, or convert"),
        ({"u": [1]}, "dict: give a frame of pandas or polars, or the path of a Parquet file"),
    ],
)
def test_open__refuses_others(own_folder, source, words):
    Path("folder.parquet").mkdir()
    Path("broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=words):
        ArrowTable.open(source)


def test_read__keeps_types():
    table = ArrowTable.open(FRAME.assign(n=np.float32([0.5, 1, 2])))
    assert [str(table.read(name).type) for name in ("u", "n")] == ["int64", "float"]
    assert is_text(table.read("i").type) and table.read("u").to_pylist()[2] == 2**60 + 1
    assert table.name_row(3) == "the frame, row 3 (the first is 0)"
