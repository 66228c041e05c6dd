"""What the figures of a report have in common: panels, the looks of labels, legends, and words for their captions.

What tells labels apart is a line and a marker first and a colour second, so that figures print in grey; runs of one
label look alike.
"""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_samrec.compare.plots import COLOURS, GREY, INK, MARKERS, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recbole_samrec.sharpness.measure import Measured

DPI = 200
NARROW, WIDE = 5.0, 7.2
"""Widths of figures of one and of two columns, in inches: one that is narrow can be read on a phone as it is."""
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (9, 3)), (0, (3, 1, 1, 1, 1, 1)))
LONGEST = 45
"""Letters of a name in a line of a legend; more would not fit into a narrow figure."""
MISSED = "did not converge"


@dataclass(frozen=True)
class Drawn:
    """A figure and what is said of it.

    Args:
        name: Name of its files.
        title: Its heading.
        caption: What one sees, and of how much data.
        alt: A short description for those who do not see it.
        figure: The figure.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure

    @functools.cached_property
    def png(self) -> bytes:
        """The figure as PNG."""
        return rendered(self.figure, "png")

    @property
    def width(self) -> float:
        """Its width in inches."""
        return float(self.figure.get_figwidth())


def rendered(figure: Figure, form: str) -> bytes:
    """The bytes of a figure as ``png`` or ``pdf``; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {"CreationDate": None} if form == "pdf" else {"Software": None}
    with style():
        figure.savefig(buffer, format=form, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def panels(number: int, height: float, *, sharey: bool = False, **axes: Any) -> tuple[Figure, list[Axes]]:
    """A figure of one panel, or of several in two columns; pyplot, which asks for screens, is not needed.

    Args:
        number: How many panels.
        height: Of each, in inches.
        sharey: Whether all have the same range of heights.
        axes: More settings of the panels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(2, number)
    lines = -(-number // columns)
    figure = Figure(figsize=(NARROW if columns == 1 else WIDE, height * lines + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, squeeze=False, sharey=sharey, subplot_kw=axes).ravel()
    for spare in grid[number:]:
        spare.remove()
    return figure, list(grid[:number])


def offsets(number: int, width: float) -> Iterator[float]:
    """Places beside each other, around zero, so that points do not hide each other."""
    return iter(np.linspace(-width / 2, width / 2, number) if number > 1 else np.zeros(1))


def looks_of(runs: Sequence[Measured]) -> dict[str, dict[str, Any]]:
    """Colour, line and marker of each label of some runs, to be handed to matplotlib."""
    return styled(dict.fromkeys(run.label for run in runs))


def styled(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour, line and marker of each label; the first has ink."""
    colours = (INK, *COLOURS)
    return {
        label: {
            "color": colours[number % len(colours)],
            "linestyle": DASHES[number % len(DASHES)],
            "marker": MARKERS[number % len(MARKERS)],
            "markerfacecolor": "white" if number else INK,
            "markersize": 4.5,
            "linewidth": 1.2,
        }
        for number, label in enumerate(labels)
    }


def thin(look: Mapping[str, Any]) -> dict[str, Any]:
    """A line of many points."""
    return {**look, "marker": "", "linewidth": 1.0}


def legend(figure: Figure, looks: Mapping[str, dict[str, Any]], missed: bool = False) -> None:
    """What stands for which label, above the panels, in as many columns as the names leave room for."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **look) for look in looks.values()]
    names = [_plain(textwrap.fill(label, LONGEST)) for label in looks]
    if missed:
        handles.append(Line2D([], [], color=GREY, linestyle="", marker="x", markersize=7))
        names.append(MISSED)
    look = {"loc": "outside upper center", "handlelength": 3, "columnspacing": 1.5}
    for columns in range(min(3, len(names)), 0, -1):
        drawn = figure.legend(handles, names, ncols=columns, **look)
        if columns == 1 or drawn.get_window_extent(figure.canvas.get_renderer()).width <= figure.bbox.width:
            break
        drawn.remove()


def style() -> AbstractContextManager:
    """Settings under which figures are made and written."""
    import matplotlib.style

    return matplotlib.style.context(["default", STYLE])  # whatever the user's own matplotlibrc says


def on_targets(runs: Sequence[Measured]) -> str:
    """On how many training targets the loss is."""
    return f"On {counted(run.targets for run in runs)} training targets."


def slope_targets(run: Measured) -> tuple[int, int]:
    """On how many training targets the gradient and the rises along it are, and how many there are."""
    return int(run.parts["sharpness"]["targets"]), run.targets[1]


def counted(targets: Iterable[tuple[int, int]]) -> str:
    """So many of so many, of several runs."""
    return " and ".join(f"{some:,} of {all_of:,}" for some, all_of in dict.fromkeys(targets))


def listed(names: Iterable[str]) -> str:
    """One name or several as in a sentence."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def named(runs: Sequence[Measured]) -> str:
    """Which runs, in words."""
    seeds: dict[str, list[int]] = {}
    for run in runs:
        seeds.setdefault(run.label, []).append(run.seed)
    return listed(f"{label} (seed {', '.join(map(str, of_label))})" for label, of_label in seeds.items())


def wrapped(name: str) -> str:
    """A name as the title of a panel, in several lines where it is long."""
    return _plain(textwrap.fill(name, 36))


def _plain(text: str) -> str:
    """Text that matplotlib takes as it is, and not as a formula."""
    return text.replace("$", r"\$")
