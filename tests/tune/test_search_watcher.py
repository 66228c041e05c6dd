"""The log and the display of the trials of a search."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from recbole_samrec.tune.search_spec import SearchSpec
from recbole_samrec.tune.search_watcher import SearchWatcher, format_drawn
from recbole_samrec.tune.spaces import make_space
from recbole_samrec.tune.strategies import Strategy
from recbole_samrec.tune.trial_log import TrialLog


@pytest.fixture
def watcher(tmp_path):
    """A watcher of a search of three trials, with its log and its console."""
    space = make_space({"n_layers": [1, 2, 3]}, "here")
    search = SearchSpec("SAMRec", "tiny", {}, space, Strategy(), 3, (1,), "NDCG@10", True, 10, "hash", tmp_path)
    log, console = TrialLog(tmp_path / "progress.json"), Console(file=io.StringIO(), width=200)
    return SearchWatcher(search, log, console, 2)


def report(score, epoch, **more):
    """A report of a trial."""
    return {"config": {"n_layers": 1}, "score": score, "valid": score, "epoch": epoch, "seconds": 2.0 * epoch, **more}


def test_search_watcher_records_and_shows_ends(watcher):
    with watcher:
        for name, score in (("000", 0.25), ("001", 0.5)):
            watcher.on_start(name, {"n_layers": 1})
            watcher.on_report(name, report(score, 5))
        watcher.on_complete("000")
        watcher.on_report("001", report(0.5, 10, finished=True))
        watcher.on_complete("001")
        watcher.on_start("002", {"n_layers": 1})
        Path(watcher._search.out, "trials", "002").mkdir(parents=True)
        Path(watcher._search.out, "trials", "002", "failure.txt").write_text("no such layer\ntrace")
        watcher.on_retry("002", "worker process died")
        watcher.on_fail("002", "worker process died")
    log = TrialLog.read(watcher._search.out / "progress.json", bigger=True)
    assert [one.status for one in log.trials.values()] == ["stopped early", "finished", "failed"]
    assert log.trials["002"].reason == "no such layer" and log.best == "001"
    assert watcher._display._console.file.getvalue().rstrip("\n").splitlines() == [
        "1 of 3: trial 000: n_layers=1: NDCG@10 0.2500 (5 epochs, 0:00:10, stopped early), best 0.2500 (trial 000); "
        "0:00:10 left",
        "2 of 3: trial 001: n_layers=1: NDCG@10 0.5000 (10 epochs, 0:00:20), best 0.5000 (trial 001); 0:00:15 left",
        "trial 002: no such layer; retrying from its last checkpoint",
        "3 of 3: trial 002 failed: no such layer",
    ]


def test_format_drawn():
    assert format_drawn({"learning_rate": 0.00123456, "n_layers": 2, "act": "gelu"}) == (
        "learning_rate=0.00123 n_layers=2 act=gelu"
    )


def test_search_watcher__counts_passes_if_they_are_the_budget(tmp_path):
    space, strategy = make_space({"n_layers": [1, 2, 3]}, "here"), Strategy(trials=None, passes=20.5)
    search = SearchSpec("SAMRec", "tiny", {}, space, strategy, 21, (1,), "NDCG@10", True, 10, "hash", tmp_path)
    log, console = TrialLog(tmp_path / "progress.json"), Console(file=io.StringIO(), width=200)
    with SearchWatcher(search, log, console, 1) as watcher:
        for name in ("000", "001", "002"):
            watcher.on_start(name, {"n_layers": 1})
            watcher.on_report(name, report(0.25, 5, passes=8.0, finished=True))
            watcher.on_complete(name)
    words = "n_layers=1: NDCG@10 0.2500 (5 epochs, 0:00:10), best 0.2500 (trial 000)"
    assert console.file.getvalue().splitlines() == [
        f"8 of 21 gradient passes: trial 000: {words}; 0:00:20 left",
        f"16 of 21 gradient passes: trial 001: {words}; 0:00:10 left",
        f"24 of 21 gradient passes: trial 002: {words}",
    ]
    assert [one.passes for one in TrialLog.read(tmp_path / "progress.json", True).trials.values()] == [8.0] * 3
