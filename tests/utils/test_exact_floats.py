"""Numbers in text files keep their last digit."""

import io

import numpy as np
import pandas as pd

from recbole_samrec.utils.exact_floats import exact_floats


def test_exact_floats__keep_the_last_digit():
    numbers = np.random.default_rng(0).normal(size=2000) * 10.0 ** np.arange(-10, 10).repeat(100)
    text = "\n".join(map(repr, numbers.tolist()))
    read = pd.read_csv(io.StringIO(text), header=None, engine="c", **exact_floats())[0]
    assert (read.to_numpy() == numbers).all()
