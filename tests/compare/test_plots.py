import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare import plots
from recbole_samrec.compare.groups import build_group_table
from recbole_samrec.compare.tables import build_fraction_table, build_main_table
from recbole_samrec.experiments.results import Run
from tests.helpers.paths import ROOT

ENTRIES = ["SAMRec", "SASRec (RecBole's rows)", "GRU4Rec+SAM", "Pop"]


@pytest.fixture(scope="module")
def runs():
    generator = np.random.default_rng(0)
    made = []
    for number, row in enumerate(ENTRIES):
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
        "accuracy": plots.draw_accuracy(build_main_table(whole, ENTRIES), "tiny"),
        "groups": plots.draw_groups(build_group_table(whole), ENTRIES, "tiny"),
        "fractions": plots.draw_fractions(build_fraction_table(runs, ENTRIES), ENTRIES, "tiny"),
    }


def test_draw_accuracy_draws_the_table(runs, figures):
    table = build_main_table([run for run in runs if run.fraction == 1], ENTRIES)
    left, right = figures["accuracy"].axes
    for axes, metric in ((left, "ndcg@10"), (right, "hr@10")):
        assert axes.get_xlabel() == metric.upper()
        drawn = [bars.lines[0].get_xdata()[0] for bars in axes.containers]
        assert drawn == table[f"{metric}_mean"].tolist()
        ends = [bars.lines[2][0].get_segments()[0][:, 0] for bars in axes.containers]
        assert [(high - low) / 2 for low, high in ends] == pytest.approx(table[f"{metric}_std"].tolist())
    assert [label.get_text() for label in left.get_yticklabels()] == ENTRIES


@pytest.mark.parametrize("name", ["groups", "fractions"])
def test_draw_distinguishes_entries_without_color(figures, name):
    lines = [bars.lines[0] for bars in figures[name].axes[0].containers]
    assert len({line.get_marker() for line in lines}) == len(ENTRIES)
    assert [text.get_text() for text in figures[name].legends[0].get_texts()] == ENTRIES


def _ticks(axis):
    """Labels of the ticks within the axis; matplotlib also has ticks outside of it."""
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_visible()
    ]


@pytest.mark.parametrize("name", ["accuracy", "groups", "fractions"])
def test_draw_cuts_off_and_hides_nothing(figures, name):
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


def test_draw_groups_shows_all_dots_of_shared_axes():
    """Whichever panel has the largest values."""
    runs = []
    for seed in (1, 2):
        rank = np.r_[np.full(30, 15), np.full(30, 1)] + seed
        frame = pd.DataFrame({"rank": rank, "masked_rank": rank, "history": np.tile([4, 9], 30)})
        frame["popularity"] = np.repeat([1, 50], 30)  # the popular items alone are found
        runs.append(Run("SAMRec", "tiny", seed, 1.0, {}, frame, "test"))
    figure = plots.draw_groups(build_group_table(runs), ["SAMRec"], "tiny")
    for axes in figure.axes:
        low, high = axes.get_ylim()
        for line in axes.get_lines():
            y = np.asarray(line.get_ydata(), float)
            if line.get_transform() == axes.transData:
                assert low <= y.min() and y.max() <= high


@pytest.mark.slow
def test_plots_import_matplotlib_only_to_draw():
    code = "import sys, recbole_samrec.compare.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
