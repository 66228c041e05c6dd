"""How settings are read from text, checked, kept and compared."""

from pathlib import Path

import pytest
import yaml
from recbole.config import Config

from recbole_samrec.compat.config import Typed
from recbole_samrec.config.validate import CHOICES, RANGES, Declared, check_values, declarations
from recbole_samrec.integration import registry
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import OF_ONE_RUN, fingerprint, literal, nearest, plain_config
from tests.helpers.tiny import make_config, random_events, write_events


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("-1", -1),
        ("1e-3", 0.001),
        ("1/3", 1 / 3),
        ("2**10", 1024),
        ("[5, 10]", [5, 10]),
        ("{'LS': 'valid_and_test'}", {"LS": "valid_and_test"}),
        ("(1, 2)", (1, 2)),
        ("true", True),
        ("False", False),
        ("None", None),
        ("SAMRec", "SAMRec"),
        ("'3'", "3"),
        ("ml-1m", "ml-1m"),
        ("0,1", (0, 1)),
        ("[0,inf)", "[0,inf)"),
        ("", ""),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("[x for x in range(3)]", "[x for x in range(3)]"),
        ("9**9**9", "9**9**9"),
        ("1/0", "1/0"),
        ("(" * 5000, "(" * 5000),
    ],
)
def test_text_is_read_and_never_run(text, value):
    assert literal(text) == value and type(literal(text)) is type(value)


def test_nearest_names():
    assert nearest("learning_rte", ["learning_rate", "epochs"]) == "did you mean learning_rate?"
    assert nearest("SASREC", ["SASRec", "Pop"]) == "did you mean SASRec?"
    assert nearest("xyz", ["b", "a"]) == "there are: a, b"
    many = [f"name{n}" for n in range(20)]
    assert nearest("q", many).startswith("the nearest names are name")


def test_declarations_are_read_from_comments(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(
        "a: 1   # (int) A number.\n"
        "b: x   # (str) A word. Range in ['x', 'y_z'].\n"
        "c:     # (dict) Two keys.\n"
        "  a: x # (str) Another key of this name. Range in ['x'].\n"
        "d: ~   # (list, int) Several.\n"
        "e: 5   # Nothing is said of its type.\n"
        "f: 0.5 # (int) As some comments of RecBole's, this one is wrong.\n"
        "g: z   # (str) And this one. Range in ['x'].\n"
    )
    assert declarations([file]) == {
        "a": Declared(frozenset({"int"})),
        "b": Declared(frozenset({"str"}), ("x", "y_z")),
        "c": Declared(frozenset({"dict"})),
        "d": Declared(frozenset({"list", "int"})),
        "f": Declared(frozenset({"int", "float"})),
        "g": Declared(frozenset({"str"})),
    }


def test_values_are_held_against_what_is_declared():
    said = {"a": Declared(frozenset({"int"})), "b": Declared(frozenset({"float"})), "c": Declared(frozenset({"bool"}))}
    check_values({"a": 1, "b": 2, "c": True, "unknown": object()}, said)
    check_values({"a": None, "b": "None"}, said)
    for key, value in (("a", 1.0), ("a", True), ("a", "1"), ("b", "x"), ("b", False), ("c", 1)):
        with pytest.raises(ConfigError, match=f"{key}={value}: give"):
            check_values({key: value}, said)


def test_defaults_of_every_model_pass_their_own_checks():
    bases = (registry.RECBOLE / "properties", registry.PROPERTIES)
    files = [file for base in bases for file in base.rglob("*.yaml") if "url" not in file.name]
    assert len(files) > 100
    for file in files:
        check_values(registry.read_yaml(file), declarations([file]))
    for base in bases:  # what all models share holds beside what one of them says
        shared = registry.settings_files("SAMRec", "ml-1m")
        check_values(registry.read_yaml(base / "overall.yaml"), declarations(shared))


def test_tables_name_keys_that_are_there():
    files = [file for base in (registry.RECBOLE / "properties", registry.PROPERTIES) for file in base.rglob("*.yaml")]
    known = {key for file in files if "url" not in file.name for key in registry.read_yaml(file)} | {"nproc"}
    assert set(RANGES) | set(CHOICES) <= known


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "SASRec"},
        {"model": "SASRec", "loss_type": "BPR", "train_neg_sample_args": {"distribution": "popularity"}},
        {"model": "BPR", "eval_args": {"mode": {"valid": "uni100", "test": "full"}}, "topk": 10, "metrics": "NDCG"},
        {"model": "FM", "threshold": {"timestamp": 5}},
    ],
)
def test_plain_settings_make_the_same_configuration_again(own_folder, settings):
    write_events(own_folder, "tiny", random_events())
    config = make_config(settings.pop("model"), own_folder, **settings)
    plain = plain_config(config)
    assert yaml.safe_load(yaml.safe_dump(plain)) == plain
    again = Config(model=plain["model"], dataset=plain["dataset"], config_dict=Typed(plain))
    assert again.final_config_dict == config.final_config_dict


def test_fingerprints_tell_results_apart_and_nothing_else():
    settings = {"model": "SAMRec", "seed": 1, "topk": [5, 10], "run_dir": "a"}
    same = {"topk": [5, 10], "seed": 1, "model": "SAMRec", **dict.fromkeys(OF_ONE_RUN, "b"), "device": Path("cpu")}
    assert fingerprint(settings) == fingerprint(same)
    assert fingerprint(settings) != fingerprint({**settings, "seed": 2})
