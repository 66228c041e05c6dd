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
    assert "this is no record of a search" in main("tune", "--resume=out").err


def test_plan_search_leaves_the_choice_of_gpus_to_ray(data, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    strategy, notes = Strategy(trials=3), []
    plan_search("SAMRec", "tiny", None, strategy, [1], None, files=SMALL | {"gpu_id": 1}, note=notes.append)
    assert "gpu_id=1 in the files has no effect" in " ".join(notes)
    with pytest.raises(ConfigError, match="--gpu_id=1: Ray gives each run its GPU"):
        plan_search("SAMRec", "tiny", None, strategy, [1], None, given=SMALL | {"gpu_id": 1})
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
