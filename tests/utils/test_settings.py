"""Settings are parsed from text and stored as plain data."""

import pytest
import yaml
from recbole.config import Config

from recbole_samrec.config.recbole_config import Typed
from recbole_samrec.utils.settings import is_number, parse_literal, serialize_config, suggest_nearest
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
def test_parse_literal__text_is_read_and_never_run(text, value):
    assert parse_literal(text) == value and type(parse_literal(text)) is type(value)


def test_suggest_nearest__finds_names():
    assert suggest_nearest("learning_rte", ["learning_rate", "epochs"]) == "did you mean learning_rate?"
    assert suggest_nearest("SASREC", ["SASRec", "Pop"]) == "did you mean SASRec?"
    assert suggest_nearest("xyz", ["b", "a"]) == "there are: a, b"
    many = [f"name{n}" for n in range(20)]
    assert suggest_nearest("q", many).startswith("the nearest names are name")


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "SASRec"},
        {"model": "SASRec", "loss_type": "BPR", "train_neg_sample_args": {"distribution": "popularity"}},
        {"model": "BPR", "eval_args": {"mode": {"valid": "uni100", "test": "full"}}, "topk": 10, "metrics": "NDCG"},
        {"model": "FM", "threshold": {"timestamp": 5}},
    ],
)
def test_serialize_config__restores_the_same_configuration(own_folder, settings):
    write_events(own_folder, "tiny", random_events())
    config = make_config(settings.pop("model"), own_folder, **settings)
    plain = serialize_config(config)
    assert yaml.safe_load(yaml.safe_dump(plain)) == plain
    again = Config(model=plain["model"], dataset=plain["dataset"], config_dict=Typed(plain))
    assert again.final_config_dict == config.final_config_dict


def test_is_number__reads_numbers_as_python_does():
    assert all(map(is_number, ("1", "-0.5", "1e-3", " 2 ", "inf", "nan")))
    assert not any(map(is_number, ("", "a", "1,5", "2018-01-01")))
