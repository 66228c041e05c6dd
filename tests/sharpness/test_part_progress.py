"""Parts are listed once without a terminal, and drawn as bars on one."""

import io

from rich.console import Console

from recbole_samrec.sharpness.part_progress import PartBars


def shown(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, legacy_windows=False)
    with PartBars(console) as bars:
        for done in (1, 2, 5):
            bars("curvature", done, 4)
        bars("noise", 1, 2)
        counts = [(task.completed, task.total) for task in bars._progress.tasks]
    return console.file.getvalue(), counts


def test_part_bars__print_a_line_for_each_part():
    text, _ = shown(terminal=False)
    assert text.rstrip("\n") == "  curvature\n  noise"  # rich 13.7 adds an empty line


def test_part_bars__draw_bars_that_are_never_overfull():
    text, counts = shown(terminal=True)
    assert "curvature" in text and "4/4" in text and counts == [(4, 4), (1, 2)]
