"""Specifications of searches."""

import os
from pathlib import Path

import pytest

from recbole_samrec.tune.search_spec import plan_search, read_search, write_search
from recbole_samrec.tune.strategies import Strategy
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.command import main
from tests.helpers.searches import SMALL


def test_read_search_reads_what_was_written(data):
    space = {"sam_rho": {"loguniform": [0.01, 1]}, "hidden_dropout_prob": [0.1, 0.2]}
    space["attn_dropout_prob"] = {"same_as": "hidden_dropout_prob"}
    found = plan_search("SAMRec", "tiny", space, Strategy(trials=3, grace=4), [1, 2], Path("out"), given=SMALL)
    write_search(found)
    assert read_search(Path("out")) == found
    Path("out/search.json").write_text("{")
    assert "not a valid record of a search" in main("tune", "--resume=out").err


def test_plan_search_leaves_the_choice_of_gpus_to_ray(data, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    strategy, notes = Strategy(trials=3), []
    plan_search("SAMRec", "tiny", None, strategy, [1], None, files=SMALL | {"gpu_id": 1}, note=notes.append)
    assert "gpu_id=1 in the files has no effect" in " ".join(notes)
    with pytest.raises(ConfigError, match="--gpu_id=1: Ray gives each run its GPU"):
        plan_search("SAMRec", "tiny", None, strategy, [1], None, given=SMALL | {"gpu_id": 1})
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_plan_search__takes_a_budget_in_passes(data):
    space = {"sam_rho": {"loguniform": [0.01, 1]}}
    found = plan_search("SAMRec", "tiny", space, Strategy(trials=None, passes=12.0), [1], Path("out"), given=SMALL)
    assert found.trials == 12 and found.budget == "12 gradient passes"
    write_search(found)
    assert read_search(Path("out")) == found
    said = main("tune", "--dataset=tiny", "--trials=3", "--passes=12", "--out=other")
    assert said.status == 2 and "--passes=12: --trials=3 is a budget, too; give one of them" in said.err
    said = main("tune", "--resume=out", "--passes=12")
    assert said.status == 2 and "remove --passes" in said.err


def test_plan_search__of_counted_models_has_no_passes(data):
    strategy = Strategy(trials=None, passes=5.0)
    with pytest.raises(ConfigError, match="--passes=5: ItemKNN takes no gradient passes, it is computed from counts"):
        plan_search("ItemKNN", "tiny", {"k": [10, 20]}, strategy, [1], None, given={"topk": [5]})
