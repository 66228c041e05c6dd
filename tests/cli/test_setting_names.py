"""Errors on unknown settings suggest similar names."""

import pytest

from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.utils.errors import ConfigError


def test_check_setting_names__accepts_those_of_any_model():
    check_setting_names(["learning_rate", "sam_rho", "n_layers", "mlp_hidden_size"], "SASRec")
    check_setting_names(["my_own"], also=["my_own"])


def test_check_setting_names__names_the_first_that_is_unknown():
    with pytest.raises(ConfigError, match=r"^unknown setting --learning_rte; did you mean learning_rate or"):
        check_setting_names(["epochs", "learning_rte", "seeed"], "SASRec", "ml-100k")
