"""Settings and a data set for training each of RecBole's models."""

import importlib.util
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from recbole.utils import ModelType, get_model

PACKAGES = {"KGAT": "dgl", **dict.fromkeys(["KGIN", "MCCLK"], "torch_scatter")}
PACKAGES |= {name: name.lower() for name in ("LightGBM", "XGBoost")}
"""Packages that RecBole does not require, without which a model cannot be built."""

KG = {
    "load_col": {
        "inter": ["user_id", "item_id", "timestamp"],
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
    }
}
EMBEDDED = {
    "load_col": {**KG["load_col"], "ent": ["ent_id", "ent_emb"], "rel": ["rel_id", "rel_emb"]},
    "additional_feat_suffix": ["ent", "rel"],
    "alias_of_item_id": ["ent_id"],
    "alias_of_relation_id": ["rel_id"],
    "preload_weight": {"ent_id": "ent_emb", "rel_id": "rel_emb"},
    "kg_embedding_size": 16,
    "embedding_size": 16,
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO"},
}
FEATURES = {"load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]}}
RATINGS = {
    "load_col": {
        "inter": ["user_id", "item_id", "rating", "timestamp"],
        "user": ["user_id", "age", "gender"],
        "item": ["item_id", "class", "price"],
    },
    "threshold": {"rating": 3},
    "numerical_features": ["price"],
}
RERANKED = {"reranker_CAN_NUM": 5}
USERS_ROWS = {"train_neg_sample_args": None}

SETTINGS = {
    ModelType.CONTEXT: RATINGS,
    ModelType.DECISIONTREE: RATINGS,
    ModelType.KNOWLEDGE: {**KG, "kg_embedding_size": 16, "kge_interval": 1},
    **dict.fromkeys("CDAE DiffRec LDiffRec MacridVAE MultiDAE MultiVAE RaCT RecVAE ENMF NCEPLRec".split(), USERS_ROWS),
    **dict.fromkeys("FDSA GRU4RecF SASRecF S3Rec".split(), FEATURES),
    **dict.fromkeys("GRU4RecCPR SASRecCPR".split(), RERANKED),
    "RecentPop": {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}},
    "ConvNCF": {"embedding_size": 64},
    "NCL": {"num_clusters": 3},
    **dict.fromkeys("GRU4RecKG KSR".split(), EMBEDDED),
}
"""Settings that a model requires on top of its defaults, by its name or its type."""

STAGES = {
    "KD_DAGFM": [{"phase": "teacher_training"}, {"phase": "distillation"}, {"phase": "finetuning"}],
    "KTUP": [{"epochs": 2, "train_rec_step": 1, "train_kg_step": 1}],
    "NCL": [{"warm_up_step": 1}, {"warm_up_step": 0}],
    "RaCT": [{"train_stage": stage, "metrics_k": 10} for stage in ("actor_pretrain", "critic_pretrain", "finetune")],
    "S3Rec": [{"train_stage": stage} for stage in ("pretrain", "finetune")],
}
"""Models that are trained in stages, or in more than one way: the settings of each."""

USUAL = set("BPR BSARec CKE CL4SRec FM GRU4Rec LightGCN MultiVAE NCL RecVAE S3Rec SAMRec SASRec".split())
"""One or two models of each kind; tests of every model are slow for the others."""


def each_model(names: Iterable[str]) -> list:
    """Models as parameters of a test; those that are not :data:`USUAL` are marked as slow."""
    return [name if name in USUAL else pytest.param(name, marks=pytest.mark.slow) for name in names]


def settings_of(model: str) -> dict:
    """Return the settings that a model requires on top of its defaults."""
    return SETTINGS.get(model, SETTINGS.get(get_model(model).type, {}))


def skip_without_package(model: str) -> None:
    """Skip a test of a model that needs a missing package."""
    package = PACKAGES.get(model, PACKAGES.get(model.lower()))
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def write_everything(path: Path) -> None:
    """Write the data set ``toy``: events, users, items, a knowledge graph, and vectors of items and relations."""
    (path / "toy").mkdir()
    draw = random.Random(0)

    def write(kind, *rows):
        (path / "toy" / f"toy.{kind}").write_text("\n".join("\t".join(map(str, row)) for row in rows) + "\n")

    def vector():
        return " ".join(f"{draw.gauss(0, 1):.3f}" for _ in range(16))

    users, items, relations = range(24), range(20), range(3)
    # Users take turns, so that a point of time parts the events of all; the last one begins when the others end.
    late = {users[-1]: 8 * len(users)}
    events = [
        (f"u{u}", f"i{i}", draw.randint(1, 5), late.get(u, 0) + len(users) * n + u)
        for u in users
        for n, i in enumerate(draw.sample(items, 8))
    ]
    facts = [(f"e{draw.choice(items)}", f"r{draw.choice(relations)}", f"e{draw.randrange(30)}") for _ in range(120)]
    write("inter", ("user_id:token", "item_id:token", "rating:float", "timestamp:float"), *events)
    write("user", ("user_id:token", "age:token", "gender:token"), *((f"u{u}", u % 5, "FM"[u % 2]) for u in users))
    classes = ((f"i{i}", f"c{i % 4} c{i % 3}", i / 2) for i in items)
    write("item", ("item_id:token", "class:token_seq", "price:float"), *classes)
    write("kg", ("head_id:token", "relation_id:token", "tail_id:token"), *facts)
    write("link", ("item_id:token", "entity_id:token"), *((f"i{i}", f"e{i}") for i in items))
    write("ent", ("ent_id:token", "ent_emb:float_seq"), *((f"i{i}", vector()) for i in items))
    write("rel", ("rel_id:token", "rel_emb:float_seq"), *((f"r{r}", vector()) for r in relations))
