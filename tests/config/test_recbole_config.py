"""RecBole's configuration is built from checked settings, with our defaults."""

import sys

import pytest
from recbole.config import Config

from recbole_samrec.config.recbole_config import Typed, build_config, is_sequential, is_typed
from recbole_samrec.utils.errors import ConfigError

SASREC = {"model": "SASRec", "dataset": "tiny", "train_neg_sample_args": None}


def test_build_config__reads_no_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--learning_rate=7"])
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None)
    assert Config(model="BPR", dataset="tiny")["learning_rate"] == 7
    config = build_config({"model": "BPR", "dataset": "tiny", "note": "[1]"})
    assert config["learning_rate"] == 0.001 and config["note"] == "[1]"
    assert is_typed(config) and not is_typed(Config(model="BPR", dataset="tiny", config_dict={"seed": 1}))


def test_build_config__defaults_of_commands_are_for_commands():
    assert build_config(SASREC)["topk"] == [10]
    config = build_config(SASREC, of_command=True)
    assert config["topk"] == [5, 10, 20] and config["valid_metric"] == "NDCG@10"
    assert config["load_col"]["inter"] == ["user_id", "item_id", "timestamp"]
    assert build_config({**SASREC, "topk": [3], "valid_metric": "MRR@3"}, of_command=True)["topk"] == [3]
    by_value = {"model": "FM", "dataset": "tiny"}
    assert build_config(by_value, of_command=True)["valid_metric"] == "AUC"


def test_is_sequential__depends_on_the_model():
    assert is_sequential(build_config(SASREC))
    assert not is_sequential(build_config({"model": "BPR", "dataset": "tiny"}))


def test_typed__are_a_dictionary():
    assert Typed({"a": 1}) == {"a": 1} and Typed() == {} and not Typed().of_command


@pytest.mark.parametrize("settings", [{"sam_rho": -1}, {"sam_item_rho": "popularity"}, {"training": "fast"}])
def test_build_config__checks_our_settings(settings):
    (key,) = settings
    with pytest.raises(ConfigError, match=f"^{key}=.*: must be"):
        Config(model="BPR", dataset="tiny", config_dict=settings)


def test_build_config__reads_earlier_names():
    config = Config(model="BPR", dataset="tiny", config_dict={"sam_row_radius": "frequency", "sam_leave_out": ["a*"]})
    assert config["sam_item_rho"] == "frequency" and config["sam_exclude"] == ["a*"]
    assert "sam_row_radius" not in config.final_config_dict


def test_build_config__defaults_of_a_class_are_below_given_ones():
    from recbole.model.general_recommender.bpr import BPR

    from recbole_samrec.integration.registry import register

    class OwnBPR(BPR):
        settings = {"my_size": 3, "embedding_size": 8}  # noqa: RUF012

    register(OwnBPR)
    config = Config(model="OwnBPR", dataset="tiny", config_dict={"my_size": 4})
    assert config["my_size"] == 4 and config["embedding_size"] == 8
