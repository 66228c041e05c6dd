"""The progress display of jobs and trials."""

import io

from rich.console import Console

from recbole_samrec.experiments.progress import Display


def lines(console):
    """The printed lines; rich 13.7 adds an empty one at the end."""
    return console.file.getvalue().rstrip("\n").splitlines()


def test_display_prints_a_line_for_each_end():
    console = Console(file=io.StringIO(), width=80)
    with Display(console, "all runs", 2, lambda: 90.0) as display:
        display.show("a", "SAMRec [x]", 0.5, "epoch 2 of at most 4")
        display.end("a", 1, "SAMRec [x]: NDCG@10 0.1")
        display.end("b", 2, "b: failed: reason")
    assert lines(console) == ["1 of 2: SAMRec [x]: NDCG@10 0.1; 0:01:30 left", "2 of 2: b: failed: reason"]


def test_display_draws_bars_on_a_terminal():
    console = Console(file=io.StringIO(), width=100, force_terminal=True, legacy_windows=False)
    with Display(console, "all runs", 2, lambda: 0.0) as display:
        display.show_all(0, "best 0.1")
        display.show("a", "SAMRec [x]", 0.5, "epoch 2 of at most 4")
        display._progress.refresh()
    drawn = console.file.getvalue()
    assert "all runs" in drawn and "0 of 2  best 0.1" in drawn
    assert "SAMRec [x]" in drawn and "epoch 2 of at most 4" in drawn
