"""Models are found by name: RecBole's, ours and a user's own, which must be a model with a unique name."""

import sys
from pathlib import Path

import pytest
from recbole.model.general_recommender.bpr import BPR
from recbole.utils import get_model

from recbole_samrec.integration.registry import MODELS, find_module, is_model, model_from, model_names, register
from recbole_samrec.utils.errors import ConfigError

MODEL = "from recbole.model.general_recommender.bpr import BPR\nclass {name}(BPR):\n    pass\nsettings = {{}}\n"


@pytest.fixture
def own(own_folder, monkeypatch):
    """A file with a model, which is unregistered after the test."""
    Path("mine.py").write_text(MODEL.format(name="MineOfRegistry"))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return "mine.py:MineOfRegistry"


def test_model_names__are_recboles_and_ours_each_once():
    names = model_names()
    assert {"SASRec", "BPR", "Random", "LightGBM", *MODELS} <= set(names)
    assert len(set(names)) == len(names) and names == sorted(names, key=str.lower)
    assert is_model("gSASRec") and not is_model("sasrec")


@pytest.mark.parametrize("name", MODELS)
def test_find_module__has_the_class_of_our_model(name):
    assert getattr(find_module(name), name) is get_model(name)


def test_model_from__registers_a_model_of_a_file(own):
    assert not is_model("MineOfRegistry")
    assert model_from(own) == "MineOfRegistry" and is_model("MineOfRegistry")
    module = sys.modules["recbole.model.general_recommender.mineofregistry"]
    assert issubclass(module.MineOfRegistry, BPR) and len(module.MineOfRegistry.source_sha256) == 64


@pytest.mark.parametrize(
    "source, words",
    [
        ("SASRec", "--model=SASRec: give the file and the class of your model, as file.py:Name"),
        ("mine.py:", "--model=mine.py:: give the file and the class"),
        ("nowhere.py:A", "--model=nowhere.py:A: nowhere.py cannot be imported ("),
        ("no_such_module:A", "--model=no_such_module:A: no_such_module cannot be imported ("),
        ("mine.py:Other", "--model=mine.py:Other: there is no Other in mine.py"),
        ("mine.py:settings", "{} is not a model: derive it from one of recbole.model.abstract_recommender"),
    ],
)
def test_model_from__tells_what_is_wrong(own, source, words):
    with pytest.raises(ConfigError) as caught:
        model_from(source)
    assert str(caught.value).startswith(words)


def test_register__refuses_other_classes_and_taken_names():
    with pytest.raises(ConfigError, match=r"^Path is not a model: derive it from one of"):
        register(Path)
    with pytest.raises(ConfigError, match=r"^BPR: there is a model of this name already; choose another$"):
        register(type("BPR", (BPR,), {}))
