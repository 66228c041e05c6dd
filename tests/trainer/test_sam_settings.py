"""SAM's options are read from RecBole's configuration."""

from collections import defaultdict

import pytest

from recbole_samrec.config.schema import SAM, collect_model_settings
from recbole_samrec.config.validate import check_own_values
from recbole_samrec.optim.schedule import SAMSettings
from recbole_samrec.trainer.sam_settings import KEYS, read_sam_settings
from recbole_samrec.utils.errors import ConfigError

EMPTY = {**dict.fromkeys(KEYS.values()), "train_stage": None, "pretrain_epochs": 50, "epochs": 20}


def test_sam_settings__have_the_defaults_of_the_schema():
    defaults = {key: one.default for key, one in collect_model_settings().items()}
    assert read_sam_settings({**EMPTY, **defaults}) == read_sam_settings(EMPTY) == SAMSettings()
    assert set(KEYS.values()) == {*SAM.model_fields, "seed"} - {"max_bad_steps"}  # the seed is RecBole's


def test_sam_settings__are_read():
    settings = {"sam_rho": 1, "sam_variant": "asam", "sam_eta": 0.5, "sam_exclude": "*norm*"}
    assert read_sam_settings({**EMPTY, **settings}) == SAMSettings(1.0, "asam", 0.5, ("*norm*",))
    named = {"params": ("a*", "b"), "schedule": "cosine", "rho_from": 0.1, "rho_epochs": 2.5, "item_rho": "frequency"}
    given = {KEYS[name]: value for name, value in named.items()}
    assert read_sam_settings({**EMPTY, **given}) == SAMSettings(**named)
    more = {"gsam_alpha": 0.1, "fsam_sigma": 0.2, "looksam_k": 3, "looksam_alpha": 0.4}
    assert read_sam_settings({**EMPTY, **more, "sam_momentum": 0.5}) == SAMSettings(**more, momentum=0.5)
    for params in ("all", "norm", "embedding"):
        assert read_sam_settings({**EMPTY, "sam_params": params}).params == params
        assert read_sam_settings({**EMPTY, "sam_params": [params]}).params == params
    assert read_sam_settings({**EMPTY, "sam_params": []}).params == "all"


def test_sam_settings__are_checked():
    wrong = [("sam_rho", -1), ("sam_rho", "a"), ("sam_rho", True), ("sam_rho", float("nan")), ("sam_rho", float("inf"))]
    wrong += [("sam_eta", -1), ("sam_variant", "sma"), ("sam_exclude", [1]), ("sam_params", 3), ("looksam_k", 0)]
    wrong += [("looksam_k", 2.5), ("sam_rho_epochs", 0), ("sam_momentum", 1), ("sam_item_rho", "popularity")]
    wrong += [("sam_rho_schedule", "step"), ("gsam_alpha", -1), ("sam_start", 1.5), ("sam_start", 20)]
    for key, value in wrong:
        with pytest.raises(ConfigError, match=f"{key}="):
            given = {**EMPTY, "sam_rho": 0.1, key: value}
            check_own_values(given, "BPR")
            read_sam_settings(given)


def test_sam_start__is_a_number_or_a_fraction_of_epochs():
    keys = {"sam_rho": 0.1, "epochs": 20, "train_stage": None, "pretrain_epochs": 50}

    def start(**more):
        return read_sam_settings(defaultdict(lambda: None, {**keys, **more})).start

    assert [start(sam_start=value) for value in (0, 3, 0.25, 19)] == [0, 3, 5, 19]
    assert start(sam_start=0.5, train_stage="pretrain") == 25
