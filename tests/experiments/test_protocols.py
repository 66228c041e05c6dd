"""Protocols of a comparison, and users that a model cannot serve."""

import pytest
from recbole.utils import get_model

from recbole_samrec.config.validate import check_eval_args
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.experiments.protocols import PROTOCOLS, align_unseen_users, check_protocols, list_general
from recbole_samrec.quick_start.build_trainer import serves_unseen_users
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PROPERTIES


def test_protocols__are_valid_and_loo_is_the_default():
    for eval_args in PROTOCOLS.values():
        check_eval_args(eval_args)
    assert PROTOCOLS["loo"] == read_yaml(PROPERTIES / "compare.yaml")["protocol"]["eval_args"]


def test_check_protocols__names_what_is_wrong():
    assert check_protocols(["loo", "gts-last"], {"lr": 1}) == ["loo", "gts-last"]
    for names, settings, words in (
        (["gts"], {}, "unknown protocol"),
        (["loo", "loo"], {}, "twice"),
        (["loo"], {"eval_args": {}}, "both choose a split"),
    ):
        with pytest.raises(ConfigError, match=words):
            check_protocols(names, settings)


def test_align_unseen_users__drops_them_for_all():
    settings = {name: {"model": name, "eval_args": PROTOCOLS["gts-last"]} for name in ("SASRec", "Pop")}
    assert align_unseen_users(settings) == []
    settings["Mine"] = {"model": "BPR", "eval_args": PROTOCOLS["gts-last"]}
    assert align_unseen_users(settings) == ["Mine"]
    assert all(one["eval_args"]["split"]["GTS"]["unseen_users"] == "drop" for one in settings.values())
    assert "unseen_users" not in PROTOCOLS["gts-last"]["split"]["GTS"]
    assert align_unseen_users(settings) == []
    assert align_unseen_users({"BPR": {"model": "BPR", "eval_args": PROTOCOLS["loo"]}}) == []


@pytest.mark.parametrize("model", "Caser FOSSIL FPMC HGN HRM NPE SHAN TransRec BPR EASE ItemKNN".split())
def test_serves_unseen_users__finds_tables_of_users(model):
    assert not serves_unseen_users(get_model(model))


@pytest.mark.parametrize(
    "model", "SASRec SAMRec GRU4Rec S3Rec CL4SRec SINE STAMP Pop Random RecentPop HistoryEASE".split()
)
def test_serves_unseen_users__of_models_without_them(model):
    assert serves_unseen_users(get_model(model))


def test_list_general__needs_both_kinds_and_leave_one_out():
    pop, sasrec = ({"model": name, "eval_args": PROTOCOLS["loo"]} for name in ("Pop", "SASRec"))
    assert list_general({"P": pop, "S": sasrec}) == ["P"]
    assert list_general({"P": pop}) == list_general({"S": sasrec}) == []
    for other in ({"eval_args": PROTOCOLS["gts-last"]}, {"benchmark_filename": ["train", "test"]}):
        assert list_general({"P": {**pop, **other}, "S": {**sasrec, **other}}) == []
