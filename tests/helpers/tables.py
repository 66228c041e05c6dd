"""Tables of events like those of users."""

import pandas as pd

from tests.helpers.tiny import random_events

ROLES = {"user": "customer", "item": "sku", "time": "bought"}
"""Arguments that name the columns of :func:`make_frame`."""
FLAGS = [f"--{role}={column}" for role, column in ROLES.items()]
"""The same for the command line."""


def make_frame(**how) -> pd.DataFrame:
    """Events of random items, with other column names than RecBole's; users are integers, items text."""
    frame = pd.DataFrame(random_events(**how), columns=list(ROLES.values()))
    return frame.assign(customer=frame["customer"].str[1:].astype(int))
