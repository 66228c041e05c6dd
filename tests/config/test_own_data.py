"""A table is accepted in place of the name of a data set."""

from pathlib import Path

import pandas as pd
import pytest

from recbole_samrec.config.own_data import adopt_all, adopt_data, is_table
from recbole_samrec.data.convert.frame import Roles
from recbole_samrec.utils.errors import ConfigError

FRAME = pd.DataFrame({"u": [1, 2], "i": [3, 4], "t": [5, 6]})


def test_is_table__tells_tables_from_names():
    assert [is_table(one) for one in ("ml-1m", None, "a.parquet", "a.PQ", Path("x"), FRAME)] == [False] * 2 + [True] * 4


def test_adopt_data__stores_tables_in_data_path(own_folder):
    notes = []
    name = adopt_data(FRAME.assign(z=0), Roles("u", "i", "t"), {"data_path": "here"}, notes.append)
    assert Path("here", name, f"{name}.inter").exists() and notes == [
        "the frame: not loaded: z; load_col names columns to load"
    ]
    assert adopt_data("ml-1m", Roles(), {}) == "ml-1m"


def test_adopt_data__refuses_what_belongs_to_files(own_folder):
    with pytest.raises(ConfigError, match=r"user, item and time apply to frames .*, but ml-1m is a data set"):
        adopt_data("ml-1m", Roles(user="u"), {})
    for key, value in {"field_separator": ",", "encoding": "latin-1", "benchmark_filename": ["a", "b"]}.items():
        with pytest.raises(ConfigError, match=f"^{key} applies to RecBole's atomic files only"):
            adopt_data(FRAME, Roles("u", "i", "t"), {key: value})


def test_adopt_data__stores_items_with_attributes(own_folder):
    items, notes = FRAME[["i"]].drop_duplicates().assign(brand="b"), []
    name, _ = adopt_all([FRAME, "ml-1m"], Roles("u", "i", "t"), {}, notes.append, items)
    assert (own_folder / f"dataset/{name}/{name}.item").read_text().startswith("item_id:token\tbrand:token\n")
    with pytest.raises(ConfigError, match=r"^items applies to frames and Parquet files, but ml-1m is a data set"):
        adopt_all(["ml-1m"], Roles(), {}, items=items)


def test_adopt_all__names_columns_of_the_tables_only(own_folder):
    roles = Roles("u", "i", "t")
    names = adopt_all([FRAME, "ml-1m", FRAME.iloc[::-1]], roles, {})
    assert names[1] == "ml-1m" and len(set(names)) == 3
    with pytest.raises(ConfigError, match="ml-1m is a data set"):
        adopt_all(["ml-1m"], roles, {})
