"""The functions run and evaluate are equivalent to the commands of the same names."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import recbole_samrec
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError, UserError
from tests.helpers.command import main, succeed
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
    """Runs of earlier versions, whose settings lack recbole_metrics, have their former scores."""
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


# A table of one's own ------------------------------------------------------------------------------------------------


def make_table() -> pd.DataFrame:
    """Events of numbered users and of items that are text with unusual characters, with a rating."""
    events = pd.DataFrame(cyclic(users=60, items=30), columns=["customer", "sku", "bought"])
    awkward = {"i1": "007", "i2": "7", "i3": 'a "b"\tc', "i4": " d ", "i5": "NA"}
    frame = events.assign(customer=events["customer"].str[1:].astype(int), sku=events["sku"].replace(awkward))
    return frame.assign(bought=pd.to_datetime(frame["bought"], unit="s", utc=True), stars=frame.index % 5 + 0.5)


COLUMNS = {"user": "customer", "item": "sku", "time": "bought"}


def test_run__takes_a_frame_as_it_takes_files(own_folder):
    frame = make_table()
    lines = [
        f"{u}\t{i}\t{int(t.timestamp())}" for u, i, t in frame[["customer", "sku", "bought"]].itertuples(index=False)
    ]
    lines = [line.replace('a "b"\tc', '"a ""b""\tc"') for line in lines]
    Path("dataset/files").mkdir(parents=True)
    header = "user_id:token\titem_id:token\ttimestamp:float"
    Path("dataset/files/files.inter").write_text("\n".join([header, *lines]) + "\n")
    one = recbole_samrec.run("SAMRec", frame, **COLUMNS, run_dir="one", console=QUIET, **SMALL)
    two = recbole_samrec.run("SAMRec", "files", run_dir="two", console=QUIET, **SMALL)
    assert one.metrics.equals(two.metrics) and one.record["data"] == two.record["data"]
    assert one.record["dataset"].startswith("frame-")


def test_run__keeps_the_types_of_ids(own_folder):
    frame, settings = make_table(), {**SMALL, "epochs": 1}
    run = recbole_samrec.run("SAMRec", frame, **COLUMNS, console=QUIET, **settings)
    found = recbole_samrec.Recommender(run.folder, console=QUIET).recommend(users=[3, 4], k=30)
    assert found["user"].unique().tolist() == [3, 4] and found["user"].dtype == frame["customer"].dtype
    assert set(found["item"]) == set(frame["sku"])
    assert recbole_samrec.evaluate(run.folder, console=QUIET).as_recorded
    new = pd.DataFrame({"user": [900, 900], "item": ["007", "NA"]})
    again = recbole_samrec.Recommender(run.folder, console=QUIET).recommend(sequences=new, k=2)
    assert again["user"].tolist() == [900, 900]
    swapped = frame.rename(columns={"customer": "sku", "sku": "customer"})
    run = recbole_samrec.run("SAMRec", swapped, **COLUMNS, console=QUIET, **settings)
    found = recbole_samrec.Recommender(run.folder, console=QUIET).recommend(users=["NA"], k=2)
    assert found["item"].dtype == np.int64 and found["user"].tolist() == ["NA", "NA"]


def test_run__resumes_with_a_frame_and_knows_another(own_folder):
    frame = make_table()
    first = recbole_samrec.run("SAMRec", frame, **COLUMNS, run_dir="run", console=QUIET, **{**SMALL, "epochs": 1})
    again = recbole_samrec.run("SAMRec", frame, **COLUMNS, resume="run", console=QUIET, **SMALL)
    assert again.folder == first.folder and again.record["epochs_run"] == 2
    with pytest.raises(ConfigError, match="the run to be resumed has dataset=frame-"):
        recbole_samrec.run("SAMRec", frame.iloc[1:], **COLUMNS, resume="run", console=QUIET, **SMALL)
    assert recbole_samrec.run(resume="run", console=QUIET).record["data"] == first.record["data"]


def test_run__takes_items_with_attributes(own_folder):
    """S3Rec is pre-trained on the same attributes as those of files; items without events change nothing."""
    frame, settings = make_table(), {**SMALL, "pretrain_epochs": 1, "console": QUIET}
    names = frame["sku"].unique()
    tags = [[f"t{number % 3}", "all of them"] for number in range(len(names))]
    items = pd.DataFrame({"sku": names, "title": [f'No. "{name}"' for name in names], "tags": tags})
    more = pd.DataFrame({"sku": ["new"], "title": ["New"], "tags": [["t9"]]})
    run = recbole_samrec.run("S3Rec", frame, **COLUMNS, items=pd.concat([items, more]), run_dir="run", **settings)
    assert run.record["config"]["item_attribute"] == "tags" and run.record["data"]["items"] == len(names)
    found = recbole_samrec.Recommender("run").recommend(users=[3], k=5)
    assert (found["title"] == 'No. "' + found["item"].str.strip() + '"').all() and len(found) == 5
    folder = Path("dataset", run.record["dataset"])
    lines = (folder / f"{folder.name}.item").read_text().splitlines()
    assert lines[0] == "item_id:token\ttitle:token\ttags:token_seq" and len(lines) == 1 + len(names)
    frame.to_parquet("events.parquet")
    items.to_parquet("items.parquet")
    given = ["--data=events.parquet", "--user=customer", "--item=sku", "--time=bought", "--items=items.parquet"]
    succeed(
        "run",
        "--model=S3Rec",
        *given,
        "--run_dir=again",
        "--pretrain_epochs=1",
        *(f"--{k}={v}" for k, v in SMALL.items()),
    )
    assert json.loads(Path("again/result.json").read_text())["test"] == run.record["test"]
    with pytest.raises(UserError, match=r"^items applies to frames and Parquet files, but ml-100k is a data set"):
        recbole_samrec.run("S3Rec", "ml-100k", items=items)
    with pytest.raises(UserError, match=r"S3Rec needs an attribute of the items"):
        recbole_samrec.run("S3Rec", frame, **COLUMNS, **settings)


def test_run__loads_further_columns_of_a_frame(own_folder):
    settings = {"epochs": 1, "embedding_size": 8, "load_col": {"inter": ["user_id", "item_id", "stars"]}}
    rates = {
        "metrics": ["RMSE"],
        "valid_metric": "RMSE",
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "mode": "labeled"},
    }
    threshold = {"threshold": {"stars": 3.0}}
    run = recbole_samrec.run("FM", make_table(), **COLUMNS, console=QUIET, **settings, **threshold, **rates)
    assert list(run.record["test"]) == ["rmse"]
    with pytest.raises(UserError, match=r"the frame has no column 'starz': .*did you mean 'stars'"):
        recbole_samrec.run("FM", make_table(), **COLUMNS, console=QUIET, load_col={"inter": ["starz"]})


def test_run__reports_rows_without_ids_as_for_files(own_folder):
    frame = make_table()
    frame.loc[[1, 5], "sku"] = None
    console = Console(file=io.StringIO(), width=300)
    run = recbole_samrec.run("Pop", frame, **COLUMNS, console=console)
    assert "2 rows without user or item will be dropped (first: line 3)" in console.file.getvalue()
    assert run.record["data"]["interactions"] == len(frame) - 2


def test_command__trains_on_a_parquet_file(own_folder):
    frame = make_table()
    frame.to_parquet("events.parquet")
    given = ["--data=events.parquet", "--user=customer", "--item=sku", "--time=bought"]
    said = succeed("run", *given, "--run_dir=run", *(f"--{key}={value}" for key, value in SMALL.items()))
    assert "t contains dates" in said.out.replace("bought", "t")
    run = recbole_samrec.run("SAMRec", frame, **COLUMNS, console=QUIET, **SMALL)
    record = json.loads(Path("run/result.json").read_text())
    assert record["test"] == run.record["test"] and record["dataset"].startswith("events-")
    assert "the same figures" in succeed("evaluate", "run").out
    succeed("recommend", "run", "--users=3", "--k=2", "--out=recs.parquet")
    assert pd.read_parquet("recs.parquet")["user"].tolist() == [3, 3]
    assert succeed("run", "--resume=run", "--epochs=3").status == 0
    assert "give one of them" in main("run", *given, "--dataset=ml-100k").err
    assert "no column 'uid'" in main("run", given[0], "--user=uid").err
