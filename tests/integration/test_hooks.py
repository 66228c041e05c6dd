"""RecBole's look-ups find what this package adds, and are otherwise unchanged."""

from types import SimpleNamespace

import pytest
import recbole.trainer
from recbole.trainer import trainer as recbole_trainer
from recbole.utils import get_model, get_trainer
from recbole.utils.enum_type import ModelType

from recbole_samrec.data.packed_loader import PackedLoader
from recbole_samrec.data.s3rec_loader import PretrainingLoader
from recbole_samrec.integration import hooks
from recbole_samrec.integration.hooks import choose_loader, sample_training_users, suggest_nearest_models
from recbole_samrec.model.samrec import SAMRec
from recbole_samrec.trainer.trainer import SAMRecTrainer, SAMTrainer
from recbole_samrec.utils.errors import ConfigError


def test_install_hooks__puts_ours_where_recbole_looks():
    assert get_model("SAMRec") is SAMRec
    assert get_trainer(ModelType.SEQUENTIAL, "SAMRec") is SAMRecTrainer
    assert recbole.trainer.Trainer is SAMTrainer
    for name in ("S3RecTrainer", "PretrainTrainer", "KGTrainer", "NCLTrainer"):
        assert issubclass(getattr(recbole_trainer, name), SAMTrainer)


def test_suggest_nearest_models__names_them_for_an_unknown_one():
    find = suggest_nearest_models(lambda name: name)
    assert find("SASRec") == "SASRec"
    with pytest.raises(ConfigError, match=r"^--model=SASRek: there is no such model; did you mean SASRec"):
        find("SASRek")


@pytest.mark.parametrize(
    "training, stage, phase, loader",
    [
        ("packed", None, "train", PackedLoader),
        ("packed", "pretrain", "train", PretrainingLoader),
        ("packed", "finetune", "train", PackedLoader),
        ("packed", None, "test", "RecBole's"),
        ("prefix", None, "train", "RecBole's"),
    ],
)
def test_choose_loader__only_where_training_is_packed(training, stage, phase, loader):
    choose = choose_loader(lambda config, phase: "RecBole's")
    assert choose({"training": training, "train_stage": stage, "eval_args": {}}, phase) == loader


def test_sample_training_users__leaves_the_other_parts_alone(monkeypatch):
    monkeypatch.setattr(hooks, "sample_users", lambda part, share, seed: (part, share, seed))
    build = sample_training_users(lambda: ["train", "valid", "test"], 0.5, 7)
    assert build() == [("train", 0.5, 7), "valid", "test"]


@pytest.mark.parametrize("share, sampled", [(None, False), (1, False), (0.5, True)])
def test_connect_split__samples_users_where_a_share_is_set(monkeypatch, share, sampled):
    remembered = []
    monkeypatch.setattr(hooks, "remember_split", lambda *loaders: remembered.append(loaders))
    monkeypatch.setattr(hooks, "sample_users", lambda part, share, seed: "sampled")
    prepare = hooks.connect_split(lambda config, dataset: tuple(dataset.build()))
    dataset = SimpleNamespace(build=lambda: ["train", "valid", "test"])
    loaders = prepare({"train_fraction": share, "seed": 7}, dataset)
    assert loaders == ("sampled" if sampled else "train", "valid", "test") and remembered == [loaders]
