"""The command ``tune``: its arguments."""

from pathlib import Path

import pytest

from recbole_samrec.tune import runner
from tests.helpers.command import main
from tests.helpers.tables import FLAGS, make_frame
from tests.helpers.tiny import cyclic, write_events


@pytest.fixture
def data(own_folder):
    """Users whose items follow one another in a circle."""
    write_events("dataset", "tiny", cyclic(users=40, items=12))
    return own_folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--search=best"], "--search=best: must be one of random, grid, optuna, hyperopt"),
        (["--scheduler=x"], "--scheduler=x: must be one of asha, median, pbt, none"),
        (["--trials=0"], "--trials=0: must be a whole number of at least 1"),
        (["--space=nowhere.yaml"], "--space=nowhere.yaml: there is no such file"),
        (["--search=grid"], "grid needs lists of values"),
        (["--model=SAMRek"], "unknown model or entry SAMRek; did you mean SAMRec"),
        (["--model=LINE"], "--model=LINE: it has no search space"),
        (["--seed=3"], "seed cannot be set for a search; use --seeds"),
        (["--sam_rho=0.1"], "sam_rho"),
        (["--memory=-1"], "--memory=-1: must be a number above 0"),
        (["--retries=-1"], "--retries=-1: must be a whole number of at least 0"),
        (["--out=afile/x"], "--out=afile/x: the folder cannot be written"),
        (["--space=masked.yaml"], "mask_history"),
        (["--eval_args={'split': {'RS': [0.8, 0.0, 0.2]}, 'order': 'TO'}"], "nothing for validation"),
        (["--scheduler=pbt", "--seeds=2"], "--scheduler=pbt: a trial has one seed"),
        (["--resume"], "--resume: name the search"),
        (["--resume=nowhere"], "--resume=nowhere: there is no search"),
        (["--resume=nowhere", "--trials=3"], "remove --trials"),
        (["--resume=nowhere", "--epochs=3"], "remove --epochs"),
        (["--topk=[500]", "--valid_metric=NDCG@500"], "tiny has only 12 items"),
    ],
)
def test_tune_rejects_wrong_arguments(data, monkeypatch, arguments, words):
    monkeypatch.setattr(runner, "connect_ray", lambda *more: pytest.fail("Ray was started"))
    Path("afile").touch()
    Path("masked.yaml").write_text("mask_history: [True, False]\n")
    ranked = [] if "--topk=[500]" in arguments else ["--topk=[5]", "--valid_metric=NDCG@5"]
    asked = [] if "--resume" in arguments[0] else ["--dataset=tiny", *ranked]
    said = main("tune", *asked, *arguments)
    assert said.status == 2 and words in " ".join(said.err.split())
    assert not Path("runs").exists()


def test_tune_takes_a_parquet_file(data, monkeypatch):
    class Stop(Exception):
        pass

    searches = []

    def stop(search, *more):
        searches.append(search)
        raise Stop

    monkeypatch.setattr("recbole_samrec.tune.api.finish_search", stop)
    make_frame(users=30, items=25).to_parquet("events.parquet")
    small = ["--model=SASRec", "--data=events.parquet", *FLAGS, "--topk=[5]", "--valid_metric=NDCG@5"]
    assert main("tune", *small).status
    make_frame(users=30, items=25)[["sku"]].drop_duplicates().assign(tag="a").to_parquet("items.parquet")
    assert main("tune", *small, "--items=items.parquet").status
    search, with_items = searches
    assert {path.suffix for path in Path("dataset", with_items.dataset).iterdir()} == {".inter", ".item", ".json"}
    assert search.dataset.startswith("events-") and search.settings["dataset"] == search.dataset
    assert str(search.out) == f"runs/tune/SASRec-{search.dataset}"
    said = main("tune", "--resume=nowhere", "--data=events.parquet")
    assert said.status == 2 and "remove --data" in said.err
