"""The record of a run: its fields, reading of older records, and its JSON Schema."""

import json
import pickle

import jsonschema
import pydantic
import pytest
from packaging.version import Version

from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.quick_start.record import SCHEMA_FILE, RunRecord, json_schema, make_label, upgrade_record
from tests.helpers.command import SMALL, succeed
from tests.helpers.paths import ROOT
from tests.helpers.records import record_of_a_run, write_record
from tests.helpers.tiny import cyclic, write_events

RECORDS = sorted((ROOT / "results").rglob("result.json"))


def validate(content):
    jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text())).validate(content)


@pytest.mark.skipif(Version(pydantic.VERSION) < Version("2.10"), reason="pydantic 2.7 writes the same in other words")
def test_json_schema__is_in_the_file():
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema(), "run: python -m tools.result_schema"
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_json_schema__accepts_every_record_of_the_results():
    assert len(RECORDS) > 100
    for file in RECORDS:
        content = json.loads(file.read_text())
        config = upgrade_settings(content["config"])
        assert "schema_version" in content or upgrade_record(content) == {
            "schema_version": 1,
            **content,
            "config": config,
        }
        validate(upgrade_record(content))
        assert RunRecord.read(file) == upgrade_record(content)


@pytest.mark.parametrize("model", ["SAMRec", "Pop"])
def test_json_schema__accepts_a_new_record(own_folder, model):
    write_events("dataset", "tiny", cyclic(users=40, items=30))
    arguments = [*SMALL, "--track_sharpness=1"] if model == "SAMRec" else ["--model=Pop"]
    succeed("run", "--dataset=tiny", "--run_dir=one", *arguments)
    content = json.loads((own_folder / "one/result.json").read_text())
    validate(content)
    assert next(iter(content)) == "schema_version" and ("sharpness" in content) == (model == "SAMRec")
    assert RunRecord.read(own_folder / "one/result.json") == content


def test_run_record__renames_settings_of_earlier_versions():
    earlier = record_of_a_run(schema_version=..., config={"sam_row_radius": "frequency", "sam_leave_out": ["bias"]})
    assert RunRecord.from_dict(earlier).config == {"sam_item_rho": "frequency", "sam_exclude": ["bias"]}


def test_run_record__is_written_as_it_is_read(own_folder):
    content = write_record("one.json", parameters=None, best_epoch=None, skipped_steps=None, valid=None)
    record = RunRecord.read(own_folder / "one.json")
    record.write(own_folder / "two.json")
    assert json.loads((own_folder / "two.json").read_text()) == content


def test_run_record__is_a_mapping():
    content = record_of_a_run()
    record = RunRecord.from_dict(content)
    assert record == content and dict(record) == content and len(record) == len(content)
    assert record["test"]["ndcg@10"] == record.test["ndcg@10"] == 0.5
    assert "pretraining" not in record and record.get("pretraining") is None and record.pretraining is None
    with pytest.raises(KeyError):
        record["pretraining"]
    assert pickle.loads(pickle.dumps(record)) == record


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": ...}, "it has no model"),
        ({"data": {"sha256": "0"}}, "data has no users and no items and no interactions"),
        ({"seed": "1"}, "seed"),
        ({"seed": True}, "seed"),
        ({"config": {}}, "config"),
        ({"test": {"ndcg@10": None}}, "test.ndcg@10"),
        ({"seconds_total": None}, "seconds_total"),
        ({"accuracy": 1}, "accuracy"),
        ({"schema_version": 2}, "schema_version 1, not 2"),
    ],
)
def test_run_record__rejects_a_wrong_field(changes, words):
    with pytest.raises(ValueError, match=words):
        RunRecord.from_dict(record_of_a_run(**changes))
    with pytest.raises(jsonschema.ValidationError):
        validate(record_of_a_run(**changes))


def test_run_record__of_an_earlier_version_has_no_budget():
    earlier = RunRecord.from_dict(record_of_a_run())
    assert earlier.gradient_passes is None and earlier.cpu_seconds is None
    assert not {"gradient_passes", "cpu_seconds"} & set(earlier.to_dict())
    later = RunRecord.from_dict(record_of_a_run(gradient_passes=6.0, cpu_seconds=1.5))
    assert (later["gradient_passes"], later["cpu_seconds"]) == (6, 1.5)


@pytest.mark.parametrize("content", [[], 7, None, "x"])
def test_run_record__rejects_missing_fields(content):
    with pytest.raises(ValueError, match="it has no fields"):
        RunRecord.from_dict(content)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model": "SAMRec", "sam_rho": 0.3}, "SAMRec"),
        ({"model": "SAMRec", "sam_rho": 0.0}, "SASRec"),
        ({"model": "SAMRec", "sam_rho": 0.0, "loss_type": "SSM"}, "SASRec (SSM)"),
        ({"model": "SAMRec", "sam_rho": 0.3, "loss_type": "gBCE", "sam_variant": "looksam"}, "SAMRec (gBCE, looksam)"),
        ({"model": "GRU4Rec", "sam_rho": 0.1, "loss_type": "BPR"}, "GRU4Rec+SAM"),
        ({"model": "BPR", "sam_rho": None, "loss_type": None}, "BPR"),
        ({"model": "SAMRec", "sam_rho": 0.3, "sam_variant": "random"}, "SAMRec (random)"),
        ({"model": "GRU4Rec", "sam_rho": 0.0, "weight_average": "ema 0.999"}, "GRU4Rec (ema 0.999)"),
    ],
)
def test_make_label__names_what_was_trained(settings, expected):
    unset = {"loss_type": "CE", "sam_variant": "sam", "weight_average": None}
    assert make_label(unset | settings) == expected
