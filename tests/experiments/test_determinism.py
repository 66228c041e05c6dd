"""Models that are the same with every seed."""

import pytest
from recbole.utils import get_model

from recbole_samrec.experiments.determinism import DETERMINISTIC, is_deterministic
from tests.helpers.compared import make_run

EXPECTED = {"Pop": True, "ItemKNN": True, "Random": False, "SAMRec": False, "RecentPop": True, "HistoryEASE": True}


@pytest.mark.parametrize("model, expected", EXPECTED.items())
def test_is_deterministic__knows_such_models(model, expected):
    assert is_deterministic(model) is expected
    assert make_run(model=model).is_deterministic is expected
    assert not make_run(model=model, fraction=0.5).is_deterministic  # the seed draws the users


def test_is_deterministic__reads_the_class_of_a_model(monkeypatch):
    monkeypatch.setattr(get_model("BPR"), "deterministic", True, raising=False)
    assert is_deterministic("BPR") and not is_deterministic("of a file that is gone")


def test_deterministic__names_models_of_recbole():
    assert all(get_model(name) for name in DETERMINISTIC)
