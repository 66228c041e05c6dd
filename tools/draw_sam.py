"""A drawing of what SAM does in a valley whose floor is sharp at one end and wide at the other.

All points of the floor are minima, as many solutions of a network fit its training data equally well.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recbole_samrec.optim.sam import SAM
from recbole_samrec.utils.plot_style import new_figure, use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

START, WIDEST = (0.4, 1.1), 3.0
"""Where training begins, and where on the floor the curvature is smallest."""
RATE, STEPS, RHO = 0.05, 1500, 0.4
"""Learning rate, number of steps, and radius."""
EARLY, SHOWN = 14, 60
"""First steps, which are drawn as a line, and steps from one mark to the next."""
INK = "#010203"
"""Stands for the color of the text of the page, which differs between light and dark pages."""
PLAIN, WITH_SAM = "#d97706", "#3b82f6"
"""Colors that are readable on white and on black."""
TITLE = "Gradient descent stops where it meets the floor of a valley; SAM moves on to where the valley is wide"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sam",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.grid": False,
    "font.size": 10,
}
SIZE = 4.6, 2.9
"""Inches; a phone shows it whole."""


def compute_curvature(along: Tensor) -> Tensor:
    """Compute the curvature across the valley at a place along it."""
    return 0.4 + 0.5 * (along - WIDEST) ** 2


def compute_loss(weights: Tensor) -> Tensor:
    """Compute the loss, 0 on the floor of the valley.

    Args:
        weights: The weight along the valley and that across it, shape ``[..., 2]``.
    """
    along, across = weights.unbind(-1)
    return 0.5 * compute_curvature(along) * across**2


def train(rho: float) -> np.ndarray:
    """Train the two weights by gradient descent with SAM.

    Args:
        rho: Radius; 0 is gradient descent alone.

    Returns:
        The weights before the first step and after each, shape ``[STEPS + 1, 2]``.
    """
    weights = torch.tensor(START, requires_grad=True)
    sam = SAM(torch.optim.SGD([weights], lr=RATE), rho=rho)

    def closure() -> Tensor:
        sam.zero_grad()
        loss = compute_loss(weights)
        loss.backward()
        return loss

    path = [weights.detach().numpy().copy()]
    for _ in range(STEPS):
        sam.step(closure)
        path.append(weights.detach().numpy().copy())
    return np.array(path)


def draw_sam() -> str:
    """Return the drawing as SVG, whose lines and letters have the color and the font of the text around it."""
    import matplotlib

    buffer = io.StringIO()
    with use_style(), matplotlib.rc_context(STYLE):
        figure = new_figure(*SIZE)
        _draw_valley(figure.add_subplot())
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = re.sub(r".*?<svg", "<svg", buffer.getvalue(), count=1, flags=re.DOTALL)
    svg = re.sub(r" *<metadata>.*?</metadata>", f"<title>{TITLE}</title>", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*; ?", "", svg)
    return svg.replace(INK, "currentColor")


def _draw_valley(axes: Axes) -> None:
    grid = torch.cartesian_prod(torch.linspace(-0.2, 4.2, 111), torch.linspace(-1.3, 1.3, 81)).view(111, 81, 2)
    along, across = grid.unbind(-1)
    levels = np.geomspace(0.02, 5, 9)
    axes.contour(along, across, compute_loss(grid), levels, colors=INK, linewidths=0.7, alpha=0.45)
    for rho, color, marker, name in ((RHO, WITH_SAM, "D", "SAM"), (0.0, PLAIN, "o", "gradient descent")):
        path = train(rho)
        early, late = path[:EARLY], path[::SHOWN]
        axes.plot(*early.T, color=color, linewidth=1.2)
        axes.plot(*late.T, marker, color=color, markersize=3.5)
        axes.plot(*path[-1], marker, color=color, markersize=9, label=name)
    axes.set(xlabel="weight along the valley", ylabel="weight across it", xticks=[], yticks=[])
    axes.legend(loc="lower right")
