"""The figures of a sharpness report, drawn from arrays.

Estimates that did not converge are crosses, not points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recbole_samrec.sharpness.aggregate import find_common_metric
from recbole_samrec.sharpness.entries import list_labels
from recbole_samrec.sharpness.figure_layout import (
    DPI,
    Drawn,
    choose_looks,
    draw_legend,
    make_panels,
    style_entries,
    thin_line,
)
from recbole_samrec.sharpness.surface_figures import Scale, compute_rise, draw_contours, draw_line, draw_surfaces
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.plot_style import FORMATS, GRAY, render_figure, spread_offsets, use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from recbole_samrec.sharpness.measure import Measured

FAINTEST = 1e-7
"""Share of its peak down to which a density is shown; below it is the smoothing of single values."""
CHANGES = {
    "dropped": "events dropped",
    "replaced": "events replaced at random",
    "swapped": "neighbors swapped",
    "cut off": "beginning cut off",
}


def draw_figures(
    runs: Sequence[Measured], between: pd.DataFrame, folder: Path, *, shares: pd.DataFrame | None = None
) -> list[Drawn]:
    """Draw all figures that the runs have data for, and write each as PNG and PDF.

    Args:
        runs: Up to six runs on one data set.
        between: The loss on the lines between runs; see :func:`recbole_samrec.sharpness.measure.measure_between`.
        folder: Where the files go.
        shares: A metric against the share of training data; see :func:`draw_training_fractions`.

    Returns:
        The figures in the order of a page.

    Raises:
        DataError: The runs have no test metric in common.
    """
    with use_style():
        scale = Scale.fit([compute_rise(run.parts["surface"]) for run in runs])
        drawn = [
            draw_eigenvalues(runs),
            draw_density(runs),
            draw_rises(runs),
            draw_contours(runs, scale),
            draw_surfaces(runs, scale),
            draw_line(runs),
            draw_between(runs, between),
            draw_noise(runs),
            draw_histories(runs),
            draw_training(runs),
            draw_training_fractions(shares, find_common_metric(runs)),
        ]
    found = [one for one in drawn if one is not None]
    folder.mkdir(parents=True, exist_ok=True)
    for one in found:
        for form in FORMATS:
            with checkpoint_io.open_atomically(folder / f"{one.name}.{form}") as file:
                file.write(one.png if form == "png" else render_figure(one.figure, form, DPI))
    return found


def draw_eigenvalues(runs: Sequence[Measured]) -> Drawn:
    """Draw the top eigenvalues of each run by their rank; eigenvalues that did not converge are crosses."""
    looks, missed = choose_looks(runs), False
    figure, (axes,) = make_panels(1, 3.4)
    for run, offset in zip(runs, spread_offsets(len(runs), 0.3), strict=True):
        values, converged = (np.asarray(run.parts["curvature"][name]) for name in ("values", "converged"))
        look, rank = looks[run.label], np.arange(1, len(values) + 1) + offset
        axes.plot(rank, values, **{**look, "marker": "", "alpha": 0.5})
        axes.plot(rank[converged], values[converged], **{**look, "linestyle": ""})
        axes.plot(rank[~converged], values[~converged], color=look["color"], linestyle="", marker="x", markersize=7)
        missed |= not converged.all()
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="rank", ylabel="eigenvalue of the Hessian")
    draw_legend(figure, looks, missed)
    return Drawn("eigenvalues", figure)


def draw_density(runs: Sequence[Measured]) -> Drawn:
    """Draw the spectral density of each run, on a logarithmic scale."""
    looks = choose_looks(runs)
    figure, (axes,) = make_panels(1, 3.4)
    for run in runs:
        curvature = run.parts["curvature"]
        axes.semilogy(curvature["grid"], curvature["density"], **thin_line(looks[run.label]))
    peak = max(float(run.parts["curvature"]["density"].max()) for run in runs)
    axes.set_ylim(FAINTEST * peak, 3 * peak)
    axes.axvline(0, color=GRAY, linewidth=0.6)
    axes.set(xlabel="eigenvalue", ylabel="density (logarithmic)")
    draw_legend(figure, looks)
    return Drawn("density", figure)


def draw_rises(runs: Sequence[Measured]) -> Drawn:
    """Draw the rise of the loss against the radius, a panel for each kind of step, both axes logarithmic."""
    from matplotlib.ticker import NullLocator

    looks = choose_looks(runs)
    steps = {
        "SAM's ascent step": ("rhos", "ascent"),
        "worst random direction": ("rhos", "random_worst"),
        "adaptive ascent step": ("adaptive_rhos", "adaptive_ascent"),
        "worst found, adaptive": ("adaptive_rhos", "adaptive_worst"),
    }
    figure, all_axes = make_panels(len(steps), 2.6)
    for axes, (title, (radii, name)) in zip(all_axes, steps.items(), strict=True):
        for run in runs:
            radius, rise = (np.asarray(run.parts["sharpness"][part], dtype=float) for part in (radii, name))
            shown = (rise > 0) & np.isfinite(rise)
            axes.loglog(radius[shown], rise[shown], **looks[run.label])
        axes.set(title=title, xlabel="rho" if radii == "rhos" else "rho, in units of each weight")
        axes.set_xticks(radius, [f"{one:g}" for one in radius])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylabel("rise of the loss")
    draw_legend(figure, looks)
    return Drawn("rises", figure)


def draw_between(runs: Sequence[Measured], between: pd.DataFrame) -> Drawn | None:
    """Draw the loss on the straight lines from the first run to others; None if there are none."""
    if between.empty:
        return None
    looks, run_of = choose_looks(runs), {run.name: run for run in runs}
    others = [run_of[name] for name in dict.fromkeys(between["second"])]
    figure, (axes,) = make_panels(1, 3.2)
    for second, way in between.groupby("second", sort=False):
        loss = way["loss"].astype(float)
        axes.plot(way["position"], loss.where(np.isfinite(loss)), **thin_line(looks[run_of[second].label]))
    for end in (0, 1):
        axes.axvline(end, color=GRAY, linewidth=0.6)
    axes.set(xlabel="0 is the first run, 1 the other one", ylabel="training loss of the first run")
    draw_legend(figure, {run.label: looks[run.label] for run in others})
    return Drawn("between", figure)


def draw_noise(runs: Sequence[Measured]) -> Drawn:
    """Draw the test metric against noise on the weights."""
    metric, looks = find_common_metric(runs), choose_looks(runs)
    figure, (axes,) = make_panels(1, 3.2)
    _draw_bars(axes, runs, looks, [run.noise for run in runs], metric)
    axes.set(xlabel="noise, as a share of the size of the weights", ylabel=f"{metric.upper()} on test")
    draw_legend(figure, looks)
    return Drawn("noise", figure)


def draw_histories(runs: Sequence[Measured]) -> Drawn | None:
    """Draw the test metric against changed histories, a panel for each kind; None if no run reads histories."""
    read = [run for run in runs if len(run.changes)]
    if not read:
        return None
    metric, looks = find_common_metric(runs), choose_looks(runs)
    kinds = list(dict.fromkeys(read[0].changes["change"]))
    figure, all_axes = make_panels(len(kinds), 2.6, sharey=True)
    for axes, kind in zip(all_axes, kinds, strict=True):
        _draw_bars(axes, read, looks, [run.changes[run.changes["change"] == kind] for run in read], metric)
        axes.set(title=CHANGES.get(kind, kind), xlabel="share of a history", ylabel=f"{metric.upper()} on test")
    draw_legend(figure, {run.label: looks[run.label] for run in read})
    return Drawn("histories", figure)


def draw_training(runs: Sequence[Measured]) -> Drawn | None:
    """Draw the sharpness during training of the runs that recorded it; None if none did."""
    tracked = [run for run in runs if run.record.get("sharpness")]
    if not tracked:
        return None
    looks, missed = choose_looks(runs), False
    columns = {
        "top_eigenvalue": "top eigenvalue",
        "ascent_rise": "rise after SAM's step",
        "gradient_norm": "gradient norm",
    }
    figure, all_axes = make_panels(len(columns), 2.6)
    for axes, (column, title) in zip(all_axes, columns.items(), strict=True):
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
    draw_legend(figure, {run.label: looks[run.label] for run in tracked}, missed)
    return Drawn("training", figure)


def draw_training_fractions(shares: pd.DataFrame | None, metric: str) -> Drawn | None:
    """Draw a test metric against the share of training users; None without a table of it.

    Args:
        shares: The ``<dataset>-fractions.csv`` of ``compare``: columns ``entry``, ``fraction``, and mean and standard
            deviation of the metric.
        metric: Its name.
    """
    if shares is None or shares.empty or f"{metric}_mean" not in shares:
        return None
    looks = style_entries(dict.fromkeys(shares["entry"]))
    figure, (axes,) = make_panels(1, 3.2)
    for (entry, look), offset in zip(looks.items(), spread_offsets(len(looks), 1.5), strict=True):
        part = shares[shares["entry"] == entry].sort_values("fraction")
        mean, deviation = part[f"{metric}_mean"], part[f"{metric}_std"].fillna(0)
        axes.errorbar(100 * part["fraction"] + offset, mean, deviation, capsize=2, **look)
    axes.set(xlabel="users trained on, %", ylabel=f"{metric.upper()} on test")
    draw_legend(figure, looks)
    return Drawn("fractions", figure)


def _draw_bars(
    axes: Axes,
    runs: Sequence[Measured],
    looks: Mapping[str, dict[str, Any]],
    tables: Sequence[pd.DataFrame],
    metric: str,
) -> None:
    """Draw mean and standard deviation of a metric over draws and seeds at each level, one line per entry."""
    labels = list_labels(runs)
    for label, offset in zip(labels, spread_offsets(len(labels), 0.012), strict=True):
        of_label = [table for run, table in zip(runs, tables, strict=True) if run.label == label]
        found = pd.concat(of_label).groupby("level")[metric].agg(["mean", "std"]).fillna({"std": 0})
        axes.errorbar(found.index + offset, found["mean"], found["std"], capsize=2, **looks[label])
