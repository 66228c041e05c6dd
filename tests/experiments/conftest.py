"""Data for the tests of experiments."""

import pytest

from tests.helpers.tiny import random_events, write_events


@pytest.fixture
def data(own_folder):
    """A data set in the working folder."""
    write_events("dataset", "tiny", random_events(users=30, items=25))
    return own_folder
