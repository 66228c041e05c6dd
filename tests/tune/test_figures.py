"""The figures of a search have round ticks, and show the best trials in front."""

import numpy as np
import pandas as pd
import pytest

from recbole_samrec.config.parameters import Parameter
from recbole_samrec.tune import figures
from tests.helpers.trials import RATE, trials


def test_even_ticks__are_round_and_enclose_the_values():
    rates = np.array([0.00031622776, 0.0004, 0.0005, 0.0006, 0.0007, 0.0008, 0.009])
    axis = figures._make_number_axis("learning_rate", np.log10(rates), logarithmic=True)
    assert axis["ticktext"] == ["0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01"]
    np.testing.assert_allclose(axis["tickvals"], np.log10([2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2]))
    assert figures._place_even_ticks(0.051, 0.0649) == pytest.approx([0.05, 0.055, 0.06, 0.065])
    assert figures._make_number_axis("n", np.array([3.0, 3.0]), logarithmic=False)["range"] == [2.5, 3.5]


@pytest.mark.parametrize("low", [1e-5, 0.0123, 0.3, 1.0, 7.7])
@pytest.mark.parametrize("ratio", [1, 1.3, 1.99, 2, 7, 900, 3e4, 1e6])
def test_logarithmic_ticks__enclose_any_values(low, ratio):
    ends = np.log10([low, low * ratio])
    ticks = np.log10(figures._place_logarithmic_ticks(*ends))
    assert ticks[0] <= ends[0] + 1e-12 and ends[1] - 1e-12 <= ticks[-1]
    assert len(ticks) <= 11


def test_make_axis__spaces_choices_evenly_by_name():
    axis = figures._make_axis(pd.Series([0.1, 0, 0.001, 0.1]), Parameter("weight_decay", "choice", (0, 0.001, 0.1)))
    assert axis["ticktext"] == ["0", "0.001", "0.1"]
    assert list(axis["values"]) == [2, 0, 1, 2]
    axis = figures._make_axis(pd.Series([True, False]), Parameter("flag", "choice", (True, False)))
    assert axis["ticktext"] == ["False", "True"]
    axis = figures._make_axis(pd.Series([["b"], ["a", "b"], ["b"]]), Parameter("lists", "choice", (["b"], ["a", "b"])))
    assert axis["ticktext"] == ["['a', 'b']", "['b']"]


@pytest.mark.parametrize("bigger", [True, False])
def test_draw_parallel__has_the_best_lines_dark_and_in_front(bigger):
    table = trials(12)
    line = figures.draw_parallel(table, [RATE], "ndcg@10", bigger).data[0].line
    best = table["score"].idxmax() if bigger else table["score"].idxmin()
    assert np.argmax(line.color) == best and line.cmax == line.color[best]  # plotly draws the greatest number last
    brightness = [sum(int(shade[at : at + 2], 16) for at in (1, 3, 5)) for _, shade in line.colorscale]
    assert brightness[-1] == min(brightness)
    shown = [float(one) for one in line.colorbar.ticktext]
    assert [abs(one) for one in line.colorbar.tickvals] == pytest.approx(np.abs(shown))


@pytest.mark.parametrize("bigger, best", [(True, [0.2, 0.3, 0.3, 0.4]), (False, [0.2, 0.2, 0.1, 0.1])])
def test_draw_history__steps_with_every_better_trial(bigger, best):
    table = trials(4).assign(score=[0.3, 0.2, 0.4, 0.1], ended=[120.0, 60.0, 240.0, 180.0])
    line, finished, early = figures.draw_history(table, "ndcg@10", bigger).data
    assert line.line.shape == "hv"
    assert list(line.x) == [1, 2, 3, 4]
    assert list(line.y) == best
    assert sorted(finished.y) == [0.1, 0.2, 0.3] and list(early.y) == [0.4]
    assert finished.marker.symbol != early.marker.symbol


def test_draw_bars__keeps_whiskers_on_the_axis():
    shares = pd.DataFrame({"parameter": ["a", "b"], "importance": [0.5, 0.1], "spread": [0.2, 0.3]})
    (bars,) = figures.draw_bars(shares).data
    assert list(bars.y) == ["b", "a"]  # plotly counts from below
    assert list(bars.error_x.array) == [0.3, 0.2]
    assert list(bars.error_x.arrayminus) == [0.1, 0.2]
