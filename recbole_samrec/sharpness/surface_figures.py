"""Pictures of the loss around runs: along a line and over a plane, all runs on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from recbole_samrec.sharpness.figure_layout import (
    Drawn,
    choose_looks,
    draw_legend,
    make_panels,
    thin_line,
    wrap_name,
)

if TYPE_CHECKING:
    from matplotlib.colors import BoundaryNorm
    from mpl_toolkits.mplot3d.axes3d import Axes3D

    from recbole_samrec.sharpness.measure import Measured

COLOR_MAP = "viridis"
HEIGHTS = 12
"""About how many contours there are."""
FURTHEST = 5.0
"""Heights are cut off at this multiple of the largest one of the flattest run, which would otherwise look flat."""


@dataclass(frozen=True)
class Scale:
    """The scale of heights and colors that the surfaces of all runs share.

    Args:
        levels: Heights of the contours, ascending.
        colors: The color of each height.
        cut: Whether higher points are cut off; they have the color and the height of the highest level.
    """

    levels: np.ndarray
    colors: BoundaryNorm
    cut: bool

    @classmethod
    def fit(cls, rises: Sequence[np.ndarray]) -> Scale:
        """Fit the scale to surfaces, given as heights above their centers; inf is cut off."""
        from matplotlib.colors import BoundaryNorm
        from matplotlib.ticker import MaxNLocator

        bottom, top = _range(rises)
        levels = np.asarray(MaxNLocator(HEIGHTS, steps=[1, 2, 2.5, 5, 10]).tick_values(bottom, top))
        cut = any((rise > levels[-1]).any() for rise in rises)
        return cls(levels, BoundaryNorm(levels, 256), cut)

    def __call__(self, rise: np.ndarray) -> np.ndarray:
        """Heights within the scale."""
        return np.clip(rise, self.levels[0], self.levels[-1])


def draw_contours(runs: Sequence[Measured], scale: Scale) -> Drawn:
    """Draw the loss over a plane of two random directions from above, all runs on one scale."""
    figure, all_axes = make_panels(len(runs), 3.0)
    for axes, run in zip(all_axes, runs, strict=True):
        surface = run.parts["surface"]
        heights = (surface["x"], surface["y"], scale(compute_rise(surface)).T)
        filled = axes.contourf(*heights, scale.levels, cmap=COLOR_MAP, norm=scale.colors)
        if ((scale.levels > heights[2].min()) & (scale.levels < heights[2].max())).any():  # else no contour exists
            lines = axes.contour(*heights, scale.levels, colors="white", linewidths=0.5)
            axes.clabel(lines, fontsize=6, fmt="%g")
        axes.plot(0, 0, "+", color="white", markersize=8)
        axes.set(title=wrap_name(run.name), aspect="equal", xlabel="first direction", ylabel="second direction")
        axes.locator_params(nbins=4)
        axes.grid(visible=False)
    bar = figure.colorbar(filled, ax=all_axes, label="rise of the loss above the center", shrink=0.8, aspect=35)
    bar.ax.tick_params(labelsize=8)
    return Drawn("contours", figure)


def draw_surfaces(runs: Sequence[Measured], scale: Scale) -> Drawn:
    """Draw the same planes in perspective, all runs with one range of heights and one scale of colors."""
    figure, all_axes = make_panels(len(runs), 3.1, projection="3d")
    for axes, run in zip(cast("list[Axes3D]", all_axes), runs, strict=True):
        surface = run.parts["surface"]
        x, y = np.meshgrid(surface["x"], surface["y"], indexing="ij")
        look: dict[str, Any] = {"cmap": COLOR_MAP, "norm": scale.colors, "edgecolor": "0.25", "linewidth": 0.2}
        axes.plot_surface(x, y, scale(compute_rise(surface)), rcount=60, ccount=60, **look)
        axes.set(title=wrap_name(run.name), zlim=(scale.levels[0], scale.levels[-1]))
        axes.set_xlabel("first direction", size=8, labelpad=-4)
        axes.set_ylabel("second direction", size=8, labelpad=-4)
        axes.set_zlabel("rise of the loss", size=8, labelpad=-2)
        axes.tick_params(labelsize=7, pad=-2)
        axes.locator_params(nbins=5)
        axes.set_box_aspect(None, zoom=0.88)  # the layout ignores the label of the heights
    return Drawn("surfaces", figure)


def draw_line(runs: Sequence[Measured]) -> Drawn:
    """Draw the loss along one random direction."""
    looks = choose_looks(runs)
    along = [compute_rise(run.parts["line"]) for run in runs]
    bottom, top = _range(along)
    figure, (axes,) = make_panels(1, 3.2)
    for run, rise in zip(runs, along, strict=True):
        axes.plot(run.parts["line"]["x"], np.where(np.isfinite(rise), rise, np.nan), **thin_line(looks[run.label]))
    margin = 0.04 * (top - bottom)
    axes.set(
        xlabel="position, in lengths of the weights", ylabel="rise of the loss", ylim=(bottom - margin, top + margin)
    )
    draw_legend(figure, looks)
    return Drawn("line", figure)


def compute_rise(part: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the losses of a line or a surface above that of its center, the run itself; inf where not finite."""
    loss = np.asarray(part["loss"], dtype=float)
    rise = loss - loss[tuple(length // 2 for length in loss.shape)]
    return np.where(np.isfinite(rise), rise, np.inf)


def _range(rises: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the range of heights in which several runs are shown; see :data:`FURTHEST`."""
    finite = [rise[np.isfinite(rise)] for rise in rises]
    finite = [heights for heights in finite if len(heights)] or [np.zeros(1)]
    tops = [float(heights.max()) for heights in finite]
    top = min(max(tops), FURTHEST * min(tops)) if min(tops) > 0 else max(tops)
    bottom = min(float(heights.min()) for heights in finite)
    top = top if top > 0 else abs(bottom) or 1.0
    return (bottom if bottom < -top / 50 else 0.0), top
