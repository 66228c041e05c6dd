"""A finished run keeps its split by time when its data change."""

from pathlib import Path

import pytest
from rich.console import Console

from recbole_samrec import evaluate, run
from recbole_samrec.data import temporal_parts
from tests.helpers.temporal import tied_events
from tests.helpers.tiny import write_events

QUIET = Console(quiet=True)
SETTINGS = {
    "epochs": 1, "embedding_size": 8, "topk": [3], "valid_metric": "NDCG@3", "metrics": ["NDCG"], "console": QUIET,
    "data_path": "dataset",
}  # fmt: skip
SPLITS = [
    {"quantile": 0.6, "unseen_users": "drop"},
    {"quantile": 0.6, "unseen_users": "drop", "retrain": True},
    {"quantile": 0.6, "unseen_users": "drop", "validation": "last_train_item", "target": "successive"},
]


@pytest.fixture
def splits(monkeypatch):
    """All splits that are made, newest last."""
    made = []
    original = temporal_parts.split_events
    monkeypatch.setattr(temporal_parts, "split_events", lambda *a, **k: made.append(original(*a, **k)) or made[-1])
    return made


@pytest.mark.parametrize("options", SPLITS)
def test_find_known_split__of_data_without_their_latest_events(own_folder, splits, options):
    events = [(f"u{user}", f"i{item}", time) for user, item, time in tied_events(2).itertuples(index=False)]
    write_events("dataset", "tiny", events)
    done = run("BPR", "tiny", **SETTINGS, eval_args={"split": {"GTS": options}}, run_dir="run")
    trained = splits[-1]
    last = sorted(time for *_, time in events)[-20]
    fewer = [event for event in events if event[2] < last]
    write_events("dataset", "tiny", fewer)
    evaluate(done.folder, changed_data="drop", console=QUIET)
    again = splits[-1]
    assert (again.counts.cut, again.counts.validation_cut) == (trained.counts.cut, trained.counts.validation_cut)
    assert again.counts.cut in {time for *_, time in events} and again.counts.test_targets
    targets = again.test.events[again.test.targets]
    assert not set(targets) & set(again.train.events) and (again.served.candidates == trained.served.candidates).all()


def test_find_known_split__leaves_another_split_to_the_user(own_folder, splits):
    events = [(f"u{user}", f"i{item}", time) for user, item, time in tied_events(2).itertuples(index=False)]
    write_events("dataset", "tiny", events)
    done = run("BPR", "tiny", **SETTINGS, eval_args={"split": {"GTS": SPLITS[0]}})
    other = {"split": {"GTS": {**SPLITS[0], "quantile": 0.8}}}
    evaluate(done.folder, changed_data="drop", console=QUIET, eval_args=other)
    assert splits[-1].counts.cut > splits[0].counts.cut


def test_evaluate__of_the_first_of_two_trainings(own_folder, splits):
    events = [(f"u{user}", f"i{item}", time) for user, item, time in tied_events(2).itertuples(index=False)]
    write_events("dataset", "tiny", events)
    done = run("BPR", "tiny", **SETTINGS, eval_args={"split": {"GTS": SPLITS[1]}}, run_dir="run")
    first = evaluate(Path("run/selection"), console=QUIET)
    assert first.scores[False]["valid"] == done.record["valid"]
