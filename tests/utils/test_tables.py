"""Tables are written in four formats and atomically."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.tables import SUFFIXES, require_new_file, write_table

FRAME = pd.DataFrame({"user": ["u, 1", 'a "b"', "é\tü"], "rank": [1, 2, 3], "score": [0.1, -2.5e-7, 3.0]})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_write_table__gives_back_every_cell(suffix):
    file = Path(f"table{suffix}")
    require_new_file(file, overwrite=False)
    write_table(FRAME, file)
    readers = {
        ".csv": pd.read_csv,
        ".tsv": lambda path: pd.read_csv(path, sep="\t"),
        ".jsonl": lambda path: pd.read_json(path, lines=True, precise_float=True),
        ".parquet": pd.read_parquet,
    }
    pd.testing.assert_frame_equal(readers[suffix](file), FRAME, rtol=1e-14)
    with pytest.raises(ConfigError, match="the file exists; add --overwrite"):
        require_new_file(file, overwrite=False)
    require_new_file(file, overwrite=True)
    assert [path.name for path in Path().iterdir()] == [file.name]


def test_require_new_file__names_what_parquet_needs(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    with pytest.raises(ConfigError, match=r"^--out=a.parquet: Parquet needs pyarrow; install it with "):
        require_new_file(Path("a.parquet"), overwrite=False)
