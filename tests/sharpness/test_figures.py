import numpy as np
import pandas as pd
import pytest

from recbole_samrec.compare.formats import write_csv
from recbole_samrec.compare.tables import build_fraction_table
from recbole_samrec.experiments.results import Run
from recbole_samrec.sharpness import captions
from recbole_samrec.sharpness.aggregate import average_measures, list_meanings
from recbole_samrec.sharpness.figures import (
    draw_eigenvalues,
    draw_figures,
    draw_histories,
    draw_rises,
    draw_training_fractions,
)
from recbole_samrec.sharpness.surface_figures import FURTHEST, Scale, compute_rise
from tests.helpers.sharpness_runs import NASTY, NO_WAYS, make_measured

ALL = ["eigenvalues", "density", "rises", "contours", "surfaces", "line", "between", "noise", "histories", "training"]


@pytest.mark.slow
def test_draw_figures_writes_each_twice(drawn, folder):
    assert list(drawn) == ALL
    for name, one in drawn.items():
        assert (folder / "figures" / f"{name}.png").read_bytes() == one.png
        assert (folder / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert one.caption == captions.FIGURES[name]


@pytest.mark.slow
def test_draw_surfaces_on_one_scale(runs, drawn):
    """The flattest bowl rises by 0.8, the highest point is 2.8; the corner that is not finite is cut off."""
    scale = Scale.fit([compute_rise(run.parts["surface"]) for run in runs])
    assert scale.levels[0] == 0 and scale.levels[-1] >= 2.8 and scale.cut
    maps = [axes for axes in drawn["contours"].figure.axes if axes.get_title()]
    filled = [axes.collections[0] for axes in maps]
    assert len({id(one.norm) for one in filled}) == 1 and len(filled) == 6
    assert all(one.levels.tolist() == scale.levels.tolist() for one in filled)
    planes = drawn["surfaces"].figure.axes
    assert {axes.get_zlim() for axes in planes} == {(scale.levels[0], scale.levels[-1])}
    assert {id(axes.collections[0].norm) for axes in planes} == {id(filled[0].norm)}
    assert {(axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel()) for axes in planes} == {
        ("first direction", "second direction", "rise of the loss")
    }


def test_scale_cuts_off_far_steeper_surfaces():
    flat, steep = np.array([[0.0, 1.0]]), np.array([[0.0, 1000.0]])
    scale = Scale.fit([flat, steep])
    assert scale.levels[-1] == pytest.approx(FURTHEST) and scale.cut
    assert scale(steep).max() == scale.levels[-1]
    assert not Scale.fit([flat, 2 * flat]).cut


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_draw_figures_of_a_plain_without_warnings(tmp_path):
    runs = [make_measured("SASRec", 1), make_measured("SAMRec", 1, 0.01), make_measured("GRU4Rec", 1)]
    runs[2].parts["surface"]["loss"][:] = 5
    runs[2].parts["sharpness"]["random_worst"][:] = -1
    assert "rises" in {one.name for one in draw_figures(runs, NO_WAYS, tmp_path)}


def test_draw_distinguishes_entries_without_color(runs, drawn):
    axes = drawn["rises"].figure.axes[0]
    looks = [(line.get_linestyle(), line.get_marker(), line.get_color()) for line in axes.lines]
    assert looks[0] == looks[1] == looks[2] and looks[3] == looks[4] == looks[5]
    assert looks[0][0] != looks[3][0] and looks[0][1] != looks[3][1]
    assert axes.lines[0].get_ydata().tolist() == runs[0].parts["sharpness"]["ascent"].tolist()
    names = [entry.get_text() for entry in drawn["rises"].figure.legends[0].get_texts()]
    assert names == ["SASRec", NASTY.replace("$", r"\$")]


@pytest.mark.parametrize(
    "labels",
    [
        ("SAMRec, dropout 0.2", "SASRec, no dropout"),
        ("SAMRec, dropout 0.2", "SASRec, dropout 0.2", "SAMRec, no dropout", "SASRec, no dropout"),
        ("SAMRec", "a label that is by far too long to stand in one line of the legend of a narrow figure"),
        tuple("ABCDEF"),
    ],
)
def test_draw_legend_stays_within_the_figure(labels):
    runs = [make_measured(label, 1, converged=number > 0) for number, label in enumerate(labels)]
    for drawn in (draw_eigenvalues(runs), draw_rises(runs)):
        (legend,) = drawn.figure.legends
        assert drawn.png  # which lays it out
        box, whole = legend.get_window_extent(), drawn.figure.bbox
        assert 0 <= box.x0 < box.x1 <= whole.width and 0 <= box.y0 < box.y1 <= whole.height
        assert len(legend.get_texts()) >= len(labels)


def test_draw_eigenvalues_crosses_what_did_not_converge(drawn):
    crosses = [line for line in drawn["eigenvalues"].figure.axes[0].lines if line.get_marker() == "x"]
    assert [value for line in crosses for value in line.get_ydata()] == [4.0 * 0.5]
    crosses = [line for line in drawn["training"].figure.axes[0].lines if line.get_marker() == "x"]
    assert [epoch for line in crosses for epoch in line.get_xdata()] == [5]  # as a reader counts them


def test_draw_noise_has_bars_over_draws_and_seeds(runs, drawn):
    bars = drawn["noise"].figure.axes[0].containers[0]
    expected = pd.concat([run.noise for run in runs[:3]]).groupby("level")["ndcg@10"]
    assert bars.lines[0].get_ydata() == pytest.approx(expected.mean().to_numpy())
    heights = [high - low for low, high in (part[:, 1] for part in bars.lines[2][0].get_segments())]
    assert np.array(heights) / 2 == pytest.approx(expected.std().fillna(0).to_numpy())


def test_draw_figures_without_histories(tmp_path):
    runs = [make_measured("BPR", 1, reads=False, model="BPR")]
    found = [one.name for one in draw_figures(runs, NO_WAYS, tmp_path / "figures")]
    assert found == [name for name in ALL if name not in ("between", "histories", "training")]
    assert not average_measures(runs)["measure"].str.contains("dropped").any()
    assert not any("dropped" in name for name in list_meanings(runs))
    drawn = draw_histories([*runs, make_measured("SASRec", 1)])
    assert [text.get_text() for text in drawn.figure.legends[0].get_texts()] == ["SASRec"]


@pytest.mark.slow
def test_draw_fractions_of_compares_table(tmp_path, runs):
    """The table is what ``compare`` writes; users have rank 1 with all of the data, half of them with half of it."""
    compared = [
        Run("SASRec", "tiny", 1, share, {}, pd.DataFrame({"rank": [1, worse], "masked_rank": 1}), "hash")
        for share, worse in ((0.5, 99), (1.0, 1))
    ]
    (tmp_path / "fractions.csv").write_text(write_csv(build_fraction_table(compared, ["SASRec"])), encoding="utf-8")
    shares = pd.read_csv(tmp_path / "fractions.csv")
    axes = draw_training_fractions(shares, "ndcg@10").figure.axes[0]
    assert axes.containers[0].lines[0].get_xdata().tolist() == [50, 100]
    assert axes.containers[0].lines[0].get_ydata().tolist() == [0.5, 1]
    assert draw_figures(runs[:1], NO_WAYS, tmp_path, shares=shares)[-1].name == "fractions"
    assert draw_training_fractions(shares, "auc") is None
