"""Entries with SAM, their plain entries and controls are found by their settings."""

import re

import pytest
import yaml

from recbole_samrec.compare.control_groups import Role, check_controls, find_groups, find_role
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.utils.errors import ConfigError

RHOS = {"sam_rho": [0, 0.1]}
TABLE = {
    "SASRec": {"model": "SAMRec", "fixed": {"sam_rho": 0}, "choose": {"learning_rate": [0.1, 0.2]}},
    "SAM": {"model": "SAMRec", "variant_of": "SASRec", "tuned_as": "SASRec", "choose": RHOS},
    "random": {
        "model": "SAMRec",
        "variant_of": "SASRec",
        "tuned_as": "SASRec",
        "fixed": {"sam_variant": "random"},
        "choose": RHOS,
    },
    "averaged": {
        "model": "SAMRec",
        "variant_of": "SASRec",
        "tuned_as": "SASRec",
        "fixed": {"sam_rho": 0},
        "choose": {"weight_average": [None, "ema 0.99"]},
    },
    "both": {"model": "SAMRec", "variant_of": "SASRec", "fixed": {"weight_average": "last 2"}},
}


def read(folder, names, **changes):
    table = {name: {**of, **changes.get(name, {})} for name, of in TABLE.items()}
    file = folder / "entries.yaml"
    file.write_text(yaml.safe_dump({"entries": table}))
    return read_entries(names, [file])


def test_find_role__follows_from_settings(tmp_path):
    roles = [find_role(entry, {}) for entry in read(tmp_path, list(TABLE))]
    assert roles == [Role.PLAIN, Role.SAM, Role.RANDOM, Role.AVERAGED, Role.OTHER]
    usual = read_entries(["GRU4Rec", "GRU4Rec+SAM", "SASRec", "SAMRec", "Pop"])
    assert [find_role(entry, {}) for entry in usual] == [Role.PLAIN, Role.SAM, Role.PLAIN, Role.SAM, Role.PLAIN]
    assert find_role(usual[3], {"sam_variant": "random"}) is Role.RANDOM
    assert find_role(usual[3], {"sam_rho": 0}) is Role.PLAIN


def test_find_groups__takes_controls_that_are_selected_alike(tmp_path):
    (group,) = find_groups(read(tmp_path, list(TABLE)), {})
    assert group.sam.name == "SAM" and group.plain.name == "SASRec"
    names = {role: [one.name for one in own] for role, own in group.opponents.items()}
    assert names == {Role.PLAIN: ["SASRec"], Role.RANDOM: ["random"], Role.AVERAGED: ["averaged"]}
    more = {"random": {"choose": {"sam_rho": [0, 0.1, 0.2]}}, "averaged": {"tuned_as": ""}}
    (group,) = find_groups(read(tmp_path, list(TABLE), **more), {})
    assert not group.opponents[Role.RANDOM] and not group.opponents[Role.AVERAGED]
    assert find_groups(read_entries(["SAMRec", "GRU4Rec"]), {}) == []  # its plain entry is not compared


def test_find_groups__knows_what_was_tuned_without_sam(tmp_path):
    changes = {"both": {"tuned_as": "SAM", "fixed": {}}}  # an entry with SAM at the settings of another one
    groups = find_groups(read(tmp_path, list(TABLE), SAM={"tuned_as": ""}, **changes), {})
    assert {one.sam.name: one.tuned_without for one in groups} == {"SAM": False, "both": False}
    assert find_groups(read(tmp_path, list(TABLE)), {})[0].tuned_without


def test_check_controls__wants_as_many_candidates(tmp_path):
    check_controls(read(tmp_path, list(TABLE)), {})
    fewer = read(tmp_path, list(TABLE), random={"choose": {"sam_rho": [0.1]}})
    words = "random: it has 1 candidates and SAM has 2; a control needs as many candidates as SAM: change"
    with pytest.raises(ConfigError, match=f"^{re.escape(words)}"):
        check_controls(fewer, {})
    words = "averaged: it is tuned as itself and SAM as SASRec; a control must be selected like SAM: give both the same"
    with pytest.raises(ConfigError, match=f"^{re.escape(words)}"):
        check_controls(read(tmp_path, list(TABLE), averaged={"tuned_as": ""}), {})


@pytest.fixture
def read_staged(tmp_path):
    """Reads variants of S3Rec: SAM and random directions in each stage, and an average of weights."""
    random = {"model": "S3Rec", "variant_of": "S3Rec", "settings": {"sam_rho": 0.3}}
    table = {
        "random": {**random, "fixed": {"sam_variant": "random"}},
        "random before": {**random, "fixed": {"sam_variant": "random", "sam_stage": "pretraining"}},
        "averaged": {"model": "S3Rec", "variant_of": "S3Rec", "fixed": {"sam_rho": 0, "weight_average": "last 2"}},
    }
    file = tmp_path / "staged.yaml"
    file.write_text(yaml.safe_dump({"entries": table}))
    return lambda *names: read_entries(["S3Rec", *names], [file])


def test_find_groups__takes_random_directions_of_one_stage(read_staged):
    before = "S3Rec+SAM in pre-training"
    entries = read_staged("S3Rec+SAM", before, "S3Rec+SAM in both stages", "random", "random before", "averaged")
    check_controls(entries, {})
    found = {group.sam.name: [one.name for one in group.opponents[Role.RANDOM]] for group in find_groups(entries, {})}
    assert found == {"S3Rec+SAM": ["random"], before: ["random before"], "S3Rec+SAM in both stages": []}
    assert all(group.opponents[Role.AVERAGED][0].name == "averaged" for group in find_groups(entries, {}))


def test_check_controls__wants_the_stage_of_sam(read_staged):
    words = "random: its sam_stage is finetuning and that of S3Rec+SAM in pre-training is pretraining; a random"
    with pytest.raises(ConfigError, match=f"^{re.escape(words)}"):
        check_controls(read_staged("S3Rec+SAM in pre-training", "random"), {})
    check_controls(read_staged("S3Rec+SAM in pre-training", "averaged"), {})
