"""Callbacks: when they run, in which order, and the example in the documentation."""

import json
import re
from pathlib import Path

import pytest

from recbole_samrec.config.build import configure
from recbole_samrec.quick_start.train import train
from recbole_samrec.trainer.callbacks import Callback, CallbackList, best_score, planned_epochs
from tests.helpers.paths import ROOT
from tests.helpers.tiny import SMALL, build, make_config, random_events, write_events, write_kinds

MOMENTS = [name for name in vars(Callback) if name.startswith("on_")]


def note_moment(moment):
    def method(self, trainer, *known):
        self.seen.append((moment, *known))
        if moment == self.stop_at:
            raise RuntimeError("stopped by a callback")

    return method


class Notes(Callback):
    """Records every call."""

    def __init__(self, stop_at=None):
        self.seen, self.stop_at = [], stop_at

    @property
    def moments(self):
        return [call[0] for call in self.seen]


for name in MOMENTS:
    setattr(Notes, name, note_moment(name))


@pytest.fixture
def data(own_folder):
    write_events("dataset", "tiny", random_events())
    return own_folder


def run(callback, **settings):
    folder = Path("run")
    folder.mkdir()
    base = {**SMALL, "data_path": "dataset", "dataset": "tiny", "run_dir": "run", "checkpoint_dir": "run"}
    base |= {"quiet_terminal": True, **settings}
    return train(configure(base, {}), callbacks=[callback])


EPOCH = ["on_train_epoch_start", "on_train_batch_end", "on_train_epoch_end", "on_validation_end", "on_save_checkpoint"]
TEST = ["on_test_start", "on_test_batch_end", "on_test_end", "on_run_end"]


def without_repeats(moments):
    return [name for number, name in enumerate(moments) if number == 0 or moments[number - 1] != name]


@pytest.mark.parametrize("model", ["SAMRec", "BPR", "Pop"])
def test_callbacks__run_in_order(data, model):
    notes = Notes()
    record = run(notes, model=model)
    epochs = 1 if model == "Pop" else 2
    expected = ["on_train_start", *EPOCH * epochs, "on_train_end", *TEST]
    assert without_repeats(notes.moments) == expected
    last = notes.seen[-1][1]
    assert last is record and json.loads(Path("run/result.json").read_text()) == record


def test_callbacks__receive_what_is_known(data):
    notes = Notes()
    record = run(notes, model="SAMRec")
    calls = {moment: [call[1:] for call in notes.seen if call[0] == moment] for moment in MOMENTS}
    steps = calls["on_train_epoch_start"][0][1]
    assert calls["on_train_epoch_start"] == [(0, steps), (1, steps)]
    numbers = [(epoch, step + 1) for epoch in range(2) for step in range(steps)]
    assert calls["on_train_batch_end"] == numbers
    assert [call[0] for call in calls["on_train_epoch_end"]] == [0, 1]
    best = [call for call in calls["on_validation_end"] if call[3]][-1]
    assert best[0] == record.best_epoch and best[1] == record.valid["ndcg@10"] == best[2]["ndcg@10"]
    assert calls["on_save_checkpoint"] == [(0,), (1,)]
    (metrics,) = calls["on_test_end"][0]
    assert metrics["ndcg@10"] == record.test["ndcg@10"]
    (batch,) = calls["on_test_batch_end"][0]
    assert batch.scores.shape == batch.masked_scores.shape and len(batch.users) == len(batch.scores)
    assert (batch.masked_scores <= batch.scores).all() and not calls["on_stage_start"]


def test_callbacks__see_one_start_and_end_of_all_stages(data):
    write_kinds("dataset/tiny", items=20)
    notes = Notes()
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "kind"]}
    more = {"item_attribute": "kind", "load_col": columns, "pretrain_epochs": 1, "epochs": 1, "n_layers": 1}
    run(notes, model="S3Rec", **more)
    assert next(call[1] for call in notes.seen if call[0] == "on_stage_start") == "pre-training"
    for moment, number in (("on_train_start", 1), ("on_stage_start", 2), ("on_train_end", 1), ("on_run_end", 1)):
        assert notes.moments.count(moment) == number
    assert notes.moments.count("on_train_epoch_start") == 2


@pytest.mark.parametrize("moment", ["on_train_batch_end", "on_validation_end"])
def test_callbacks__see_exceptions_which_are_raised_again(data, moment):
    notes = Notes(stop_at=moment)
    with pytest.raises(RuntimeError, match="stopped by a callback"):
        run(notes, model="SAMRec")
    assert notes.moments[-2:] == [moment, "on_exception"] and "on_train_end" not in notes.moments
    assert isinstance(notes.seen[-1][1], RuntimeError)


def test_callbacks__work_with_trainers_of_recboles_functions(data):
    loaders, _, trainer = build(make_config("SAMRec", "dataset", checkpoint_dir="saved", sam_rho=0.1))
    notes = Notes()
    trainer.callbacks.add(notes)
    assert planned_epochs(trainer) == 2 and best_score(trainer) == -float("inf")
    trainer.fit(*loaders[:2], show_progress=False)
    moments = [moment for moment in EPOCH if moment != "on_save_checkpoint"]  # there is no folder of a run
    assert without_repeats(notes.moments) == ["on_train_start", *moments * 2, "on_train_end"]


def test_callback_list__calls_in_order_and_knows_what_is_handled():
    one, two = Notes(), Notes()
    both = CallbackList([one])
    both.add(two)
    two.seen = one.seen
    both.call("on_save_checkpoint", None, 3)
    assert one.seen == [("on_save_checkpoint", 3)] * 2 and list(both) == [one, two]
    assert both.handles("on_test_batch_end") and not CallbackList([Callback()]).handles("on_test_batch_end")


def test_callbacks_page__names_every_moment():
    page = (ROOT / "docs" / "how_to" / "callbacks.md").read_text()
    assert re.findall(r"^\| `(on_\w+)` \|", page, re.M) == MOMENTS


def test_callbacks_page__shows_an_example_that_works(data):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "how_to" / "callbacks.md").read_text(), re.S)
    assert '"ml-100k", ' in code
    names = {"small": SMALL}
    exec(compile(code.replace('"ml-100k", ', '"tiny", **small, '), "callbacks.md", "exec"), names)
    lines = [json.loads(line) for line in Path("epochs.jsonl").read_text().splitlines()]
    record = json.loads((names["result"].folder / "result.json").read_text())
    assert [line["epoch"] for line in lines] == [0, 1]
    best = lines[record["best_epoch"]]
    assert best["best"] and best["score"] == record["valid"]["ndcg@10"] and best["hit@10"] == record["valid"]["hr@10"]
