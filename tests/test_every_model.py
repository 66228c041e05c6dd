"""SAM with every model that RecBole has: it is exact, it changes the training, or it says why it cannot be used."""

import copy
import importlib.util
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender.ncl import NCL
from recbole.quick_start import run_recbole
from recbole.trainer import trainer as recbole_trainer
from recbole.utils import ModelType, get_model, get_trainer, init_seed

from recbole_samrec.integration import registry
from recbole_samrec.optim import variants
from recbole_samrec.optim.state_snapshot import RandomState, plain_attributes
from recbole_samrec.trainer.trainer import SAMTrainer
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import make_config

FEW = {"epochs": 1, "pretrain_epochs": 1, "train_batch_size": 32, "show_progress": False, "state": "ERROR"}

NO_GRADIENTS = {
    **dict.fromkeys("ADMMSLIM AsymKNN EASE ItemKNN NCEPLRec Pop SLIMElastic".split(), "computed from counts"),
    "Random": "nothing to learn",
}
"""Models that SAM refuses, and the words with which it does."""

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
    ModelType.KNOWLEDGE: {**KG, "kg_embedding_size": 16, "kge_interval": 1},
    **dict.fromkeys("CDAE DiffRec LDiffRec MacridVAE MultiDAE MultiVAE RaCT RecVAE ENMF NCEPLRec".split(), USERS_ROWS),
    **dict.fromkeys("FDSA GRU4RecF SASRecF S3Rec".split(), FEATURES),
    **dict.fromkeys("GRU4RecCPR SASRecCPR".split(), RERANKED),
    "ConvNCF": {"embedding_size": 64},
    **dict.fromkeys("GRU4RecKG KSR".split(), EMBEDDED),
}
"""What a model needs besides its own defaults, by its name or its type."""

STAGES = {
    "KD_DAGFM": [{"phase": "teacher_training"}, {"phase": "distillation"}, {"phase": "finetuning"}],
    "KTUP": [{"epochs": 2, "train_rec_step": 1, "train_kg_step": 1}],
    "NCL": [{"warm_up_step": 1}, {"warm_up_step": 0}],
    "RaCT": [{"train_stage": stage, "metrics_k": 10} for stage in ("actor_pretrain", "critic_pretrain", "finetune")],
    "S3Rec": [{"train_stage": stage} for stage in ("pretrain", "finetune")],
}
"""Models that are trained in stages, or in more than one way: the settings of each."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set with everything that a model may ask for."""
    path = tmp_path_factory.mktemp("data")
    (path / "toy").mkdir()
    draw = random.Random(0)

    def write(kind, *rows):
        (path / "toy" / f"toy.{kind}").write_text("\n".join("\t".join(map(str, row)) for row in rows) + "\n")

    def vector():
        return " ".join(f"{draw.gauss(0, 1):.3f}" for _ in range(16))

    users, items, relations = range(24), range(20), range(3)
    events = [(f"u{u}", f"i{i}", draw.randint(1, 5), t) for u in users for t, i in enumerate(draw.sample(items, 8))]
    facts = [(f"e{draw.choice(items)}", f"r{draw.choice(relations)}", f"e{draw.randrange(30)}") for _ in range(120)]
    write("inter", ("user_id:token", "item_id:token", "rating:float", "timestamp:float"), *events)
    write("user", ("user_id:token", "age:token", "gender:token"), *((f"u{u}", u % 5, "FM"[u % 2]) for u in users))
    classes = ((f"i{i}", f"c{i % 4} c{i % 3}", i / 2) for i in items)
    write("item", ("item_id:token", "class:token_seq", "price:float"), *classes)
    write("kg", ("head_id:token", "relation_id:token", "tail_id:token"), *facts)
    write("link", ("item_id:token", "entity_id:token"), *((f"i{i}", f"e{i}") for i in items))
    write("ent", ("ent_id:token", "ent_emb:float_seq"), *((f"i{i}", vector()) for i in items))
    write("rel", ("rel_id:token", "rel_emb:float_seq"), *((f"r{r}", vector()) for r in relations))
    return path


class FirstBatches:
    """A data loader cut down to its first batches, which are the same whenever they are asked for."""

    def __init__(self, loader, count=2):
        self.loader, self.count, self.drawn = loader, count, {}

    def __iter__(self):
        mode = getattr(self.loader, "state", None)
        if mode not in self.drawn:
            before = RandomState.get()
            self.drawn[mode] = list(islice(self.loader, self.count))
            RandomState.set(before)
        return iter(copy.deepcopy(self.drawn[mode]))

    def __len__(self):
        return self.count

    def __getattr__(self, name):
        return getattr(self.loader, name)


def train(config, batches, rho):
    """The trainer and all that training may have changed: weights, buffers, plain attributes, random states."""
    init_seed(config["seed"], config["reproducibility"])
    config["sam_rho"] = rho
    model = get_model(config["model"])(config, batches.loader._dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.fit(batches, verbose=False, saved=False)
    names = {id(module): name for name, module in model.named_modules()}
    plain = {f"{names[id(module)]}.{name}": value for module, name, value in plain_attributes(model)}
    return trainer, {**model.state_dict(), **plain, **RandomState.get()}


def differences(first: dict, second: dict) -> list[str]:
    def same(a, b):
        if isinstance(a, tuple):
            return len(a) == len(b) and all(map(same, a, b))
        if isinstance(a, torch.Tensor):
            return torch.equal(a.to_dense(), b.to_dense())
        return np.array_equal(a, b)

    return [name for name in first | second if not same(first[name], second[name])]


@pytest.fixture
def without_faiss(monkeypatch):
    """NCL's clusters, for which it needs a package: node n belongs to cluster n modulo 3."""
    monkeypatch.setattr(NCL, "run_kmeans", lambda self, x: (torch.tensor(x[:3]), torch.arange(len(x)) % 3))


def configurations(model, folder):
    """The settings of each stage of training; a later one starts from what the first left in ``first.pth``."""
    settings = SETTINGS.get(model, SETTINGS.get(get_model(model).type, {}))
    for stage in STAGES.get(model, [{}]):
        files = {"pre_model_path": "first.pth", "warm_up": "first.pth"}
        yield make_config(model, folder, "toy", **{**FEW, **settings, **files, **stage})


def load(config):
    init_seed(config["seed"], config["reproducibility"])
    return FirstBatches(data_preparation(config, create_dataset(config))[0])


def skip_without_package(model):
    package = PACKAGES.get(model)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize("model", [name for name in registry.model_names() if name not in NO_GRADIENTS])
def test_sam_is_exact_and_changes_training(model, folder, without_faiss, monkeypatch):
    """At another place the second gradient differs; at the same place the whole training is the same, bit for bit."""
    skip_without_package(model)
    for config in configurations(model, folder):
        batches = load(config)
        trainer, without = train(config, batches, 0.0)
        usual = "KGTrainer" if config["MODEL_TYPE"] == ModelType.KNOWLEDGE else "Trainer"
        recboles = vars(recbole_trainer).get(f"{model}Trainer", vars(recbole_trainer)[usual])
        assert isinstance(trainer, recboles) and isinstance(trainer, SAMTrainer)
        if not Path("first.pth").exists():
            checkpoint_io.save("first.pth", trainer.state(0))
        _, with_sam = train(config, batches, 0.5)
        assert set(differences(without, with_sam)) & {name for name, _ in trainer.model.named_parameters()}
        with monkeypatch.context() as patch:
            patch.setattr(variants, "shift", lambda *_: None)
            _, in_place = train(config, batches, 0.5)
        assert differences(without, in_place) == []


@pytest.mark.parametrize("model", NO_GRADIENTS)
def test_models_that_no_gradient_trains_are_refused(model, folder):
    for config in configurations(model, folder):
        with pytest.raises(ConfigError, match=f"sam_rho cannot be used with {model}: .*{NO_GRADIENTS[model]}"):
            train(config, load(config), 0.5)


@pytest.mark.parametrize("model", ["XGBoost", "LightGBM"])
def test_trees_are_refused(model, folder):
    trees = type(model, (), {"type": ModelType.DECISIONTREE})()
    config = make_config("BPR", folder, "toy", sam_rho=0.5)
    with pytest.raises(ConfigError, match=f"sam_rho cannot be used with {model}: it grows trees"):
        get_trainer(ModelType.DECISIONTREE, model)(config, trees)


def test_admmslim_keeps_its_own_key_rho(folder):
    config = make_config("ADMMSLIM", folder, "toy")
    assert config["rho"] == 4000 and config["sam_rho"] == 0
    solutions = []
    for rho in (4000, 1):
        config["rho"] = rho
        _, state = train(config, load(config), 0.0)
        solutions.append(state[".item_similarity"])
    assert not np.array_equal(*solutions)


def test_one_key_gives_any_model_sam_through_recboles_own_function(folder):
    """Also: cross-entropy needs no word about negatives."""
    settings = {**FEW, "data_path": str(folder), "load_col": FEATURES["load_col"], "epochs": 3, "learning_rate": 0.05}
    scores = []
    for rho in (0, 0.05, 0.05):
        found = run_recbole("GRU4Rec", "toy", config_dict={**settings, "sam_rho": rho}, saved=False)
        scores.append(found["best_valid_result"])
    assert scores[0] != scores[1] == scores[2]
