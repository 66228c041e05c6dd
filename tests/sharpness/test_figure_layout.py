"""Panels, styles and legends of a report's figures."""

import pytest

from recbole_samrec.sharpness.figure_layout import (
    MISSED,
    NARROW,
    WIDE,
    draw_legend,
    make_panels,
    style_entries,
    thin_line,
    wrap_name,
)


@pytest.mark.parametrize("number, width, lines", [(1, NARROW, 1), (2, WIDE, 1), (3, WIDE, 2), (4, WIDE, 2)])
def test_make_panels__has_two_columns_and_no_empty_panel(number, width, lines):
    figure, panels = make_panels(number, 2.0)
    assert len(panels) == len(figure.axes) == number
    assert figure.get_size_inches().tolist() == pytest.approx([width, 2 * lines + 0.3])


def test_style_entries__differ_without_color():
    looks = style_entries([f"entry {number}" for number in range(6)])
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks.values()}) == 6
    assert looks["entry 0"]["color"] == "black" and looks["entry 1"]["color"] != "black"
    thin = thin_line(looks["entry 1"])
    assert thin["marker"] == "" and looks["entry 1"]["marker"] and thin["linestyle"] == looks["entry 1"]["linestyle"]


def test_draw_legend__fits_into_the_figure():
    labels = ["a very long name of an entry " * 2, "$x_1$", "c"]
    figure, _ = make_panels(1, 2.0)
    draw_legend(figure, style_entries(labels), missed=True)
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[1:] == [r"\$x_1\$", "c", MISSED] and texts[0].count("\n") == 1
    assert legend.get_window_extent().width <= figure.bbox.width


def test_wrap_name__breaks_long_names_and_shows_no_formula():
    assert wrap_name("a$b$") == r"a\$b\$"
    assert max(map(len, wrap_name("word " * 20).splitlines())) <= 36
