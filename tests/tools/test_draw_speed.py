"""The picture of speed shows every measured second, in proportion, and within its frame."""

from html import escape
from xml.etree import ElementTree

import pytest

from benchmarks import cases
from tools.draw_speed import LEFT, LONGEST, THEMES, WIDTH, describe_speed, draw_speed, render_picture
from tools.speed_figures import MAIN, format_seconds, read_speed

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("theme", THEMES)
def test_draw_speed__has_bars_in_proportion(theme):
    root = ElementTree.fromstring(draw_speed(theme))
    assert root.get("color") == THEMES[theme]
    bars = [float(bar.get("width")) for bar in root.findall(f"{SVG}rect")]
    seconds = read_speed()["seconds_per_epoch"]
    shares = [seconds[name, entry] / seconds[name, cases.RECBOLE] for name in cases.DATASETS for entry in MAIN]
    assert bars == pytest.approx([max(LONGEST * share, 1) for share in shares], abs=0.05)
    assert LEFT + LONGEST < WIDTH
    assert max(float(text.get("y")) for text in root.iter(f"{SVG}text")) < float(root.get("height"))


def test_draw_speed__and_its_description_have_all_seconds():
    seconds = read_speed()["seconds_per_epoch"]
    text = "".join(ElementTree.fromstring(draw_speed("light")).itertext())
    for name in cases.DATASETS:
        for entry in MAIN:
            assert f"{format_seconds(seconds[name, entry])} s" in text
            assert format_seconds(seconds[name, entry]) in describe_speed()


def test_render_picture__names_both_files():
    html = render_picture()
    assert 'srcset="docs/images/speed-dark.svg"' in html and 'src="docs/images/speed-light.svg"' in html
    assert f'alt="{escape(describe_speed())}"' in html
