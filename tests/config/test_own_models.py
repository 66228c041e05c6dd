"""Settings of a user's own model come from its class and its source."""

import importlib.util
import sys

import pytest

from recbole_samrec.config.own_models import collect_own_defaults, list_own_classes, list_own_keys

SOURCE = """
from recbole.model.sequential_recommender.sasrec import SASRec

class Base(SASRec):
    settings = {"depth": 2, "width": 3}

class Mine(Base):
    settings = {"width": 4}

    def __init__(self, config, dataset):
        self.config, other = config, {}
        super().__init__(config, dataset)
        self.a, self.b, self.c = config["one"], config.get("two", 3), self.config["three"]
        other["four"], name = 1, "five"
        # config["six"]
        self.d = config[name]
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    file = tmp_path / "mine_of_mine.py"
    file.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("mine_of_mine", file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mine_of_mine", module)
    spec.loader.exec_module(module)
    return module.Mine


def test_list_own_classes__are_the_users(mine):
    assert [base.__name__ for base in list_own_classes(mine)] == ["Mine", "Base"]
    from recbole.model.sequential_recommender.sasrec import SASRec

    assert list_own_classes(SASRec) == [] and collect_own_defaults(SASRec) == {} and list_own_keys(SASRec) == set()


def test_collect_own_defaults__are_inherited(mine):
    assert collect_own_defaults(mine) == {"depth": 2, "width": 4}


def test_collect_own_defaults__are_a_mapping_of_names():
    class Other:
        settings = ("not", "a", "mapping")

    assert collect_own_defaults(Other) == {}


def test_list_own_keys__are_declared_or_looked_up(mine):
    assert list_own_keys(mine) == {"depth", "width", "one", "two", "three"}
