"""The display of a run's progress."""

import io
import math
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from recbole_samrec.quick_start import training_progress
from recbole_samrec.quick_start.training_progress import (
    ProgressBar,
    ProgressLines,
    find_earliest_end,
    make_progress,
    shown,
)


def trainer(epochs, metric, best=-math.inf):
    """The attributes of a trainer that displays read."""
    return SimpleNamespace(epochs=epochs, config={"valid_metric": metric}, best_valid_score=best)


def terminal(width):
    return Console(file=io.StringIO(), force_terminal=True, width=width, _environ={"TERM": "xterm-256color"})


def frames(console):
    """Every displayed state of every line."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    return [line for line in re.split(r"[\r\n]+", text) if line]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; ``clock.now`` sets it."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(training_progress.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("metric", ["NDCG@10", "Precision@10", "AveragePopularity@10"])
def test_progress_bar__is_one_line(width, metric, clock):
    console = terminal(width)
    bar, run = make_progress(console, "SAMRec on " + "Amazon_Sports_and_Outdoors" * 4), trainer(1000, metric)
    assert isinstance(bar, ProgressBar)
    bar.on_train_start(run)
    bar.on_train_epoch_start(run, 998, 2)
    clock.now = 36000.0
    for epoch in (998, 999):
        bar.on_train_epoch_start(run, epoch, 2)
        bar.on_train_batch_end(run, epoch, 1)
        bar.on_train_batch_end(run, epoch, 2)
        bar.on_train_epoch_end(run, epoch, 651.55, 1.0)
        bar.on_validation_end(run, epoch, 0.1234, {}, epoch == 998)
    bar.on_train_end(run)
    drawn = frames(console)
    assert max(map(len, drawn)) <= width
    last = re.fullmatch(r"epoch 1000/1000 (\S+) loss 651.5  (\S+) 0.1234  best 0.1234  0:00:00 left", drawn[-1])
    assert last and len(last[1]) >= 4
    assert last[2] == (metric if len(metric) <= 12 else "valid")


def test_time_left__is_of_whole_epochs_with_validation(clock):
    lines, run = ProgressLines(Console(file=io.StringIO())), trainer(10, "NDCG@10")
    lines.on_train_start(run)
    lines.on_train_epoch_start(run, 4, 10)  # a resumed run
    assert lines.left == "-:--:--"
    lines.on_train_epoch_end(run, 4, 1.0, 1.0)
    clock.now = 60.0  # of which most was validation
    lines.on_validation_end(run, 4, 0.1, {}, True)
    assert lines.left == "0:05:00"
    lines.on_train_epoch_start(run, 5, 10)
    for step in range(25):  # a model with several optimizers has more steps than announced
        lines.on_train_batch_end(run, 5, step + 1)
    assert lines.done == 6


def test_progress_lines__are_one_an_epoch(clock):
    console = Console(file=io.StringIO(), width=40)
    lines, run = make_progress(console, "SAMRec on ml-1m"), trainer(3, "NDCG@10", best=0.5)
    assert isinstance(lines, ProgressLines)
    lines.on_train_start(run)
    for epoch, loss in enumerate((2.5, 1.5, 1.25)):
        lines.on_train_epoch_start(run, epoch, 1)
        clock.now += 10
        lines.on_train_epoch_end(run, epoch, loss, 10.0)
        if epoch == 1:
            lines.on_validation_end(run, epoch, 0.75, {}, True)
    lines.on_train_end(run)
    assert console.file.getvalue() == (
        "epoch 1/3  loss 2.5000  NDCG@10 -  best 0.5000  0:00:20 left\n"
        "epoch 2/3  loss 1.5000  NDCG@10 0.7500  best 0.7500  0:00:10 left\n"
        "epoch 3/3  loss 1.2500  NDCG@10 -  best 0.7500  0:00:00 left\n"
    )


def test_best__of_no_run_is_none():
    for worst in (math.inf, -math.inf):
        lines = ProgressLines(Console())
        lines.on_train_start(trainer(1, "AUC", worst))
        assert lines.best is None


def test_shown__is_short():
    figures = [None, 0.12345, -0.5, 12.34567, 651.558, 12345.6, 1234567.0]
    assert [shown(figure) for figure in figures] == ["-", "0.1235", "-0.5000", "12.3457", "651.6", "12345.6", "1.2e+06"]


def test_training_progress__early_stopping_shortens_time_left(clock):
    console = Console(file=io.StringIO(), width=200)
    lines, run = make_progress(console, "SASRec"), trainer(30, "NDCG@10")
    run.stopping_step, run.cur_step = 3, 0
    run.config |= {"eval_step": 2, "exact_early_stopping": True}
    lines.on_train_start(run)
    for epoch in range(8):
        lines.on_train_epoch_start(run, epoch, 1)
        clock.now = 10.0 * (epoch + 1)
        lines.on_train_epoch_end(run, epoch, 1.0, 10.0)
        if epoch % 2:
            lines.on_validation_end(run, epoch, 0.1, {}, best := epoch == 1)
            run.cur_step = 0 if best else run.cur_step + 1
    lines.on_train_end(run)
    left = [line.split("  ")[-1] for line in console.file.getvalue().splitlines() if "NDCG@10 0" in line]
    assert left == [
        "0:01:00 to 0:04:40 left",  # the best so far: at least 3 validations in 6 epochs of 10 seconds, of 28
        "0:00:40 to 0:04:20 left",
        "0:00:20 to 0:04:00 left",
        "0:00:00 to 0:03:40 left",
    ]
    assert lines.least_left == "0:00:00+"


def test_find_earliest_end__counts_as_the_rule_of_stopping_does():
    run = SimpleNamespace(stopping_step=3, cur_step=1, config={"eval_step": 1, "exact_early_stopping": True})
    assert find_earliest_end(run, 4, best=True) == 8 and find_earliest_end(run, 4, best=False) == 6
    run.config["exact_early_stopping"] = False  # RecBole stops one validation later
    assert find_earliest_end(run, 4, best=False) == 7
    assert find_earliest_end(SimpleNamespace(), 4, best=False) is None
