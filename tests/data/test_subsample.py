"""Training on a share of the users: which users are drawn, and the data that stays complete."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from recbole_samrec.data.subsample import sample_users
from recbole_samrec.evaluator import test_ranks
from tests.helpers.command import SMALL, main, succeed
from tests.helpers.tiny import build, make_config, random_events, write_events


@pytest.fixture
def data(own_folder):
    """Users with histories of random items."""
    write_events("dataset", "tiny", random_events(users=40, items=25))
    return own_folder


def users_of(config):
    """The users of all training batches, and the number of targets."""
    loaders, _, _ = build(config)
    users, targets = set(), 0
    for batch in loaders[0]:
        users |= set(batch["user_id"].tolist())
        targets += int((batch["item_id"] > 0).sum())
    return users, targets


@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_train_fraction__of_more_holds_that_of_less(data, training):
    def of(share, seed=1):
        config = make_config("SAMRec", "dataset", training=training, train_fraction=share, seed=seed)
        return users_of(config)

    (all_users, all_targets), (half, few), (most, many) = of(1.0), of(0.5), of(0.8)
    assert len(all_users) == 40 and len(half) == 20 and len(most) == 32 and half < most < all_users
    assert few < many < all_targets
    assert of(0.5) == of(0.5) and of(0.5)[0] != of(0.5, seed=2)[0]


def test_train_fraction__is_of_the_same_users_when_packed(data):
    both = [
        users_of(make_config("SAMRec", "dataset", training=kind, train_fraction=0.3, seed=5))
        for kind in ("packed", "prefix")
    ]
    assert both[0] == both[1]


def test_sample_users__draws_each_user_apart_from_the_others(data):
    """The two trainings of ``retrain`` have other users, of whom the same should be drawn."""
    train = build(make_config("SAMRec", "dataset"))[0][0]._dataset
    fewer = copy.copy(train)
    fewer.inter_feat = train.inter_feat[train.inter_feat["user_id"] % 8 != 0]
    of_all, of_fewer = (set(sample_users(part, 0.5, 1).inter_feat["user_id"].tolist()) for part in (train, fewer))
    left = {user for user in of_all if user % 8}
    assert left <= of_fewer or of_fewer <= left


def test_train_fraction__leaves_tests_and_histories_whole(data):
    kept = []
    for share in (1.0, 0.25):
        folder = Path(f"run-{share}")
        succeed("run", "--dataset=tiny", f"--run_dir={folder}", f"--train_fraction={share}", *SMALL)
        kept.append(test_ranks.load_ranks(folder / "ranks.npz"))
    assert kept[0].test == kept[1].test
    for column in ("history", "popularity"):
        assert np.array_equal(kept[0].frame[column], kept[1].frame[column])
    assert (kept[1].frame["masked_rank"] >= kept[1].frame["rank"] - kept[1].frame["history"]).all()
    assert (kept[1].frame["masked_rank"] < kept[1].frame["rank"]).any()
    assert json.loads((folder / "result.json").read_text())["config"]["train_fraction"] == 0.25


def test_train_fraction__needs_models_without_user_vectors(data):
    said = main("run", "--model=BPR", "--dataset=tiny", "--train_fraction=0.5")
    assert said.status == 2
    assert "with BPR: it learns a vector for each user (user_embedding.weight)" in " ".join(said.err.split())


@pytest.mark.parametrize("model", ["ItemKNN", "EASE", "FPMC", "MultiVAE"])
def test_train_fraction__needs_models_that_know_no_users(data, model):
    said = main("run", f"--model={model}", "--dataset=tiny", "--train_fraction=0.5", "--epochs=1")
    assert said.status == 2 and f"train_fraction cannot be used with {model}" in said.err


def test_train_fraction__suits_as_many_users_as_items(own_folder):
    """In this case tables of items and of users have equally many rows."""
    write_events("dataset", "tiny", [(f"u{u}", f"i{(u + k) % 20}", 10 * u + k) for u in range(20) for k in range(6)])
    succeed("run", "--dataset=tiny", "--train_fraction=0.5", *SMALL)
    succeed("run", "--model=Pop", "--dataset=tiny", "--train_fraction=0.5")


@pytest.mark.parametrize("share", [0, 1.5, -1])
def test_train_fraction__is_between_0_and_1(data, share):
    said = main("run", "--dataset=tiny", f"--train_fraction={share}")
    assert said.status == 2 and said.err == f"error: train_fraction={share}: must be a number in (0, 1]\n"
