"""Sharpness during training: the recorded values, and no effect on training."""

import json
from pathlib import Path

import pytest
import torch

from recbole_samrec.trainer.sampled_loss import find_generators
from recbole_samrec.utils import checkpoint_io
from tests.helpers.command import main, succeed
from tests.helpers.tiny import cyclic, write_events

ANY = ["--train_batch_size=64", "--topk=[5]", "--valid_metric=NDCG@5", "--epochs=5", "--dataset=tiny"]
SMALL = ["--hidden_size=8", "--inner_size=8", "--n_layers=1", "--MAX_ITEM_LIST_LENGTH=6", *ANY]
OWN = {"GRU4Rec": ["--hidden_size=8", "--embedding_size=8", *ANY], "BPR": ["--embedding_size=8", *ANY]}


@pytest.fixture(autouse=True)
def data(own_folder):
    write_events("dataset", "tiny", cyclic(users=40, items=12))


def record(folder):
    return json.loads(Path(folder, "result.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("model", ["SAMRec", "GRU4Rec", "BPR", "CL4SRec"])
def test_sharpness_tracker__does_not_change_training(model):
    arguments = [f"--model={model}", *OWN.get(model, SMALL)]
    succeed("run", *arguments, "--run_dir=plain")
    succeed("run", *arguments, "--run_dir=tracked", "--track_sharpness=2")
    plain, tracked = record("plain"), record("tracked")
    assert "sharpness" not in plain and [entry["epoch"] for entry in tracked["sharpness"]] == [0, 1, 3]
    assert plain["test"] == tracked["test"] and plain["valid"] == tracked["valid"]
    weights = [checkpoint_io.load(Path(folder, "best.pth"))["state_dict"] for folder in ("plain", "tracked")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    log = Path("tracked/run.log").read_text()
    for entry in tracked["sharpness"]:
        assert entry["loss"] > 0 and entry["gradient_norm"] > 0 and entry["targets"] > 0
        assert f"epoch {entry['epoch']} sharpness: top eigenvalue {entry['top_eigenvalue']:.4g}" in log
    assert all(entry["converged"] for entry in tracked["sharpness"])


@pytest.mark.slow
def test_sharpness_tracker__keeps_measures_of_a_resumed_run():
    succeed("run", *SMALL, "--run_dir=whole", "--track_sharpness=2")
    arguments = [word for word in SMALL if not word.startswith("--epochs")]
    succeed("run", *arguments, "--epochs=2", "--run_dir=parts", "--track_sharpness=2")
    succeed("run", "--resume=parts", "--epochs=5")
    assert record("parts")["sharpness"] == record("whole")["sharpness"]


def test_sharpness_tracker__rejects_a_negative_number():
    said = main("run", *SMALL, "--track_sharpness=-1")
    assert said.status == 2 and "track_sharpness" in said.err


OWN_MODEL = """
import torch
from recbole.model.general_recommender.bpr import BPR


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.slope = 3 * x.detach() ** 2
        return x**3

    @staticmethod
    def backward(ctx, g):
        return g * ctx.slope


class Own(BPR):
    def calculate_loss(self, interaction):
        weight = 10 * self.item_embedding.weight
        return super().calculate_loss(interaction) + {more}

    def out_of_memory(self):
        if not self.training:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 0
"""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("Cube.apply(weight).square().sum()", "the second derivative of Own's loss is wrong: Hessian times a vector"),
        ("torch.cdist(weight, weight, p=3).sum()", "the loss of Own cannot be differentiated twice"),
    ],
)
def test_require_second_derivative__names_the_model(more, words):
    Path("own.py").write_text(OWN_MODEL.format(more=more))
    said = main("run", "--model=own.py:Own", *OWN["BPR"], "--run_dir=run", "--track_sharpness=1")
    assert said.status == 2 and f"track_sharpness: {words}" in " ".join(said.err.split())
    succeed("run", "--model=own.py:Own", *OWN["BPR"], "--run_dir=plain")
    said = main("sharpness", "plain", "--quick", "--model=own.py:Own", "--out=out")
    assert said.status == 2 and f"plain: {words}" in " ".join(said.err.split())


def test_require_second_derivative__passes_on_memory_errors():
    Path("own.py").write_text(OWN_MODEL.format(more="self.out_of_memory()"))
    said = main("run", "--model=own.py:Own", *OWN["BPR"], "--run_dir=run", "--track_sharpness=1")
    assert said.status and "CUDA out of memory" in said.err and "differentiated" not in said.err


def test_find_generators__looks_inside_loaders():
    generator = torch.Generator()
    inner = torch.utils.data.DataLoader([1, 2], generator=generator)
    outer = torch.utils.data.DataLoader([1, 2])
    outer.inner = inner
    assert find_generators(outer) == [generator]
