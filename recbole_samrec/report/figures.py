"""The figures of a sharpness report, drawn from arrays; runs of one label share colour, line and marker.

What tells labels apart is a line and a marker first and a colour second, so that figures print in grey. Surfaces of all
runs share one scale of heights and colours. Estimates that did not converge are crosses, not points.
"""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recbole_samrec import checkpoint
from recbole_samrec.compare.plots import COLOURS, FORMATS, GREY, INK, MARKERS, STYLE
from recbole_samrec.report.summary import common_metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import BoundaryNorm
    from matplotlib.figure import Figure

    from recbole_samrec.report.measure import Measured

DPI = 200
NARROW, WIDE = 5.0, 7.2
"""Widths of figures of one and of two columns, in inches: one that is narrow can be read on a phone as it is."""
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (9, 3)), (0, (3, 1, 1, 1, 1, 1)))
SURFACE_COLOURS = "viridis"
HEIGHTS = 12
"""About how many contours there are."""
FURTHEST = 5.0
"""Heights are cut off at so many times the largest one of the flattest run, which would else show as a plain."""
FAINTEST = 1e-7
"""Share of its peak down to which a density is shown; below it is the smoothing of single values."""
MISSED = "did not converge"
CHANGES = {
    "dropped": "events dropped",
    "replaced": "events replaced at random",
    "swapped": "neighbours swapped",
    "cut off": "beginning cut off",
}


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


def draw(
    runs: Sequence[Measured], between: pd.DataFrame, folder: Path, *, shares: pd.DataFrame | None = None
) -> list[Drawn]:
    """Draw all figures that there is something to draw for, and write each as PNG and PDF.

    Args:
        runs: Up to six runs on one data set.
        between: The loss on the lines between runs, as :func:`recbole_samrec.report.measure.ways_between` gives it.
        folder: Where the files go.
        shares: A metric against the share of training data; see :func:`fractions`.

    Returns:
        The figures in the order of a page.

    Raises:
        DataError: The runs have no test metric in common.
    """
    scale = Scale.of([rise_of(run.parts["surface"]) for run in runs])
    with _style():
        drawn = [
            eigenvalues(runs),
            density(runs),
            rises(runs),
            contours(runs, scale),
            surfaces(runs, scale),
            line(runs),
            ways(runs, between),
            noise(runs),
            histories(runs),
            training(runs),
            fractions(shares),
        ]
    found = [one for one in drawn if one is not None]
    folder.mkdir(parents=True, exist_ok=True)
    for one in found:
        for form in FORMATS:
            with checkpoint.writing(folder / f"{one.name}.{form}") as file:
                file.write(one.png if form == "png" else rendered(one.figure, form))
    return found


def rendered(figure: Figure, form: str) -> bytes:
    """The bytes of a figure as ``png`` or ``pdf``; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {"CreationDate": None} if form == "pdf" else {"Software": None}
    with _style():
        figure.savefig(buffer, format=form, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def eigenvalues(runs: Sequence[Measured]) -> Drawn:
    """The top eigenvalues of each run by their rank; those that did not converge are crosses."""
    looks, missed = _looks(runs), False
    figure, (axes,) = _panels(1, 3.4)
    for run, offset in zip(runs, _offsets(len(runs), 0.3), strict=True):
        values, converged = (np.asarray(run.parts["curvature"][name]) for name in ("values", "converged"))
        look, rank = looks[run.label], np.arange(1, len(values) + 1) + offset
        axes.plot(rank, values, **{**look, "marker": "", "alpha": 0.5})
        axes.plot(rank[converged], values[converged], **{**look, "linestyle": ""})
        axes.plot(rank[~converged], values[~converged], color=look["color"], linestyle="", marker="x", markersize=7)
        missed |= not converged.all()
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="rank", ylabel="eigenvalue of the Hessian")
    _legend(figure, looks, missed)
    crosses = f" Crosses {MISSED}: they are rough estimates, not results." if missed else ""
    caption = f"The largest eigenvalues, a line a run. The higher, the sharper the minimum.{crosses} {_sample(runs)}"
    return Drawn("eigenvalues", "Top eigenvalues", caption, f"Eigenvalues by rank of {_names(looks)}.", figure)


def density(runs: Sequence[Measured]) -> Drawn:
    """The spectral density of each run, on a logarithmic scale."""
    looks = _looks(runs)
    figure, (axes,) = _panels(1, 3.4)
    for run in runs:
        curvature = run.parts["curvature"]
        axes.semilogy(curvature["grid"], curvature["density"], **_thin(looks[run.label]))
    peak = max(float(run.parts["curvature"]["density"].max()) for run in runs)
    axes.set_ylim(FAINTEST * peak, 3 * peak)
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.set(xlabel="eigenvalue", ylabel="density (logarithmic)")
    _legend(figure, looks)
    caption = (
        "How the eigenvalues of the Hessian are distributed, a line a run: most lie near 0, the few on the right are "
        f"the sharp directions, those below 0 are where the loss bends down. {_sample(runs)}"
    )
    return Drawn("density", "Spectral density", caption, f"Spectral densities of {_names(looks)}.", figure)


def rises(runs: Sequence[Measured]) -> Drawn:
    """The rise of the loss against the radius, a panel for each way to leave the minimum, both axes logarithmic."""
    looks, below = _looks(runs), False
    panels = {
        "SAM's ascent step": ("rhos", "ascent"),
        "worst random direction": ("rhos", "random_worst"),
        "adaptive ascent step": ("adaptive_rhos", "adaptive_ascent"),
        "worst found, adaptive": ("adaptive_rhos", "adaptive_worst"),
    }
    figure, all_axes = _panels(len(panels), 2.6)
    for axes, (title, (radii, name)) in zip(all_axes, panels.items(), strict=True):
        for run in runs:
            radius, rise = (np.asarray(run.parts["sharpness"][part], dtype=float) for part in (radii, name))
            shown = (rise > 0) & np.isfinite(rise)
            below |= not shown.all()
            axes.loglog(radius[shown], rise[shown], **looks[run.label])
        axes.set(title=title, xlabel="rho" if radii == "rhos" else "rho, in units of each weight")
        axes.set_xticks(radius, [f"{one:g}" for one in radius])
        axes.minorticks_off()
        axes.set_ylabel("rise of the loss")
    _legend(figure, looks)
    left_out = " Rises that are not above 0, or not finite, cannot be shown on these axes." if below else ""
    caption = (
        "By how much the loss rises at a distance rho, a line a run. The lower half counts each weight's move in units "
        "of that weight and does not change when layers are rescaled; the upper half does, and misleads alone."
        f"{left_out} {_sample(runs)}"
    )
    return Drawn("rises", "Rise of the loss", caption, f"Rise of the loss against rho for {_names(looks)}.", figure)


def contours(runs: Sequence[Measured], scale: Scale) -> Drawn:
    """The loss over a plane of two random directions from above, all runs on one scale."""
    figure, all_axes = _panels(len(runs), 3.0)
    for axes, run in zip(all_axes, runs, strict=True):
        surface = run.parts["surface"]
        heights = (surface["x"], surface["y"], scale(rise_of(surface)).T)
        filled = axes.contourf(*heights, scale.levels, cmap=SURFACE_COLOURS, norm=scale.colours)
        if np.ptp(heights[2]) > 0:
            lines = axes.contour(*heights, scale.levels, colors="white", linewidths=0.5)
            axes.clabel(lines, fontsize=6, fmt="%g")
        axes.plot(0, 0, "+", color="white", markersize=8)
        axes.set(title=_wrapped(run.name), aspect="equal", xlabel="first direction", ylabel="second direction")
        axes.locator_params(nbins=4)
        axes.grid(visible=False)
    bar = figure.colorbar(filled, ax=all_axes, label="rise of the loss above the centre", shrink=0.8, aspect=35)
    bar.ax.tick_params(labelsize=8)
    caption = f"The loss around each run (+), seen from above; all on one scale of colours. {_plane(runs, scale)}"
    alt = f"Contour maps of the loss around {_runs(runs)}, on one scale."
    return Drawn("contours", "Loss surface from above", caption, alt, figure)


def surfaces(runs: Sequence[Measured], scale: Scale) -> Drawn:
    """The same planes in perspective, all runs with one range of heights and one scale of colours."""
    figure, all_axes = _panels(len(runs), 3.1, projection="3d")
    for axes, run in zip(all_axes, runs, strict=True):
        surface = run.parts["surface"]
        x, y = np.meshgrid(surface["x"], surface["y"], indexing="ij")
        look = {"cmap": SURFACE_COLOURS, "norm": scale.colours, "edgecolor": "0.25", "linewidth": 0.2}
        axes.plot_surface(x, y, scale(rise_of(surface)), rcount=60, ccount=60, **look)
        axes.set(title=_wrapped(run.name), zlim=(scale.levels[0], scale.levels[-1]))
        axes.tick_params(labelsize=7, pad=-2)
        axes.locator_params(nbins=5)
        axes.set_box_aspect(None, zoom=0.98)
    caption = (
        "The same planes from the side, with the rise of the loss for height; all with one range of heights and one "
        f"scale of colours. {_plane(runs, scale)}"
    )
    alt = f"Three-dimensional loss surfaces of {_runs(runs)}, with one range of heights."
    return Drawn("surfaces", "Loss surface from the side", caption, alt, figure)


def line(runs: Sequence[Measured]) -> Drawn:
    """The loss along one random direction."""
    looks = _looks(runs)
    along = [rise_of(run.parts["line"]) for run in runs]
    bottom, top = _range(along)
    cut = any((rise > top).any() for rise in along)
    figure, (axes,) = _panels(1, 3.2)
    for run, rise in zip(runs, along, strict=True):
        axes.plot(run.parts["line"]["x"], np.where(np.isfinite(rise), rise, np.nan), **_thin(looks[run.label]))
    margin = 0.04 * (top - bottom)
    axes.set(
        xlabel="position, in lengths of the weights", ylabel="rise of the loss", ylim=(bottom - margin, top + margin)
    )
    _legend(figure, looks)
    caption = (
        "The loss along one random direction that is as long as the weights, filter by filter; a line a run, whose "
        f"weights are at 0.{' Higher points are cut off.' if cut else ''} {_sample(runs)}"
    )
    return Drawn("line", "Along one direction", caption, f"Loss along a line through {_names(looks)}.", figure)


def ways(runs: Sequence[Measured], between: pd.DataFrame) -> Drawn | None:
    """The loss on the straight lines from the first run to others."""
    if between.empty:
        return None
    looks, run_of = _looks(runs), {run.name: run for run in runs}
    others = [run_of[name] for name in dict.fromkeys(between["second"])]
    figure, (axes,) = _panels(1, 3.2)
    for second, way in between.groupby("second", sort=False):
        loss = way["loss"].astype(float)
        axes.plot(way["position"], loss.where(np.isfinite(loss)), **_thin(looks[run_of[second].label]))
    for end in (0, 1):
        axes.axvline(end, color=GREY, linewidth=0.6)
    first = between["first"].iloc[0]
    axes.set(xlabel="0 is the first run, 1 the other one", ylabel="training loss of the first run")
    _legend(figure, {run.label: looks[run.label] for run in others})
    caption = (
        f"The loss on the straight line from {first} to {_runs(others)}, a line each. A hill between 0 and 1 parts two "
        f"minima; runs of other seeds have one almost always. {_sample(runs)}"
    )
    return Drawn("between", "Between two runs", caption, f"Loss on the way from {first} to {_runs(others)}.", figure)


def noise(runs: Sequence[Measured]) -> Drawn:
    """The test metric against noise on the weights."""
    metric, looks = common_metric(runs), _looks(runs)
    figure, (axes,) = _panels(1, 3.2)
    _with_bars(axes, runs, looks, lambda run: run.noise, metric)
    axes.set(xlabel="noise, as a share of the size of the weights", ylabel=f"{metric.upper()} on test")
    _legend(figure, looks)
    caption = (
        f"{metric.upper()} of the test set with Gaussian noise on all weights: the mean over {_draws(runs)}, and one "
        "standard deviation. The longer a line stays up, the more robust the model."
    )
    alt = f"{metric.upper()} against noise on the weights for {_names(looks)}."
    return Drawn("noise", "Noise on the weights", caption, alt, figure)


def histories(runs: Sequence[Measured]) -> Drawn | None:
    """The test metric against changes of the test histories, a panel for each kind; None where no run reads any."""
    read = [run for run in runs if len(run.changes)]
    if not read:
        return None
    metric, looks = common_metric(runs), _looks(runs)
    kinds = list(dict.fromkeys(read[0].changes["change"]))
    figure, all_axes = _panels(len(kinds), 2.6, sharey=True)
    for axes, kind in zip(all_axes, kinds, strict=True):
        _with_bars(axes, read, looks, lambda run, kind=kind: run.changes[run.changes["change"] == kind], metric)
        axes.set(title=CHANGES.get(kind, kind), xlabel="share of a history", ylabel=f"{metric.upper()} on test")
    _legend(figure, {run.label: looks[run.label] for run in read})
    unread = list(dict.fromkeys(run.label for run in runs if not len(run.changes)))
    absent = f" Not shown: {_names(unread)}, which read no histories." if unread else ""
    caption = (
        f"{metric.upper()} of the test set when histories are disturbed before the model sees them: the mean over "
        f"{_draws(read)} (nothing is drawn where they are cut off), and one standard deviation.{absent}"
    )
    alt = f"{metric.upper()} against the share of changed events for {_names(looks)}."
    return Drawn("histories", "Changed histories", caption, alt, figure)


def training(runs: Sequence[Measured]) -> Drawn | None:
    """How sharp the minimum was during training, of the runs that recorded it; None where none did."""
    tracked = [run for run in runs if run.record.get("sharpness")]
    if not tracked:
        return None
    looks, missed = _looks(runs), False
    panels = {
        "top_eigenvalue": "top eigenvalue",
        "ascent_rise": "rise after SAM's step",
        "gradient_norm": "gradient norm",
    }
    figure, all_axes = _panels(len(panels), 2.6)
    for axes, (column, title) in zip(all_axes, panels.items(), strict=True):
        for run in tracked:
            history, look = pd.DataFrame(run.record["sharpness"]), looks[run.label]
            sure = history["converged"].astype(bool) | (column != "top_eigenvalue")
            epoch, value = history["epoch"] + 1, history[column]
            axes.plot(epoch, value, **{**look, "marker": ""})
            axes.plot(epoch[sure], value[sure], **{**look, "linestyle": ""})
            axes.plot(epoch[~sure], value[~sure], color=look["color"], linestyle="", marker="x", markersize=7)
            missed |= not sure.all()
            if (best := run.record.get("best_epoch")) is not None:
                axes.axvline(best + 1, color=look["color"], linestyle=look["linestyle"], linewidth=0.7, alpha=0.6)
        axes.set(title=title, xlabel="epoch")
    _legend(figure, {run.label: looks[run.label] for run in tracked}, missed)
    rhos = {run.label: run.record["sharpness"][-1]["rho"] for run in tracked}
    radii = ", ".join(f"{rho:g} for {label}" for label, rho in rhos.items())
    comparable = "" if len(set(rhos.values())) == 1 else ", so that the rises are not of equal steps"
    caption = (
        f"Measured while the models were trained, a line a run; rho is {radii}{comparable}. Upright lines mark the "
        f"best epochs, whose weights all other figures show.{' Crosses ' + MISSED + '.' if missed else ''}"
    )
    return Drawn("training", "During training", caption, f"Sharpness by epoch of {_names(looks)}.", figure)


def fractions(shares: pd.DataFrame | None) -> Drawn | None:
    """A test metric against the share of the users that models were trained on; None without a table.

    Args:
        shares: Columns ``row``, ``fraction``, ``metric``, ``mean`` and ``std``; of several metrics NDCG@10 is drawn,
            or else the first.
    """
    if shares is None or shares.empty:
        return None
    metrics = list(shares["metric"])
    metric = "ndcg@10" if "ndcg@10" in metrics else metrics[0]
    table = shares[shares["metric"] == metric]
    looks = _looks_of(dict.fromkeys(table["row"]))
    figure, (axes,) = _panels(1, 3.2)
    for (row, look), offset in zip(looks.items(), _offsets(len(looks), 1.5), strict=True):
        part = table[table["row"] == row].sort_values("fraction")
        axes.errorbar(100 * part["fraction"] + offset, part["mean"], part["std"].fillna(0), capsize=2, **look)
    axes.set(xlabel="users trained on, %", ylabel=f"{metric.upper()} on test")
    _legend(figure, looks)
    caption = (
        f"{metric.upper()} of the test set by the share of the users that models were trained on: the mean over seeds, "
        "and one standard deviation. These are other runs than those above."
    )
    alt = f"{metric.upper()} against the share of training users for {_names(looks)}."
    return Drawn("fractions", "Share of the training data", caption, alt, figure)


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


def _with_bars(
    axes: Axes,
    runs: Sequence[Measured],
    looks: Mapping[str, dict[str, Any]],
    table_of: Callable[[Measured], pd.DataFrame],
    metric: str,
) -> None:
    """Mean and standard deviation of a metric over draws and seeds at each level, a line a label, side by side."""
    labels = list(dict.fromkeys(run.label for run in runs))
    for label, offset in zip(labels, _offsets(len(labels), 0.012), strict=True):
        table = pd.concat([table_of(run) for run in runs if run.label == label])
        found = table.groupby("level")[metric].agg(["mean", "std"]).fillna({"std": 0})
        axes.errorbar(found.index + offset, found["mean"], found["std"], capsize=2, **looks[label])


def _looks(runs: Sequence[Measured]) -> dict[str, dict[str, Any]]:
    return _looks_of(dict.fromkeys(run.label for run in runs))


def _looks_of(labels: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
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


def _thin(look: Mapping[str, Any]) -> dict[str, Any]:
    """A line of many points."""
    return {**look, "marker": "", "linewidth": 1.0}


def _legend(figure: Figure, looks: Mapping[str, dict[str, Any]], missed: bool = False) -> None:
    """What stands for which label, above the panels."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **look) for look in looks.values()]
    names = [_plain(label) for label in looks]
    if missed:
        handles.append(Line2D([], [], color=GREY, linestyle="", marker="x", markersize=7))
        names.append(MISSED)
    figure.legend(handles, names, loc="outside upper center", ncols=min(3, len(names)), handlelength=3)


def _panels(number: int, height: float, *, sharey: bool = False, **axes: Any) -> tuple[Figure, list[Axes]]:
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


def _offsets(number: int, width: float) -> Iterator[float]:
    """Places beside each other, around zero, so that points do not hide each other."""
    return iter(np.linspace(-width / 2, width / 2, number) if number > 1 else np.zeros(1))


def _style() -> AbstractContextManager:
    import matplotlib.style

    return matplotlib.style.context(["default", STYLE])  # whatever the user's own matplotlibrc says


def _sample(runs: Sequence[Measured]) -> str:
    """On how many training targets the loss is."""
    counts = dict.fromkeys(run.targets for run in runs)
    return f"On {' and '.join(f'{some:,} of {all_of:,}' for some, all_of in counts)} training targets."


def _plane(runs: Sequence[Measured], scale: Scale) -> str:
    """What the pictures of a plane have in common, in words."""
    cut = f" Points above {scale.levels[-1]:g}, or not finite, are cut off there." if scale.cut else ""
    return f"The plane is that of two random directions, as long as the weights, filter by filter.{cut} {_sample(runs)}"


def _draws(runs: Sequence[Measured]) -> str:
    """How many draws and runs a mean is over."""
    draws = 1 + int(max(run.noise["draw"].max() for run in runs))
    seeds = sorted({sum(one.label == run.label for one in runs) for run in runs})
    counted = " or ".join(map(str, seeds)) + (" run" if seeds == [1] else " runs")
    return f"{draws} {'draw' if draws == 1 else 'draws'} of each level and {counted} of each label"


def _names(names: Any) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _runs(runs: Sequence[Measured]) -> str:
    """Which runs, in words."""
    seeds: dict[str, list[int]] = {}
    for run in runs:
        seeds.setdefault(run.label, []).append(run.seed)
    return _names(f"{label} (seed {', '.join(map(str, of_label))})" for label, of_label in seeds.items())


def _wrapped(name: str) -> str:
    return _plain(textwrap.fill(name, 36))


def _plain(text: str) -> str:
    """Text that matplotlib takes as it is, and not as a formula."""
    return text.replace("$", r"\$")
