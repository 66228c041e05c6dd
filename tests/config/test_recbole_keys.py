"""The table of RecBole's settings equals the settings of the installed RecBole."""

import re
from functools import cache

import pytest
from recbole.utils import get_model

from recbole_samrec.config.keys import collect_types, list_keys_of_all_models, list_known_keys
from recbole_samrec.config.recbole_keys import (
    CHOICES,
    CHOICES_OF_MODELS,
    LEARNERS,
    LOOKED_UP,
    LOOKED_UP_BY,
    RANGES,
    SYNONYMS,
    TREES,
    TYPES,
    find_recbole_folder,
)
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.integration import registry

FOLDER = find_recbole_folder()
THEIRS = [name for name in registry.model_names() if name not in registry.MODELS and name not in TREES]


@cache
def looked_up(file):
    """Settings that a source file of RecBole reads from its configuration."""
    return frozenset(re.findall(r"""config(?:\.get\(|\[)\s*["'](\w+)["']""", file.read_text(encoding="utf-8")))


def test_find_recbole_folder__is_that_of_the_package():
    import recbole

    assert [str(FOLDER)] == list(recbole.__path__)


def test_list_known_keys__hold_what_recbole_looks_up():
    sources = [file for file in FOLDER.rglob("*.py") if "model" not in file.relative_to(FOLDER).parts[:1]]
    found = set().union(*map(looked_up, sources))
    assert len(found) > 100 and found - list_known_keys() == set()


@pytest.mark.parametrize("model", THEIRS)
def test_list_known_keys__hold_what_a_model_looks_up(model):
    files = [
        FOLDER.parent / (base.__module__.replace(".", "/") + ".py")
        for base in get_model(model).__mro__
        if base.__module__.startswith("recbole.")
    ]
    found = set().union(*map(looked_up, files))
    assert found - list_known_keys(model) == set()


def test_recbole_keys__tables_name_settings_that_there_are():
    there = list_keys_of_all_models() | LOOKED_UP
    assert set(RANGES) | set(CHOICES) | set(TYPES) <= there
    for model, key in CHOICES_OF_MODELS:
        assert key in read_yaml(FOLDER / "properties" / "model" / f"{model}.yaml")
    for model in LOOKED_UP_BY:
        assert model in THEIRS
    assert {name for names in SYNONYMS.values() for name in names} <= there


def test_recbole_keys__no_setting_lacks_a_type_without_need():
    without = {}
    for model in THEIRS:
        file = FOLDER / "properties" / "model" / f"{model}.yaml"
        keys = set(read_yaml(file)) if file.is_file() else set()
        without |= {key: model for key in keys - set(collect_types(model))}
    apart = {"metrics", "topk", "eval_args", "train_neg_sample_args", "val_interval", "xgb_model", "valid_metric"}
    assert set(without) <= apart, without


def test_recbole_keys__learners_are_those_that_recbole_builds():
    source = (FOLDER / "trainer" / "trainer.py").read_text(encoding="utf-8")
    assert set(re.findall(r"""learner\.lower\(\) == ["'](\w+)["']""", source)) == set(LEARNERS)


def test_recbole_keys__choices_are_in_the_files_of_recbole():
    for (model, key), words in CHOICES_OF_MODELS.items():
        text = (FOLDER / "properties" / "model" / f"{model}.yaml").read_text(encoding="utf-8")
        (line,) = re.findall(rf"^{key}\s*:.*$", text, re.M)
        assert all(word in line for word in words), (model, key)
