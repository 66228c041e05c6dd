"""Numbers in text files, read to their last digit by every version of pandas."""

from __future__ import annotations

import functools
import io

import pandas as pd


@functools.cache
def exact_floats() -> dict[str, str]:
    """Return the options that make the C engine of ``pandas.read_csv`` round correctly; a recent pandas needs none."""
    number = "0.30000000000000004"
    read = pd.read_csv(io.StringIO(number), header=None, engine="c").iloc[0, 0]
    return {} if read == float(number) else {"float_precision": "round_trip"}
