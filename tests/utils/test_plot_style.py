"""Figures look the same and have the same bytes on every machine."""

import matplotlib as mpl
import pytest

from recbole_samrec.utils.plot_style import new_figure, render_figure, spread_offsets, use_style


def draw(width=2, height=1):
    with use_style():
        figure = new_figure(width, height)
        figure.add_subplot().plot([0, 1], [1, 0])
    return figure


def test_use_style__overrides_a_users_matplotlibrc_and_ends():
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": False}):
        with use_style():
            assert mpl.rcParams["font.size"] == 9 and mpl.rcParams["axes.grid"]
            assert mpl.rcParams["lines.linewidth"] == mpl.rcParamsDefault["lines.linewidth"]
        assert mpl.rcParams["font.size"] == 30 and not mpl.rcParams["axes.grid"]


def test_new_figure__has_its_size_in_inches_and_is_not_kept():
    import matplotlib.pyplot as plt

    assert new_figure(3, 2).get_size_inches().tolist() == [3, 2]
    assert plt.get_fignums() == []


def test_render_figure__gives_the_same_bytes_without_dates():
    for form, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        content = render_figure(draw(), form, 50)
        assert content.startswith(start) and content == render_figure(draw(), form, 50)
        assert b"CreationDate" not in content and b"matplotlib version" not in content.lower()


def test_render_figure__has_as_many_dots_as_inches_times_dpi():
    content = render_figure(draw(2, 1), "png", 50)
    assert [int.from_bytes(content[at : at + 4], "big") for at in (16, 20)] == [100, 50]


@pytest.mark.parametrize("number, places", [(1, [0]), (2, [-0.3, 0.3]), (3, [-0.3, 0, 0.3])])
def test_spread_offsets__lie_evenly_around_zero(number, places):
    assert spread_offsets(number, 0.6).tolist() == pytest.approx(places)
