"""Times that float64 would round are read as integers."""

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.data.exact_times import LARGEST_EXACT_INTEGER, as_floats, parse_times, read_exact_times

HEADER = "user_id:token\ttimestamp:float\n"


def read(folder, *cells):
    path = folder / "toy.inter"
    path.write_text(HEADER + "".join(f"u\t{cell}\n" for cell in cells))
    rows = range(10, 10 + len(cells))
    times = pd.Series([float(cell) if cell else np.nan for cell in cells], index=rows)
    return read_exact_times(path, "timestamp:float", times, "\t", "utf-8"), times


def test_read_exact_times__tells_nanoseconds_apart(tmp_path):
    cells = ["1700000000000000120", "1700000000000000121.0", "", "1.7e18"]
    found, times = read(tmp_path, *cells)
    assert times.nunique() == 1 and found.index.equals(times.index)
    assert found.tolist() == [1700000000000000120, 1700000000000000121, pd.NA, 17 * 10**17]
    assert np.array_equal(as_floats(found), times, equal_nan=True)


@pytest.mark.parametrize("cell", [str(LARGEST_EXACT_INTEGER - 1), "0.5", "1e19", "inf", "9007199254740994.5"])
def test_read_exact_times__leaves_other_times_alone(tmp_path, cell):
    found, times = read(tmp_path, cell, "3")
    assert found is times


@pytest.mark.parametrize(
    ("cells", "kind", "found"),
    [
        (["10", "-3"], "int64", [10, -3]),
        (["10", "2.5"], "float64", [10, 2.5]),
        (["1.0", "2"], "float64", [1, 2]),
        (["1700000000000000121", "1700000000000000120"], "int64", [1700000000000000121, 1700000000000000120]),
        (["-1700000000000000121", "1.7e18"], "int64", [-1700000000000000121, 17 * 10**17]),
        (["1700000000000000121", None], "Int64", [1700000000000000121, pd.NA]),
        (["1700000000000000121", "0.5"], "float64", [1.7e18, 0.5]),
        (["9223372036854775807", "9223372036854775808"], "float64", [2.0**63, 2.0**63]),
    ],
)
def test_parse_times__rounds_no_integer(cells, kind, found):
    times = parse_times(pd.Series(cells, dtype=object, index=range(5, 5 + len(cells))))
    assert str(times.dtype) == kind and times.tolist() == found and times.index[0] == 5
