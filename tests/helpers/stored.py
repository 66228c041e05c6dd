"""A small frame of events, stored as a data set."""

from pathlib import Path

import numpy as np
import pandas as pd

from recbole_samrec.data.convert.frame import Roles, store_table

ROLES = Roles("u", "i", "t")
BASE = pd.DataFrame({"u": [1, 1, 2, 2], "i": ["007", "7", "x", "7"], "t": [10, 20, 30, 40], "x": [0.5, np.nan, 1, 2]})


def store(frame, roles=ROLES, **settings):
    stored = store_table(frame, roles, settings, Path("dataset"))
    return stored, Path("dataset", stored.name, f"{stored.name}.inter").read_text(encoding="utf-8").splitlines()


def column(name, values, place):
    """A column of the stored table after one column of the frame is replaced."""
    return [line.split("\t")[place] for line in store(BASE.assign(**{name: values}))[1][1:]]
