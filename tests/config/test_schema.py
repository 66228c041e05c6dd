"""The schema of settings is complete and agrees with the code that reads them."""

import ast
import subprocess
import sys

import pytest

from recbole_samrec.config.keys import list_known_keys
from recbole_samrec.config.schema import (
    ABOUT_MODELS,
    DEFAULTS_OF_MODELS,
    INTERNAL,
    MODEL_GROUPS,
    RENAMED,
    SHARED_GROUPS,
    collect_model_settings,
    list_group_settings,
    upgrade_settings,
)
from recbole_samrec.config.value_types import is_accepted, list_choices
from recbole_samrec.integration.registry import MODELS
from recbole_samrec.optim.variants import CLASSES
from recbole_samrec.utils.paths import PACKAGE

ALL = [one for group in (*SHARED_GROUPS, *MODEL_GROUPS) for one in list_group_settings(group)]


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.group.__name__}-{one.key}")
def test_schema__setting_is_declared_well(one):
    assert one.default is None or is_accepted(one.annotation, one.default)
    assert one.about[0].isupper() or one.about.split()[0] in list_choices(one.annotation)
    assert one.about.endswith(".") and "\n" not in one.about


def test_schema__settings_are_declared_once_for_each_model():
    shared = [one.key for group in SHARED_GROUPS for one in list_group_settings(group)]
    assert len(set(shared)) == len(shared)
    for model in ABOUT_MODELS:
        own = [one.key for group in MODEL_GROUPS if model in group.models for one in list_group_settings(group)]
        assert len(set(own)) == len(own) and not set(own) & set(shared)


def test_schema__models_of_the_schema_are_ours():
    assert set(ABOUT_MODELS) == set(DEFAULTS_OF_MODELS) == {*MODELS, "S3Rec"}
    assert {model for group in MODEL_GROUPS for model in group.models} == set(ABOUT_MODELS)
    for model, defaults in DEFAULTS_OF_MODELS.items():
        assert set(defaults) <= list_known_keys(model)
        for key, one in collect_model_settings(model).items():
            assert one.default == defaults.get(key, one.default)
            assert one.default is None or is_accepted(one.annotation, one.default), (model, key)


def test_schema__variants_of_the_schema_are_those_of_optim():
    assert set(list_choices(collect_model_settings()["sam_variant"].annotation)) == set(CLASSES)


def test_schema__declares_the_settings_that_the_package_reads():
    known = set(INTERNAL).union(*(list_known_keys(model) for model in [None, *ABOUT_MODELS, "FDSA", "NCL"]))
    looked_up = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                name = getattr(node.value, "id", getattr(node.value, "attr", ""))
                if name == "config" and isinstance(node.slice.value, str):
                    looked_up[node.slice.value] = file.relative_to(PACKAGE)
    assert {key: file for key, file in looked_up.items() if key not in known} == {}
    assert len(looked_up) > 50


def test_upgrade_settings__renames_and_keeps_the_rest():
    earlier = {"a": 1, "sam_row_radius": "frequency", "b": 2}
    assert upgrade_settings(earlier) == {"a": 1, "sam_item_rho": "frequency", "b": 2}
    assert list(upgrade_settings(earlier)) == ["a", "sam_item_rho", "b"]
    assert upgrade_settings({"sam_item_rho": "uniform", "sam_row_radius": "frequency"}) == {"sam_item_rho": "uniform"}
    assert set(RENAMED.values()) <= set(collect_model_settings()) and not set(RENAMED) & set(collect_model_settings())


def test_schema__needs_neither_torch_nor_recbole():
    """The package's own ``__init__`` is not imported, since this test is about the modules of settings."""
    code = f"""
import sys, types
package = types.ModuleType("recbole_samrec")
package.__path__ = [{str(PACKAGE)!r}]
sys.modules["recbole_samrec"] = package
import recbole_samrec.cli.options, recbole_samrec.config.validate, recbole_samrec.config.yaml_files
from recbole_samrec.config.keys import list_known_keys
assert "sam_rho" in list_known_keys("SASRec", "ml-100k") and "hidden_size" in list_known_keys("SASRec", "ml-100k")
print(sorted({{"torch", "recbole", "pandas", "numpy", "ray"}} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr
