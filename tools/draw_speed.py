"""The picture of speed: seconds per epoch of RecBole and of packed training, as an SVG for light and for dark pages.

An ``<img>`` does not inherit the colors of its page, so that there is a file for each; ``<picture>`` chooses.
"""

from __future__ import annotations

from html import escape

from benchmarks import cases
from tools.speed_figures import MAIN, format_seconds, read_speed
from tools.svg import HUES, draw_text, make_drawing

PICTURE = "docs/images/speed-{theme}.svg"
"""Place of the file for a theme, from the top of the repository."""
THEMES = {"light": "#1f2328", "dark": "#e6edf3"}
"""Color of the text on a page."""
LABELS = {
    cases.RECBOLE: "RecBole",
    cases.SASREC: "packed",
    cases.SAMREC: "packed + SAM",
}
COLORS = {cases.RECBOLE: "#8b949e", cases.SASREC: HUES[0], cases.SAMREC: HUES[1]}
WIDTH, LEFT, LONGEST = 400, 116, 206
"""Width of the picture, place where bars begin, and length of the longest bar, in pixels."""
BAR, LINE, TITLE, GAP = 14, 21, 24, 12
"""Height of a bar, of a line, of a data set's name, and the space below a data set."""


def draw_speed(theme: str) -> str:
    """Return the picture.

    Args:
        theme: ``light`` or ``dark``.
    """
    parts, y = [draw_text(0, 8, "SASRec: seconds per epoch on two CPU cores", bold=True)], 30.0
    for name, settings in cases.DATASETS.items():
        length = settings["MAX_ITEM_LIST_LENGTH"]
        parts.append(draw_text(0, y + 8, f"{name}, sequences of up to {length} items"))
        y += TITLE
        for entry in MAIN:
            parts += _draw_entry(name, entry, y)
            y += LINE
        y += GAP
    return make_drawing(describe_speed(), WIDTH, y - GAP, parts, color=THEMES[theme])


def _draw_entry(dataset: str, entry: str, y: float) -> list[str]:
    """Return a bar whose length is a share of RecBole's, with its name before it and its seconds behind it."""
    speed = read_speed()
    line, longest = speed.loc[(dataset, entry)], speed.loc[(dataset, cases.RECBOLE), "seconds_per_epoch"]
    width = max(LONGEST * line["seconds_per_epoch"] / longest, 1)
    faster = "" if entry == cases.RECBOLE else f", {line['speedup']:.0f} times as fast"
    text = f"{format_seconds(line['seconds_per_epoch'])} s{faster}"
    return [
        draw_text(LEFT - 8, y + BAR / 2, LABELS[entry], anchor="end"),
        f'<rect x="{LEFT}" y="{y:g}" width="{width:.1f}" height="{BAR}" fill="{COLORS[entry]}"/>',
        draw_text(LEFT + width + 6, y + BAR / 2, text),
    ]


def render_picture() -> str:
    """Return the HTML that shows the file that suits the page."""
    dark, light = (PICTURE.format(theme=theme) for theme in ("dark", "light"))
    return (
        f'<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="{dark}">\n'
        f'  <img src="{light}" width="{WIDTH}"\n    alt="{escape(describe_speed())}">\n</picture>'
    )


def describe_speed() -> str:
    """Return the picture in words, for readers who do not see it."""
    speed = read_speed()["seconds_per_epoch"]
    parts = (f"{name} {', '.join(format_seconds(speed[name, entry]) for entry in MAIN)}" for name in cases.DATASETS)
    return f"Seconds per epoch of SASRec in RecBole, packed, and packed with SAM: {'; '.join(parts)}"
