"""Settings are checked, and messages name the allowed values."""

import pytest
from recbole.utils import EvaluatorType, ModelType

from recbole_samrec.config.keys import collect_types
from recbole_samrec.config.recbole_keys import find_recbole_folder
from recbole_samrec.config.schema import RENAMED
from recbole_samrec.config.validate import check_evaluation, check_keys, check_own_values, check_values, suggest
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PROPERTIES


def test_check_values__compares_with_types():
    types = {"a": int, "b": float, "c": bool}
    check_values({"a": 1, "b": 2, "c": True, "unknown": object()}, types)
    check_values({"a": None, "b": "None"}, types)
    for key, value in (("a", 1.0), ("a", True), ("a", "1"), ("b", "x"), ("b", False), ("c", 1)):
        with pytest.raises(ConfigError, match=f"{key}={value}: must be"):
            check_values({key: value}, types)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("sam_momentum", 1, r"must be a number in \[0, 1\)"),
        ("looksam_k", 2.5, "must be a whole number of at least 1"),
        ("weight_average", "ema 1", r"must be 'ema' and a decay in \(0, 1\), .* or 'last' and a number of epochs"),
        ("weight_average", 5, "must be 'ema' and a decay"),
        ("sam_variant", "lookssam", "must be one of sam, asam, .*; did you mean looksam"),
        ("mask_history", "yes", "must be True or False"),
        ("learning_rate", 0, "must be a number above 0"),
        ("seed", -1, r"must be a whole number in \[0, 4294967295\]"),
        ("state", "loud", "must be one of debug, info"),
        ("user_inter_num_interval", "[5", "give an interval"),
    ],
)
def test_check_values__names_permitted_values(key, value, words):
    with pytest.raises(ConfigError, match=f"^{key}=.*: {words}"):
        check_values({key: value})


def test_check_values__takes_the_level_of_the_log_in_any_case():
    check_values({"state": "INFO"})
    check_values({"state": "warning"})


def test_check_values__accepts_the_defaults_of_every_model():
    files = sorted((find_recbole_folder() / "properties" / "model").glob("*.yaml"))
    files += sorted((PROPERTIES / "model").glob("*.yaml"))
    assert len(files) > 90
    for file in files:
        check_values(read_yaml(file), collect_types(file.stem))
    for base in (find_recbole_folder() / "properties", PROPERTIES):
        for name in (
            "overall.yaml",
            "command.yaml",
            "dataset/sample.yaml",
            "dataset/ml-100k.yaml",
            "dataset/ml-1m.yaml",
        ):
            if (base / name).is_file():
                check_values(read_yaml(base / name), collect_types("SAMRec", "ml-1m"))


def test_check_values__knows_the_choices_of_a_model():
    check_values({"loss_type": "SSM"}, collect_types("SAMRec"))
    for model, wrong in (("BSARec", "SSM"), ("gSASRec", "CE"), ("SASRec", "SSM"), ("CDAE", "BPR")):
        with pytest.raises(ConfigError, match=f"loss_type={wrong}: must be"):
            check_values({"loss_type": wrong}, collect_types(model))


def test_check_own_values__leaves_other_settings_alone():
    check_own_values({"learning_rate": "fast", "n_negatives": "many", "sam_rho": 0.1}, "BPR")
    with pytest.raises(ConfigError, match="n_negatives=many"):
        check_own_values({"n_negatives": "many"}, "SAMRec")


def test_check_keys__suggests_the_right_one():
    known = {"learning_rate", "epochs", "sam_rho", "sam_item_rho", *(f"key_{n}" for n in range(20))}
    check_keys(["epochs"], known)
    with pytest.raises(ConfigError, match=r"^unknown setting --lr; did you mean learning_rate\?$"):
        check_keys(["epochs", "lr"], known)
    assert suggest("learning_rte", known) == "did you mean learning_rate?"
    assert suggest("sam_roh", known).startswith("did you mean sam_rho")
    for old, new in RENAMED.items():
        assert suggest(old, known) == f"it is now called {new}"


def test_suggest__names_only_what_the_model_reads():
    assert suggest("lr", {"epochs", "seed"}) == "there are: epochs, seed"


@pytest.mark.parametrize("encoding", ["", "utf-9", "rot13", "base64", "a\x00b"])
def test_check_values__refuses_what_is_no_encoding(encoding):
    with pytest.raises(ConfigError, match="there is no such encoding"):
        check_values({"encoding": encoding})


@pytest.mark.parametrize("key", ["field_separator", "seq_separator"])
def test_check_values__refuses_empty_separators(key):
    with pytest.raises(ConfigError, match=f"^{key} is empty: give the text"):
        check_values({key: ""})


def test_check_evaluation__refuses_rankings_of_trees():
    kinds = {"MODEL_TYPE": ModelType.DECISIONTREE, "eval_type": EvaluatorType.RANKING, "eval_args": {"order": "RO"}}
    settings = {"model": "XGBoost", "metrics": ["NDCG"], "topk": [10], "valid_metric": "NDCG@10", **kinds}
    words = r"metrics=\['NDCG'\] cannot be used with XGBoost: it scores feature vectors and ranks no items; use AUC"
    with pytest.raises(ConfigError, match=words):
        check_evaluation(settings)
    check_evaluation(settings | {"metrics": ["AUC"], "valid_metric": "AUC", "eval_type": EvaluatorType.VALUE})
