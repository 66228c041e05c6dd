"""The files that are generated from the schema are up to date."""

import re

import yaml

from recbole_samrec.config.schema import (
    ABOUT_MODELS,
    COMMAND_DEFAULTS,
    DEFAULTS_OF_MODELS,
    MODEL_GROUPS,
    SHARED_GROUPS,
    collect_model_settings,
    list_group_settings,
)
from recbole_samrec.config.yaml_files import read_yaml
from tests.helpers.paths import ROOT
from tools import write_properties


def test_files_are_up_to_date(capsys):
    assert write_properties.main(["--check"]) == 0, capsys.readouterr().out


def test_files_that_are_not_are_named_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(write_properties, "ROOT", tmp_path)
    for folder in ("properties/model", "docs/reference"):
        (tmp_path / folder).mkdir(parents=True)
    assert write_properties.main(["--check"]) == 1
    assert "properties/overall.yaml is not up to date" in capsys.readouterr().out
    assert write_properties.main([]) == 0 == write_properties.main(["--check"])


def test_yaml_files_hold_the_defaults():
    overall = read_yaml(ROOT / "properties" / "overall.yaml")
    assert overall == {key: one.default for key, one in collect_model_settings().items()}
    assert read_yaml(ROOT / "properties" / "command.yaml") == COMMAND_DEFAULTS
    for model in ABOUT_MODELS:
        given = read_yaml(ROOT / "properties" / "model" / f"{model}.yaml")
        own = {key: one.default for key, one in collect_model_settings(model).items() if key not in overall}
        assert given == own | DEFAULTS_OF_MODELS[model]
        assert all(type(given[key]) is type(value) for key, value in own.items())


def test_format_yaml_can_be_read_again():
    for value in (None, True, False, 0, 1e-12, "", "[1,inf)", "CE", [], [5, 10], "NDCG@10"):
        again = yaml.safe_load(write_properties.format_yaml(value))
        assert again == value and type(again) is type(value)


def test_page_lists_every_setting_with_its_default():
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `(\w+)` \| `(.*?)`", page, re.M)
    declared = [one for group in (*SHARED_GROUPS, *MODEL_GROUPS) for one in list_group_settings(group)]
    shown = [(one.key, write_properties.format_yaml(one.default)) for one in declared]
    assert found[: len(shown)] == shown
