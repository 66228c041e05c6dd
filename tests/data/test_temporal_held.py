"""The candidates and trained users of a run are read as they were written."""

import numpy as np
import pytest

from recbole_samrec.data.temporal_held import Held, load_served, save_served
from recbole_samrec.data.temporal_split import Served
from recbole_samrec.utils.errors import CheckpointError


def test_load_served__reads_what_was_saved(own_folder):
    served = Served(np.array([False, True, False, True]), np.array([False, False, True]))
    save_served(own_folder / "candidates.npz", served)
    read = load_served(own_folder / "candidates.npz", 3, 4)
    assert np.array_equal(read.candidates, served.candidates) and np.array_equal(read.users, served.users)
    assert load_served(own_folder / "none.npz", 3, 4) is None
    (own_folder / "candidates.npz").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="candidates of the run cannot be read"):
        load_served(own_folder / "candidates.npz", 3, 4)


def test_held__finds_the_history_of_a_sample():
    served = Served(np.ones(10, bool), np.ones(3, bool))
    held = Held(np.array([7, 8, 9, 5, 6]), np.array([0, 3]), np.array([2, 4]), served, np.zeros(10, int))
    assert held.find_history(0).tolist() == [7, 8] and held.find_history(1).tolist() == [5]
    assert held.lengths.tolist() == [2, 1]
