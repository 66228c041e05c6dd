"""SAM and averages of weights with every model of RecBole: they are exact, or an error explains what is missing."""

import copy
from contextlib import contextmanager
from itertools import islice
from operator import mul
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender.ncl import NCL
from recbole.quick_start import run_recbole
from recbole.trainer import trainer as recbole_trainer
from recbole.utils import ModelType, get_model, get_trainer, init_seed
from torch.optim.optimizer import register_optimizer_step_post_hook

from recbole_samrec.integration import registry
from recbole_samrec.optim import variants
from recbole_samrec.optim.random_state import RandomState
from recbole_samrec.optim.state_snapshot import plain_attributes
from recbole_samrec.trainer.trainer import SAMTrainer
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.every_model import FEATURES, STAGES, each_model, settings_of, skip_without_package
from tests.helpers.tiny import make_config

FEW = {"epochs": 1, "pretrain_epochs": 1, "train_batch_size": 32, "show_progress": False, "state": "ERROR"}

NO_GRADIENTS = {
    **dict.fromkeys(
        "ADMMSLIM AsymKNN EASE ItemKNN NCEPLRec Pop SLIMElastic RecentPop HistoryItemKNN HistoryEASE".split(),
        "computed from counts",
    ),
    "Random": "nothing to learn",
}
"""Models that SAM refuses, and the words with which it does."""


class FirstBatches:
    """A data loader reduced to its first batches, which are the same in every iteration."""

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
    """The trainer and the state that training may change: weights, buffers, plain attributes, random states."""
    init_seed(config["seed"], config["reproducibility"])
    config["sam_rho"] = rho
    model = get_model(config["model"])(config, batches.loader._dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    with follow_steps(model) as trainer.steps:
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


@contextmanager
def follow_steps(model):
    """Yield a list, to which the weights are added after each step of an optimizer that had gradients."""

    def add(optimizer, *_):
        if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
            steps.append([p.detach().double().clone() for p in model.parameters() if p.requires_grad])

    steps = []
    hook = register_optimizer_step_post_hook(add)
    yield steps
    hook.remove()


def average(steps, decay):
    """The moving average from 0 of the weights after each step, divided by the sum of their shares."""
    shares = [decay**age for age in reversed(range(len(steps)))]
    return [sum(map(mul, shares, of_one)) / sum(shares) for of_one in zip(*steps, strict=True)]


@pytest.fixture
def without_faiss(monkeypatch):
    """NCL's clusters, which need a package: node n belongs to cluster n modulo 3."""
    monkeypatch.setattr(NCL, "run_kmeans", lambda self, x: (torch.tensor(x[:3]), torch.arange(len(x)) % 3))


def configurations(model, toy):
    """The settings of each stage of training; a later one starts from the weights of the first in ``first.pth``."""
    settings = settings_of(model)
    for stage in STAGES.get(model, [{}]):
        files = {"pre_model_path": "first.pth", "warm_up": "first.pth"}
        yield make_config(model, toy, "toy", **{**FEW, **settings, **files, **stage})


def load(config):
    init_seed(config["seed"], config["reproducibility"])
    return FirstBatches(data_preparation(config, create_dataset(config))[0])


@pytest.mark.parametrize("model", each_model(name for name in registry.model_names() if name not in NO_GRADIENTS))
def test_sam__is_exact_and_changes_training(model, toy, without_faiss, monkeypatch):
    """At another point the second gradient differs; at the same point the whole training is the same, bit for bit.

    So it is with an average of the weights, which is that after all steps of all optimizers.
    """
    skip_without_package(model)
    for config in configurations(model, toy):
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
            config["weight_average"] = None if config["train_stage"] == "pretrain" else "ema 0.5"
            averaged, in_place = train(config, batches, 0.5)
        assert differences(without, in_place) == [], "an average does not affect the training either"
        by_hand = average(averaged.steps, 0.5) if config["weight_average"] else []
        for one, other in zip(averaged.average.compute() or (), by_hand, strict=True):
            torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("model", NO_GRADIENTS)
def test_sam__refuses_models_without_gradients(model, toy):
    for config in configurations(model, toy):
        with pytest.raises(ConfigError, match=f"sam_rho cannot be used with {model}: .*{NO_GRADIENTS[model]}"):
            train(config, load(config), 0.5)


@pytest.mark.parametrize("model", ["XGBoost", "LightGBM"])
def test_sam__refuses_trees(model, toy):
    trees = type(model, (), {"type": ModelType.DECISIONTREE})()
    config = make_config("BPR", toy, "toy", sam_rho=0.5)
    with pytest.raises(ConfigError, match=f"sam_rho cannot be used with {model}: it grows trees"):
        get_trainer(ModelType.DECISIONTREE, model)(config, trees)


def test_sam__leaves_admmslim_its_own_key_rho(toy):
    config = make_config("ADMMSLIM", toy, "toy")
    assert config["rho"] == 4000 and config["sam_rho"] == 0
    solutions = []
    for rho in (4000, 1):
        config["rho"] = rho
        _, state = train(config, load(config), 0.0)
        solutions.append(state[".item_similarity"])
    assert not np.array_equal(*solutions)


def test_sam__is_one_key_of_run_recbole(toy):
    """Also: cross-entropy needs no word about negatives."""
    settings = {**FEW, "data_path": str(toy), "load_col": FEATURES["load_col"], "epochs": 3, "learning_rate": 0.05}
    scores = []
    for rho in (0, 0.05, 0.05):
        found = run_recbole("GRU4Rec", "toy", config_dict={**settings, "sam_rho": rho}, saved=False)
        scores.append(found["best_valid_result"])
    assert scores[0] != scores[1] == scores[2]
