"""Runs with equal results have the same fingerprint."""

import json
from pathlib import Path

import pytest

from recbole_samrec.config.fingerprint import fingerprint
from recbole_samrec.config.schema import RENAMED, collect_model_settings
from recbole_samrec.utils.settings import OF_ONE_RUN
from tests.helpers.paths import ROOT

SETTINGS = {"model": "SAMRec", "seed": 1, "topk": [5, 10], "run_dir": "a"}


def test_fingerprint__tells_results_apart_and_nothing_else():
    same = {"topk": [5, 10], "seed": 1, "model": "SAMRec", **dict.fromkeys(OF_ONE_RUN, "b"), "device": Path("cpu")}
    assert fingerprint(SETTINGS) == fingerprint(same)
    assert fingerprint(SETTINGS) != fingerprint({**SETTINGS, "seed": 2})


def test_fingerprint__is_that_of_the_earlier_spelling():
    earlier = {**SETTINGS, "sam_row_radius": "frequency", "sam_leave_out": ["*norm*"]}
    today = {**SETTINGS, "sam_item_rho": "frequency", "sam_exclude": ["*norm*"]}
    assert fingerprint(earlier) == fingerprint(today) != fingerprint(SETTINGS)


@pytest.mark.parametrize("model", ["SAMRec", "GRU4Rec", "S3Rec"])
def test_fingerprint__stays_when_settings_are_added(model):
    settings = {**SETTINGS, "model": model}
    defaults = {key: one.default for key, one in collect_model_settings(model).items()}
    assert fingerprint(settings) == fingerprint({**settings, **defaults})
    for key, one in collect_model_settings(model).items():
        if key not in OF_ONE_RUN:
            assert fingerprint({**settings, key: "another"}) != fingerprint(settings), key
            assert fingerprint({**settings, key: one.default}) == fingerprint(settings), key


def test_fingerprint__of_a_record_of_an_earlier_revision():
    (file,) = ROOT.glob("results/**/ml-100k/SAMRec-2020-2/result.json")
    config = json.loads(file.read_text(encoding="utf-8"))["config"]
    assert set(RENAMED) & set(config), "the record has names of an earlier revision"
    today = {RENAMED.get(key, key): value for key, value in config.items()}
    assert fingerprint(config) == fingerprint(today)
    lacking = {key: value for key, value in today.items() if key not in ("sam_exclude", "track_sharpness")}
    assert fingerprint(config) == fingerprint(lacking)
    assert fingerprint(config) != fingerprint({**today, "sam_item_rho": "frequency"})
