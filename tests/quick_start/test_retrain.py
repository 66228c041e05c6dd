"""A run that is trained again on all events before the test, for the number of epochs that validation chose."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.command import SMALL, succeed
from tests.helpers.tiny import write_events


def run(folder, retrain=True, *more):
    eval_args = {"split": {"GTS": {"quantile": 0.7, "retrain": retrain}}}
    given = [f"--eval_args={eval_args}", "--topk=[2]", "--valid_metric=NDCG@2", "--epochs=4", "--learning_rate=0.02"]
    small = [word for word in SMALL if not word.startswith("--epochs")]
    said = succeed("run", "--dataset=tiny", f"--run_dir={folder}", *small, *given, *more)
    return json.loads(Path(folder, "result.json").read_text()), said


@pytest.fixture
def data(own_folder):
    events = [(f"u{u}", f"i{(u * u + step) % 9}", 40 * u + 97 * step) for u in range(30) for step in range(9)]
    write_events("dataset", "tiny", events)
    return own_folder


def test_retrain__tests_the_second_model_and_counts_both(data):
    plain, _ = run("plain", False)
    record, _ = run("again")
    assert record["valid"] == plain["valid"] and record["best_epoch"] == plain["best_epoch"]
    assert record["retraining"]["epochs"] == plain["best_epoch"] + 1
    assert record["seconds_total"] > record["retraining"]["seconds"] > 0
    assert plain["gradient_passes"] == 2 * plain["epochs_run"]
    assert record["retraining"]["gradient_passes"] == 2 * record["retraining"]["epochs"]
    assert record["gradient_passes"] == plain["gradient_passes"] + record["retraining"]["gradient_passes"]
    assert record["cpu_seconds"] > record["retraining"]["cpu_seconds"] > 0
    assert record["data"]["split"]["train_events"] > plain["data"]["split"]["train_events"]
    assert record["data"]["split"]["valid_targets"] == plain["data"]["split"]["valid_targets"]
    assert record["config"]["epochs"] == 4 and "selects_epoch" not in record["config"]
    assert "the same figures" in succeed("evaluate", "again").out
    assert "user" in succeed("recommend", "again", "--users=u29", "--k=2").out


def test_retrain__resumes_either_training(data):
    record, _ = run("whole")
    for name, lost in (("second", ["result.json"]), ("first", ["result.json", "best.pth", "last.pth", "previous.pth"])):
        shutil.copytree("whole", name)
        for file in lost:
            Path(name, file).unlink(missing_ok=True)
        succeed("run", f"--resume={name}")
        resumed = json.loads(Path(name, "result.json").read_text())
        for key in ("test", "valid", "gradient_passes"):
            assert resumed[key] == record[key]


def test_retrain__averages_the_weights_of_both_trainings(data):
    record, _ = run("again", True, "--weight_average=last 2")
    assert record["label"] == "SAMRec (last 2)"
    for folder, last in (("again/selection", record["best_epoch"]), ("again", record["best_epoch"])):
        state = checkpoint_io.load(Path(folder, "best.pth"))
        assert list(state["average"]["ends"]) == list(range(max(0, last - 1), last + 1)), folder
        ends = [kept[0] for kept in state["average"]["ends"].values()]
        mean = sum(end.double() for end in ends) / len(ends)
        assert torch.allclose(next(iter(state["state_dict"].values())).double(), mean, atol=1e-6)
    assert "the same figures" in succeed("evaluate", "again").out


def test_retrain__is_not_for_a_search(data):
    from recbole_samrec.tune.search_spec import plan_search
    from recbole_samrec.tune.strategies import Strategy

    eval_args = {"split": {"GTS": {"quantile": 0.7, "retrain": True}}}
    given = {"eval_args": eval_args, "topk": [2], "valid_metric": "NDCG@2"}
    with pytest.raises(ConfigError, match="a search chooses by validation"):
        plan_search("SAMRec", "tiny", None, Strategy(), (1,), None, given=given)
