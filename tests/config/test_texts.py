"""Settings that are text keep their spelling, on the command line, in yaml files and in RecBole's own Config."""

import pytest
from recbole.config import Config

from recbole_samrec.config.keys import list_recbole_files
from recbole_samrec.config.recbole_keys import find_recbole_folder
from recbole_samrec.config.texts import list_text_lists, list_texts, parse_value
from recbole_samrec.config.yaml_files import parse_settings, read_yaml
from tests.helpers.tiny import cyclic, write_events

SPELLINGS = ["2024-10-11", "10/20", "010", "1e3", "3.10", "0x10", "1_000", "12:30:45", "True", "yes", "null_1", "2024"]


@pytest.mark.parametrize("text", SPELLINGS)
@pytest.mark.parametrize("key", ["data_path", "pretrained_dir", "wandb_project", "RATING_FIELD", "run_dir", "dataset"])
def test_parse_value__keeps_a_text_as_written(key, text, tmp_path):
    assert parse_value(key, text) == text
    (tmp_path / "a.yaml").write_text(f"{key}: {text}\nother:\n  settings: {{{key}: {text}, epochs: 010}}\n")
    found = read_yaml(tmp_path / "a.yaml")
    assert found[key] == found["other"]["settings"][key] == text
    assert found["other"]["settings"]["epochs"] == 8  # a number stays one


@pytest.mark.parametrize(
    ("cut", "value"),
    [("2018-11-12", "2018-11-12"), ("'2018-11-12'", "2018-11-12"), ("2018", 2018), ("15e8", 1.5e9), ("-5", -5)],
)
def test_parse_value__keeps_the_date_of_a_cut(cut, value):
    """As Python it is a subtraction."""
    parsed = parse_value("eval_args", f"{{'split': {{'GTS': {{'cut': {cut}, 'retrain': True}}}}, 'group_by': None}}")
    assert parsed == {"split": {"GTS": {"cut": value, "retrain": True}}, "group_by": None}
    assert parse_value("eval_args", "{'split': {'GTS': None}}") == {"split": {"GTS": None}}
    assert parse_value("eval_args", f"{{split: {{GTS: {{cut: {cut}}}}}}}")["split"]["GTS"]["cut"] == cut.strip("'")


def test_parse_value__drops_quotation_marks_and_knows_none():
    assert parse_value("data_path", "'10'") == parse_value("data_path", '"10"') == "10"
    assert parse_value("pretrained_dir", "None") is None
    assert parse_value("data_path", "[a]") == "[a]"
    assert parse_value("epochs", "2*5") == 10 and parse_value("sam_rho", "1/4") == 0.25


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("benchmark_filename", "[2024-01-01, 010, train]", ["2024-01-01", "010", "train"]),
        ("benchmark_filename", "['1', '2']", ["1", "2"]),
        ("benchmark_filename", "[1,2,3]", ["1", "2", "3"]),
        ("load_col", "{'inter': [user_id, 2024, 3.10]}", {"inter": ["user_id", "2024", "3.10"]}),
        ("load_col", "{'inter':['user_id','item_id'],'item':None}", {"inter": ["user_id", "item_id"], "item": "None"}),
        ("sam_exclude", "[*Norm*]", "[*Norm*]"),  # no list in either notation
        ("sam_exclude", "['*Norm*', 10]", ["*Norm*", "10"]),
        ("sam_params", "all", "all"),
        ("metrics", "[NDCG,Hit]", ["NDCG", "Hit"]),
        ("selected_features", "2024", "2024"),
        ("threshold", "{2024: 3.5}", {"2024": 3.5}),
        ("val_interval", "{'rating': '[3,5]'}", {"rating": "[3,5]"}),
        ("user_inter_num_interval", "[5,10]", "[5,10]"),
    ],
)
def test_parse_value__keeps_texts_in_lists(key, text, value):
    assert parse_value(key, text) == value
    assert parse_settings([f"--{key}={text}"]) == {key: value}


def test_read_yaml__keeps_texts_in_lists(tmp_path):
    lines = [
        "benchmark_filename: [2024-01-01, 010, ~]",
        "load_col: {inter: [user_id, 2024], item: ~, user: null}",
        "user_inter_num_interval: [5, 10]",
        "threshold: {2024: 3}",
        "loss_type: {choice: [1, CE]}",
        "topk: [5, 010]",
        "unload_col:",
    ]
    (tmp_path / "a.yaml").write_text("\n".join(lines))
    assert read_yaml(tmp_path / "a.yaml") == {
        "benchmark_filename": ["2024-01-01", "010", None],
        "load_col": {"inter": ["user_id", "2024"], "item": None, "user": None},
        "user_inter_num_interval": "[5, 10]",
        "threshold": {"2024": 3},
        "loss_type": {"choice": ["1", "CE"]},
        "topk": [5, 8],
        "unload_col": None,
    }


def test_config__of_recbole_keeps_texts(tmp_path, monkeypatch):
    for folder in ("2024-10-11", "10/20"):
        write_events(tmp_path / folder, "tiny", cyclic())
    given = {"data_path": "10/20", "RATING_FIELD": "010", "epochs": "2*5"}
    config = Config(model="BPR", dataset="tiny", config_dict=given)
    assert (config["data_path"], config["RATING_FIELD"], config["epochs"]) == ("10/20/tiny", "010", 10)
    (tmp_path / "a.yaml").write_text("data_path: 2024-10-11\nNEG_PREFIX: 1_0\n")
    config = Config(model="BPR", dataset="tiny", config_file_list=["a.yaml"])
    assert (config["data_path"], config["NEG_PREFIX"]) == ("2024-10-11/tiny", "1_0")


def test_list_texts__holds_every_text_of_the_files_of_recbole():
    texts = list_texts() | list_text_lists()
    files = [*list_recbole_files("SASRec", "ml-100k"), *(find_recbole_folder() / "properties" / "model").glob("*.yaml")]
    for file in files:
        for key, default in read_yaml(file).items():
            of_texts = isinstance(default, list) and default and all(isinstance(one, str) for one in default)
            if isinstance(default, str) or of_texts:
                assert key in texts | {"gpu_id"}, (file, key)  # gpu_id takes numbers and lists, too


def test_list_texts__holds_ours():
    assert {"pretrained_dir", "pre_model_path", "run_dir", "sam_variant", "training"} <= list_texts()
    assert {"sam_params", "sam_exclude"} <= list_text_lists()
