"""Style of all figures; markers and lines distinguish entries without color, so that figures print in gray."""

from __future__ import annotations

import io
import logging
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from recbole_samrec.utils.home import use_own_home

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf")
INK, GRAY = "black", "0.45"
MARKERS = "Dos^vP<X>hp*d"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""The palette of Okabe and Ito for color-blind readers; the reference is drawn in ink."""
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # letters stay text; many publishers reject type 3 fonts
}


_OF_NO_INTEREST = ("temporary cache directory", "mkdir -p failed")


def _is_of_interest(record: logging.LogRecord) -> bool:
    """Filter out matplotlib's message about a temporary folder for fonts if there is no home directory."""
    return not any(words in str(record.msg) for words in _OF_NO_INTEREST)


logging.getLogger("matplotlib").addFilter(_is_of_interest)  # before the import, which logs the message


def use_style() -> AbstractContextManager:
    """Return a context in which figures are made and written, regardless of the user's matplotlibrc."""
    with use_own_home():
        import matplotlib.font_manager  # asks for a home directory up to matplotlib 3.9
        import matplotlib.style

    return matplotlib.style.context(["default", STYLE])


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure without pyplot, which keeps figures and needs a display.

    Args:
        width: In inches.
        height: In inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def render_figure(figure: Figure, form: str, dpi: int) -> bytes:
    """Return the bytes of a figure; the same figure gives the same bytes.

    Args:
        figure: The figure.
        form: ``png`` or ``pdf``.
        dpi: Dots per inch of a PNG.
    """
    buffer = io.BytesIO()
    metadata = {"CreationDate": None} if form == "pdf" else {"Software": None}
    with use_style():
        figure.savefig(buffer, format=form, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def spread_offsets(number: int, width: float) -> np.ndarray:
    """Return positions side by side around zero, so that points and error bars do not overlap."""
    return np.linspace(-width / 2, width / 2, number) if number > 1 else np.zeros(1)
