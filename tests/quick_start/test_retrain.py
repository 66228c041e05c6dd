"""A run that is trained again on all events before the test, for as many epochs as the validation chose."""

import json
import shutil
from pathlib import Path

import pytest

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
        assert (resumed["test"], resumed["valid"]) == (record["test"], record["valid"])


def test_retrain__is_not_for_a_search(data):
    from recbole_samrec.tune.search_spec import plan_search
    from recbole_samrec.tune.strategies import Strategy

    eval_args = {"split": {"GTS": {"quantile": 0.7, "retrain": True}}}
    given = {"eval_args": eval_args, "topk": [2], "valid_metric": "NDCG@2"}
    with pytest.raises(ConfigError, match="a search chooses by validation"):
        plan_search("SAMRec", "tiny", None, Strategy(), (1,), None, given=given)
