"""Shared parts of the figures of a report: panels, styles of entries, legends and captions.

Lines and markers distinguish entries, not only colors, so that figures print in gray; runs of one entry look alike.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recbole_samrec.sharpness import captions
from recbole_samrec.sharpness.entries import list_labels
from recbole_samrec.utils.plot_style import COLORS, GRAY, INK, MARKERS, new_figure, render_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recbole_samrec.sharpness.measure import Measured

DPI = 200
NARROW, WIDE = 5.0, 7.2
"""Widths of figures of one and of two columns, in inches: a narrow one can be read on a phone."""
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (9, 3)), (0, (3, 1, 1, 1, 1, 1)))
LONGEST = 45
"""Letters of a name in a line of a legend; more would not fit into a narrow figure."""
MISSED = "did not converge"


@dataclass(frozen=True)
class Drawn:
    """A figure with its fixed texts.

    Args:
        name: Name of its files, one of :data:`recbole_samrec.sharpness.captions.FIGURES`.
        figure: The figure.
    """

    name: str
    figure: Figure

    @property
    def caption(self) -> captions.Caption:
        """Its heading, caption and description."""
        return captions.FIGURES[self.name]

    @functools.cached_property
    def png(self) -> bytes:
        """The figure as PNG."""
        return render_figure(self.figure, "png", DPI)

    @property
    def width(self) -> float:
        """Its width in inches."""
        return float(self.figure.get_figwidth())


def make_panels(number: int, height: float, *, sharey: bool = False, **axes: Any) -> tuple[Figure, list[Axes]]:
    """Make a figure with one panel, or with several in two columns.

    Args:
        number: Number of panels.
        height: Of each, in inches.
        sharey: Whether all have the same range of heights.
        axes: More settings of the panels.
    """
    columns = min(2, number)
    lines = -(-number // columns)
    figure = new_figure(NARROW if columns == 1 else WIDE, height * lines + 0.3)
    grid = figure.subplots(lines, columns, squeeze=False, sharey=sharey, subplot_kw=axes).ravel()
    for spare in grid[number:]:
        spare.remove()
    return figure, list(grid[:number])


def choose_looks(runs: Sequence[Measured]) -> dict[str, dict[str, Any]]:
    """Return color, line and marker of each entry of some runs, as arguments of matplotlib."""
    return style_entries(list_labels(runs))


def style_entries(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return color, line and marker of each entry; the first one is black."""
    colors = (INK, *COLORS)
    return {
        label: {
            "color": colors[number % len(colors)],
            "linestyle": DASHES[number % len(DASHES)],
            "marker": MARKERS[number % len(MARKERS)],
            "markerfacecolor": "white" if number else INK,
            "markersize": 4.5,
            "linewidth": 1.2,
        }
        for number, label in enumerate(labels)
    }


def thin_line(look: Mapping[str, Any]) -> dict[str, Any]:
    """Return the style of a line with many points."""
    return {**look, "marker": "", "linewidth": 1.0}


def draw_legend(figure: Figure, looks: Mapping[str, dict[str, Any]], missed: bool = False) -> None:
    """Draw the legend above the panels, in as many columns as the names allow."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **look) for look in looks.values()]
    names = [_escape(textwrap.fill(label, LONGEST)) for label in looks]
    if missed:
        handles.append(Line2D([], [], color=GRAY, linestyle="", marker="x", markersize=7))
        names.append(MISSED)
    look: dict[str, Any] = {"loc": "outside upper center", "handlelength": 3, "columnspacing": 1.5}
    for columns in range(min(3, len(names)), 0, -1):
        drawn = figure.legend(handles, names, ncols=columns, **look)
        if columns == 1 or drawn.get_window_extent().width <= figure.bbox.width:
            break
        drawn.remove()


def wrap_name(name: str) -> str:
    """Return a name as the title of a panel, in several lines if it is long."""
    return _escape(textwrap.fill(name, 36))


def _escape(text: str) -> str:
    """Escape text so that matplotlib does not interpret it as a formula."""
    return text.replace("$", r"\$")
