"""Numbers and dates of a table; the first invalid cell is reported."""

import pandas as pd
import pytest

from recbole_samrec.data.convert.numbers import convert_numbers, convert_times
from recbole_samrec.utils.errors import DataError


def name_row(row):
    return f"line {row + 10}"


def test_convert_numbers__names_the_first_bad_cell():
    assert convert_numbers(pd.Series(["1", None, "2.5"]), name_row).tolist()[::2] == [1.0, 2.5]
    with pytest.raises(DataError, match=r"^line 11, column r: 'many' is not a number$"):
        convert_numbers(pd.Series(["1", "many"], name="r"), name_row)


def test_convert_times__reads_numbers_or_dates():
    times, note = convert_times(pd.Series([3, 1], name="t"), name_row)
    assert times.tolist() == [3, 1] and note == "t contains numbers, which were kept unchanged"
    times, note = convert_times(pd.Series(["1970-01-01T00:00:00.25", "1970-01-02"], name="t"), name_row)
    assert times.tolist() == [0.25, 86400.0] and note.startswith("t contains dates")
    with pytest.raises(DataError, match=r"^line 10, column t: nothing is not a number or an ISO date"):
        convert_times(pd.Series([None, "1970-01-02"], name="t"), name_row)
