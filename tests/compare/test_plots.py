import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare import plots
from recbole_samrec.compare.captions import Setting, spread
from recbole_samrec.compare.groups import group_table
from recbole_samrec.compare.tables import fraction_table, main_table
from recbole_samrec.experiments.results import Run
from tests.helpers.paths import ROOT

ROWS = ["SAMRec", "SASRec (RecBole's rows)", "GRU4Rec+SAM", "Pop"]


@pytest.fixture(scope="module")
def runs():
    generator = np.random.default_rng(0)
    made = []
    for number, row in enumerate(ROWS):
        for seed in (1, 2):
            for fraction in (0.5, 1.0):
                rank = 1 + generator.geometric(0.1 - 0.02 * number, 80)
                columns = {"rank": rank, "masked_rank": rank, "history": np.arange(80), "popularity": np.arange(80)}
                made.append(Run(row, "tiny", seed, fraction, {}, pd.DataFrame(columns), "hash"))
    return made


@pytest.fixture(scope="module")
def figures(runs):
    whole = [run for run in runs if run.fraction == 1]
    return {
        "accuracy": plots.accuracy(main_table(whole, ROWS), "tiny"),
        "groups": plots.groups(group_table(whole), ROWS, "tiny"),
        "fractions": plots.fractions(fraction_table(runs, ROWS), ROWS, "tiny"),
    }


def test_the_table_is_what_is_drawn(runs, figures):
    table = main_table([run for run in runs if run.fraction == 1], ROWS)
    left, right = figures["accuracy"].axes
    for axes, metric in ((left, "ndcg@10"), (right, "hr@10")):
        assert axes.get_xlabel() == metric.upper()
        drawn = [bars.lines[0].get_xdata()[0] for bars in axes.containers]
        assert drawn == table[f"{metric}_mean"].tolist()
        ends = [bars.lines[2][0].get_segments()[0][:, 0] for bars in axes.containers]
        assert [(high - low) / 2 for low, high in ends] == pytest.approx(table[f"{metric}_std"].tolist())
    assert [label.get_text() for label in left.get_yticklabels()] == ROWS


def test_titles_say_what_the_bars_are(runs):
    def words(*most):
        """Of rows with so many seeds."""
        seeds = dict(zip(ROWS, most, strict=False))
        return spread(Setting.of([run for run in runs if run.seed <= seeds.get(run.row, 0)]))

    assert words(1, 1) == "one seed"
    assert words(2, 2) == "mean ± standard deviation over seeds"
    assert words(2, 1) == "mean ± standard deviation over seeds; no bar: one seed, or all alike"


@pytest.mark.parametrize("name", ["groups", "fractions"])
def test_rows_differ_without_colour(figures, name):
    lines = [bars.lines[0] for bars in figures[name].axes[0].containers]
    assert len({line.get_marker() for line in lines}) == len(ROWS)
    assert [text.get_text() for text in figures[name].legends[0].get_texts()] == ROWS


def _ticks(axis):
    """Labels of the ticks that are within the axis; there are some beyond it."""
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_visible()
    ]


@pytest.mark.parametrize("name", ["accuracy", "groups", "fractions"])
def test_nothing_is_cut_off_or_hidden(figures, name):
    figure = figures[name]
    figure.canvas.draw()
    whole = figure.bbox
    for axes in figure.axes:
        texts = [axes.xaxis.label, axes.yaxis.label, *_ticks(axes.xaxis), *_ticks(axes.yaxis), *axes.texts]
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
        assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes)
        assert all(whole.y0 <= box.y0 and box.y1 <= whole.y1 for box in boxes)
    for legend in figure.legends:
        assert not any(legend.get_window_extent().overlaps(axes.get_window_extent()) for axes in figure.axes)


def test_panels_that_share_an_axis_show_all_of_their_dots():
    """Whichever panel has the highest ones."""
    runs = []
    for seed in (1, 2):
        rank = np.r_[np.full(30, 15), np.full(30, 1)] + seed
        frame = pd.DataFrame({"rank": rank, "masked_rank": rank, "history": np.tile([4, 9], 30)})
        frame["popularity"] = np.repeat([1, 50], 30)  # the popular items alone are found
        runs.append(Run("SAMRec", "tiny", seed, 1.0, {}, frame, "test"))
    figure = plots.groups(group_table(runs), ["SAMRec"], "tiny")
    for axes in figure.axes:
        low, high = axes.get_ylim()
        for line in axes.get_lines():
            y = np.asarray(line.get_ydata(), float)
            if line.get_transform() == axes.transData:
                assert low <= y.min() and y.max() <= high


def test_files_are_the_same_each_time_and_of_150_dots_an_inch(runs, figures):
    whole = [run for run in runs if run.fraction == 1]
    again = plots.accuracy(main_table(whole, ROWS), "tiny")
    png = plots.rendered(again, "png")
    assert png == plots.rendered(figures["accuracy"], "png")
    assert png.startswith(b"\x89PNG")
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    assert (width, height) == tuple((150 * figures["accuracy"].get_size_inches()).astype(int))
    pdf = plots.rendered(again, "pdf")
    assert pdf == plots.rendered(figures["accuracy"], "pdf")
    assert pdf.startswith(b"%PDF") and not re.search(rb"CreationDate", pdf)


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, recbole_samrec.compare.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
