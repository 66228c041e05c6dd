"""The candidates of a run are read as they were written."""

import numpy as np
import pytest

from recbole_samrec.data.temporal_held import Held, load_candidates, save_candidates
from recbole_samrec.utils.errors import CheckpointError


def test_load_candidates__reads_what_was_saved(own_folder):
    candidates = np.array([False, True, False, True])
    save_candidates(own_folder / "candidates.npz", candidates)
    assert np.array_equal(load_candidates(own_folder / "candidates.npz", 4), candidates)
    assert load_candidates(own_folder / "none.npz", 4) is None
    (own_folder / "candidates.npz").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="candidates of the run cannot be read"):
        load_candidates(own_folder / "candidates.npz", 4)


def test_held__finds_the_history_of_a_sample():
    held = Held(np.array([7, 8, 9, 5, 6]), np.array([0, 3]), np.array([2, 4]), np.ones(10, bool), np.zeros(10, int))
    assert held.find_history(0).tolist() == [7, 8] and held.find_history(1).tolist() == [5]
    assert held.lengths.tolist() == [2, 1]
