"""Pictures of the loss around runs: along a line and over a plane, all runs on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recbole_samrec.sharpness.figure_layout import (
    Drawn,
    legend,
    listed,
    looks_of,
    named,
    on_targets,
    panels,
    thin,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.colors import BoundaryNorm

    from recbole_samrec.sharpness.measure import Measured

COLOUR_MAP = "viridis"
HEIGHTS = 12
"""About how many contours there are."""
FURTHEST = 5.0
"""Heights are cut off at so many times the largest one of the flattest run, which would else show as a plain."""


@dataclass(frozen=True)
class Scale:
    """The scale of heights and colours that the surfaces of all runs share.

    Args:
        levels: Heights of the contours, ascending.
        colours: Which colour a height has.
        cut: Whether there are higher points, which have the colour and the height of the highest.
    """

    levels: np.ndarray
    colours: BoundaryNorm
    cut: bool

    @classmethod
    def of(cls, rises: Sequence[np.ndarray]) -> Scale:
        """The scale of some surfaces, given as heights above their centres; inf is cut off."""
        from matplotlib.colors import BoundaryNorm
        from matplotlib.ticker import MaxNLocator

        bottom, top = _range(rises)
        levels = MaxNLocator(HEIGHTS, steps=[1, 2, 2.5, 5, 10]).tick_values(bottom, top)
        cut = any((rise > levels[-1]).any() for rise in rises)
        return cls(levels, BoundaryNorm(levels, 256), cut)

    def __call__(self, rise: np.ndarray) -> np.ndarray:
        """Heights within the scale."""
        return np.clip(rise, self.levels[0], self.levels[-1])


def contours(runs: Sequence[Measured], scale: Scale) -> Drawn:
    """The loss over a plane of two random directions from above, all runs on one scale."""
    figure, all_axes = panels(len(runs), 3.0)
    for axes, run in zip(all_axes, runs, strict=True):
        surface = run.parts["surface"]
        heights = (surface["x"], surface["y"], scale(rise_of(surface)).T)
        filled = axes.contourf(*heights, scale.levels, cmap=COLOUR_MAP, norm=scale.colours)
        if ((scale.levels > heights[2].min()) & (scale.levels < heights[2].max())).any():  # else there is no contour
            lines = axes.contour(*heights, scale.levels, colors="white", linewidths=0.5)
            axes.clabel(lines, fontsize=6, fmt="%g")
        axes.plot(0, 0, "+", color="white", markersize=8)
        axes.set(title=wrapped(run.name), aspect="equal", xlabel="first direction", ylabel="second direction")
        axes.locator_params(nbins=4)
        axes.grid(visible=False)
    bar = figure.colorbar(filled, ax=all_axes, label="rise of the loss above the centre", shrink=0.8, aspect=35)
    bar.ax.tick_params(labelsize=8)
    caption = f"The loss around each run (+), seen from above; all on one scale of colours. {_plane(runs, scale)}"
    alt = f"Contour maps of the loss around {named(runs)}, on one scale."
    return Drawn("contours", "Loss surface from above", caption, alt, figure)


def surfaces(runs: Sequence[Measured], scale: Scale) -> Drawn:
    """The same planes in perspective, all runs with one range of heights and one scale of colours."""
    figure, all_axes = panels(len(runs), 3.1, projection="3d")
    for axes, run in zip(all_axes, runs, strict=True):
        surface = run.parts["surface"]
        x, y = np.meshgrid(surface["x"], surface["y"], indexing="ij")
        look = {"cmap": COLOUR_MAP, "norm": scale.colours, "edgecolor": "0.25", "linewidth": 0.2}
        axes.plot_surface(x, y, scale(rise_of(surface)), rcount=60, ccount=60, **look)
        axes.set(title=wrapped(run.name), zlim=(scale.levels[0], scale.levels[-1]))
        axes.set_xlabel("first direction", size=8, labelpad=-4)
        axes.set_ylabel("second direction", size=8, labelpad=-4)
        axes.set_zlabel("rise of the loss", size=8, labelpad=-2)
        axes.tick_params(labelsize=7, pad=-2)
        axes.locator_params(nbins=5)
        axes.set_box_aspect(None, zoom=0.88)  # the label of the heights is no part of the layout
    caption = (
        "The same planes from the side, with the rise of the loss for height; all with one range of heights and one "
        f"scale of colours. {_plane(runs, scale)}"
    )
    alt = f"Three-dimensional loss surfaces of {named(runs)}, with one range of heights."
    return Drawn("surfaces", "Loss surface from the side", caption, alt, figure)


def line(runs: Sequence[Measured]) -> Drawn:
    """The loss along one random direction."""
    looks = looks_of(runs)
    along = [rise_of(run.parts["line"]) for run in runs]
    bottom, top = _range(along)
    cut = any((rise > top).any() for rise in along)
    figure, (axes,) = panels(1, 3.2)
    for run, rise in zip(runs, along, strict=True):
        axes.plot(run.parts["line"]["x"], np.where(np.isfinite(rise), rise, np.nan), **thin(looks[run.label]))
    margin = 0.04 * (top - bottom)
    axes.set(
        xlabel="position, in lengths of the weights", ylabel="rise of the loss", ylim=(bottom - margin, top + margin)
    )
    legend(figure, looks)
    caption = (
        "The loss along one random direction that is as long as the weights, filter by filter, while biases and the "
        "weights of normalisation layers stay as they are; a line a run, whose weights are at 0."
        f"{' Higher points are cut off.' if cut else ''} {on_targets(runs)}"
    )
    return Drawn("line", "Along one direction", caption, f"Loss along a line through {listed(looks)}.", figure)


def rise_of(part: Mapping[str, np.ndarray]) -> np.ndarray:
    """The losses of a line or a surface above that of its centre, which is the run itself; inf where not finite."""
    loss = np.asarray(part["loss"], dtype=float)
    rise = loss - loss[tuple(length // 2 for length in loss.shape)]
    return np.where(np.isfinite(rise), rise, np.inf)


def _range(rises: Sequence[np.ndarray]) -> tuple[float, float]:
    """The heights that several runs are shown within; see :data:`FURTHEST`."""
    finite = [rise[np.isfinite(rise)] for rise in rises]
    finite = [heights for heights in finite if len(heights)] or [np.zeros(1)]
    tops = [float(heights.max()) for heights in finite]
    top = min(max(tops), FURTHEST * min(tops)) if min(tops) > 0 else max(tops)
    bottom = min(float(heights.min()) for heights in finite)
    top = top if top > 0 else abs(bottom) or 1.0
    return (bottom if bottom < -top / 50 else 0.0), top


def _plane(runs: Sequence[Measured], scale: Scale) -> str:
    """What the pictures of a plane have in common, in words."""
    cut = f" Points above {scale.levels[-1]:g}, or not finite, are cut off there." if scale.cut else ""
    return (
        "The plane is that of two random directions, as long as the weights, filter by filter; biases and the weights "
        f"of normalisation layers stay as they are.{cut} {on_targets(runs)}"
    )
