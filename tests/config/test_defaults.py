"""Our defaults override RecBole's, yield to the user's settings, and load times where order matters."""

import pytest
from recbole.config import Config

from recbole_samrec.config.build import configure
from recbole_samrec.config.defaults import add_time_column
from recbole_samrec.utils.errors import ConfigError

NAMES = {"USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "TIME_FIELD": "timestamp"}
DEFAULT = {**NAMES, "load_col": {"inter": ["user_id", "item_id"]}}


def test_add_time_column__completes_recboles_default():
    assert add_time_column(DEFAULT, {}) == {"inter": ["user_id", "item_id", "timestamp"]}
    assert DEFAULT["load_col"] == {"inter": ["user_id", "item_id"]}


def test_add_time_column__takes_the_users_names_of_fields():
    given = {"USER_ID_FIELD": "who", "TIME_FIELD": "when"}
    assert add_time_column(DEFAULT, given) == {"inter": ["who", "item_id", "when"]}


def test_add_time_column__leaves_columns_of_a_data_set_alone():
    columns = {"inter": ["user_id", "item_id", "rating"], "item": ["item_id", "class"]}
    assert add_time_column(DEFAULT | {"load_col": columns}, {}) == columns
    assert add_time_column(DEFAULT | {"load_col": None}, {}) == {}


def test_add_our_defaults__give_way_to_the_users_settings():
    settings = {"data_path": ".", "sam_rho": 0.3}
    config = Config(model="SAMRec", dataset="tiny", config_dict=settings)
    assert config["sam_rho"] == 0.3 and config["training"] == "packed"
    assert Config(model="SASRec", dataset="tiny", config_dict={"data_path": "."})["sam_rho"] != 0.3


def test_add_our_defaults__refuse_a_wrong_value():
    with pytest.raises(ConfigError, match=r"^sam_rho=-1: must be a number of at least 0"):
        Config(model="SAMRec", dataset="tiny", config_dict={"sam_rho": -1})


@pytest.mark.parametrize(
    "model, settings, timed",
    [
        ("SASRec", {}, True),
        ("BPR", {}, False),
        ("BPR", {"eval_args": {"order": "TO"}}, True),
        ("BPR", {"eval_args": {"order": "RO"}}, False),
        ("RecentPop", {}, True),
    ],
)
def test_add_our_defaults__load_the_time_where_order_matters(model, settings, timed):
    config = configure({"model": model, "dataset": "tiny"}, settings, print)
    assert ("timestamp" in config["load_col"]["inter"]) == timed


def test_add_our_defaults__keep_metrics_of_predicted_values():
    ranked = configure({"model": "BPR", "dataset": "tiny"}, {}, print)
    valued = configure({"model": "FM", "dataset": "tiny"}, {"metrics": "AUC", "valid_metric": "AUC"}, print)
    assert ranked["valid_metric"] == "NDCG@10" and valued["topk"] != ranked["topk"]
