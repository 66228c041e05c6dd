"""Known settings, their defaults and types."""

from recbole_samrec.config.keys import defaults_of, keys_of_all_models, known_keys, types_of
from recbole_samrec.config.value_types import Count


def test_known_keys_are_those_of_the_model():
    assert {"sam_rho", "learning_rate", "n_layers", "nproc"} <= known_keys("SAMRec", "ml-100k")
    for key, of, of_none in (("crop_rate", "CL4SRec", "SAMRec"), ("mess_dropout", "KGAT", "SASRec")):
        assert key in known_keys(of) and key not in known_keys(of_none)
    assert {"crop_rate", "mess_dropout", "sam_rho"} <= keys_of_all_models()
    assert "lr" not in known_keys("SAMRec")


def test_known_keys_of_a_class_are_those_of_its_bases():
    from recbole.model.sequential_recommender.fearec import FEARec

    from recbole_samrec.model.samrec import SAMRec

    class Mine(SAMRec):
        settings = {"my_size": 3}  # noqa: RUF012

    class Other(FEARec):
        pass

    assert {"my_size", "n_negatives", "hidden_size"} <= known_keys("Mine", "ml-100k", Mine)
    assert {"use_filter", "topk_factor"} <= known_keys("Other", "ml-100k", Other)
    assert "use_filter" not in known_keys("Mine", "ml-100k", Mine)


def test_defaults_of_models_win_over_those_of_all():
    assert defaults_of("SAMRec")["sam_rho"] == 0.3 and defaults_of("GRU4Rec")["sam_rho"] == 0.0
    assert defaults_of("DuoRec")["cl_similarity"] == "dot" and defaults_of("CL4SRec")["cl_similarity"] == "cosine"
    assert defaults_of("SAMRec")["topk"] == [5, 10, 20] and defaults_of("S3Rec")["train_stage"] == "both"
    assert defaults_of("SAMRec", "ml-1m")["load_col"] == {"inter": ["user_id", "item_id", "timestamp"]}


def test_types_of_a_class_come_from_its_defaults():
    class Mine:
        settings = {"my_size": 3, "hidden_size": [64, 32], "n_heads": 2}  # noqa: RUF012

    types = types_of("Mine", None, Mine)
    assert types["my_size"] is int and types["hidden_size"] is list
    assert types["n_heads"] is Count
