"""The functions run and evaluate do what the commands of their names do."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

import recbole_samrec
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.command import succeed
from tests.helpers.tiny import cyclic, write_events

SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 6, "train_batch_size": 256, "epochs": 2}
QUIET = Console(quiet=True)
EQUAL = ("valid", "test", "config", "best_epoch", "epochs_run", "label", "data")
"""What two runs with the same settings have in common."""


@pytest.fixture
def data(own_folder):
    write_events("dataset", "tiny", cyclic(users=60, items=30))
    return own_folder


class Losses(recbole_samrec.Callback):
    """Collects the losses of the epochs."""

    def __init__(self):
        self.found = []

    def on_train_epoch_end(self, trainer, epoch, loss, seconds):
        self.found.append((epoch, loss))


def test_run__does_what_the_command_does(data):
    losses = Losses()
    result = recbole_samrec.run(
        "SAMRec", "tiny", callbacks=[losses], run_dir="one", console=QUIET, **SMALL, sam_rho=0.1, seed=3
    )
    succeed(
        "run", "--dataset=tiny", "--run_dir=two", *(f"--{k}={v}" for k, v in SMALL.items()), "--sam_rho=0.1", "--seed=3"
    )
    one, two = (json.loads(Path(name, "result.json").read_text()) for name in ("one", "two"))
    assert {key: one[key] for key in EQUAL} == {key: two[key] for key in EQUAL}
    assert Path("one/ranks.npz").exists() and result.folder == Path("one")
    assert {key: result.record[key] for key in one} == one
    assert result.metrics.loc["test"].to_dict() == one["test"] and list(result.metrics.index) == ["valid", "test"]
    assert [epoch for epoch, _ in losses.found] == [0, 1] and all(loss > 0 for _, loss in losses.found)
    shown = repr(result)
    assert shown.startswith("SAMRec on tiny, seed 3, in one\n") and f"{one['test']['ndcg@10']:.4f}"[:5] in shown


def test_run__reads_files_and_shows_its_progress(data):
    Path("a.yaml").write_text("dataset: tiny\nmodel: BPR\nepochs: 5\nembedding_size: 8\n")
    console = Console(file=io.StringIO(), width=80)
    result = recbole_samrec.run(config_files=["a.yaml"], epochs=1, console=console)
    assert (result.record["model"], result.record["dataset"], result.record["epochs_run"]) == ("BPR", "tiny", 1)
    assert result.folder.parent == Path("runs") and console.file.getvalue().startswith("epoch 1/1  loss ")


def test_run__resumes(data):
    recbole_samrec.run("SAMRec", "tiny", run_dir="one", console=QUIET, **SMALL)
    result = recbole_samrec.run(resume="one", epochs=3, console=QUIET)
    assert result.folder == Path("one") and result.record["epochs_run"] == 3
    with pytest.raises(ConfigError, match="--hidden_size=16: the run to be resumed has hidden_size=8"):
        recbole_samrec.run(resume="one", hidden_size=16, console=QUIET)


def test_evaluate__scores_a_run_again(data):
    record = recbole_samrec.run("SAMRec", "tiny", run_dir="one", console=QUIET, **SMALL).record
    found = recbole_samrec.evaluate("one", console=QUIET)
    assert found.as_recorded and found.weights == Path("one/best.pth") and found.title == "SAMRec on tiny"
    assert found.metrics.loc[("test", "unmasked")].to_dict() == record["test"]
    both = recbole_samrec.evaluate("one", mask_history=True, console=QUIET)
    index = [(part, history) for part in ("valid", "test") for history in ("unmasked", "masked")]
    assert both.metrics.index.to_list() == index and both.as_recorded
    pd.testing.assert_frame_equal(both.metrics.loc[[index[0], index[2]]], found.metrics)
    assert both.metrics["ndcg@10"][("test", "masked")] != record["test"]["ndcg@10"]
    assert repr(found).startswith("SAMRec on tiny, one/best.pth\n")
    fewer = recbole_samrec.evaluate("one", console=QUIET, topk=[5])  # without the run's valid_metric, NDCG@10
    assert fewer.as_recorded is True and fewer.scores[False]["test"].items() <= found.scores[False]["test"].items()
    other = recbole_samrec.evaluate("one", console=QUIET, topk=[3])
    assert other.as_recorded is None and set(other.scores[False]["test"]) >= {"ndcg@3", "hr@3"}
    with pytest.raises(ConfigError, match="valid_metric=NDCG@7"):
        recbole_samrec.evaluate("one", console=QUIET, topk=[3], valid_metric="NDCG@7")
    Path("one/result.json").unlink()
    assert recbole_samrec.evaluate("one/best.pth", console=QUIET).as_recorded is None


def test_evaluate__masks_history_in_full_rankings_only(data):
    sampled = {"eval_args": {"mode": "uni5"}, "topk": [5], "valid_metric": "NDCG@5"}
    recbole_samrec.run("BPR", "tiny", run_dir="one", console=QUIET, epochs=1, **sampled)
    with pytest.raises(ConfigError, match=r"mask_history cannot be used with mode=uni5 in eval_args: .*mode: full"):
        recbole_samrec.evaluate("one", mask_history=True, console=QUIET)
    assert recbole_samrec.evaluate("one", console=QUIET).metrics.index[0] == ("valid", "unmasked")


def test_evaluate__of_a_run_with_recboles_list_metrics(data):
    """Runs of earlier versions, whose settings do not have recbole_metrics, are scored as they were."""
    wanted = {"metrics": ["NDCG", "ItemCoverage"], "valid_metric": "NDCG@10", "recbole_metrics": True}
    recbole_samrec.run("SAMRec", "tiny", run_dir="one", console=QUIET, **SMALL, **wanted)
    record = json.loads(Path("one/result.json").read_text())
    del record["config"]["recbole_metrics"]
    Path("one/result.json").write_text(json.dumps(record))
    state = checkpoint_io.load("one/best.pth")
    del state["config"]["recbole_metrics"]
    checkpoint_io.save("one/best.pth", state)
    console = Console(file=io.StringIO(), width=300)
    assert recbole_samrec.evaluate("one", console=console).as_recorded
    assert "RecBole's values of itemcoverage;" in console.file.getvalue()
    found = recbole_samrec.evaluate("one", console=QUIET, recbole_metrics=False)
    items = found.metrics["itemcoverage@10"] / pd.Series(record["test"])["itemcoverage@10"]
    assert not found.as_recorded and (items > 1).any()


def test_run__folders_of_files(data):
    Path("a.yaml").write_text("run_dir: 2024-10-11\ncheckpoint_dir: saved\n")
    screen = io.StringIO()
    result = recbole_samrec.run("SASRec", "tiny", config_files=["a.yaml"], console=Console(file=screen), **SMALL)
    assert result.folder == Path("2024-10-11") and not Path("saved").exists()
    assert screen.getvalue().count("note: checkpoint_dir has no effect: checkpoints are in the folder of the run") == 1
