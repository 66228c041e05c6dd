"""Known settings, their defaults and types."""

from recbole_samrec.config.keys import collect_defaults, collect_types, list_keys_of_all_models, list_known_keys
from recbole_samrec.config.value_types import Count


def test_list_known_keys__are_those_of_the_model():
    assert {"sam_rho", "learning_rate", "n_layers", "nproc"} <= list_known_keys("SAMRec", "ml-100k")
    for key, of, of_none in (("crop_rate", "CL4SRec", "SAMRec"), ("mess_dropout", "KGAT", "SASRec")):
        assert key in list_known_keys(of) and key not in list_known_keys(of_none)
    assert {"crop_rate", "mess_dropout", "sam_rho"} <= list_keys_of_all_models()
    assert "lr" not in list_known_keys("SAMRec")


def test_list_known_keys__of_a_class_are_those_of_its_bases():
    from recbole.model.sequential_recommender.fearec import FEARec

    from recbole_samrec.model.samrec import SAMRec

    class Mine(SAMRec):
        settings = {"my_size": 3}  # noqa: RUF012

    class Other(FEARec):
        pass

    assert {"my_size", "n_negatives", "hidden_size"} <= list_known_keys("Mine", "ml-100k", Mine)
    assert {"use_filter", "topk_factor"} <= list_known_keys("Other", "ml-100k", Other)
    assert "use_filter" not in list_known_keys("Mine", "ml-100k", Mine)


def test_collect_defaults__of_models_win_over_those_of_all():
    assert collect_defaults("SAMRec")["sam_rho"] == 0.3 and collect_defaults("GRU4Rec")["sam_rho"] == 0.0
    assert (
        collect_defaults("DuoRec")["cl_similarity"] == "dot"
        and collect_defaults("CL4SRec")["cl_similarity"] == "cosine"
    )
    assert collect_defaults("SAMRec")["topk"] == [5, 10, 20] and collect_defaults("S3Rec")["train_stage"] == "both"
    assert collect_defaults("SAMRec", "ml-1m")["load_col"] == {"inter": ["user_id", "item_id", "timestamp"]}


def test_collect_types__of_a_class_come_from_its_defaults():
    class Mine:
        settings = {"my_size": 3, "hidden_size": [64, 32], "n_heads": 2}  # noqa: RUF012

    types = collect_types("Mine", None, Mine)
    assert types["my_size"] is int and types["hidden_size"] is list
    assert types["n_heads"] is Count
