"""The figures of a sharpness report, drawn from arrays.

Estimates that did not converge are crosses, not points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recbole_samrec.compare.plots import FORMATS, GREY
from recbole_samrec.sharpness.aggregate import common_metric
from recbole_samrec.sharpness.figure_layout import (
    MISSED,
    Drawn,
    counted,
    legend,
    listed,
    looks_of,
    named,
    offsets,
    on_targets,
    panels,
    rendered,
    slope_targets,
    style,
    styled,
    thin,
)
from recbole_samrec.sharpness.surface_figures import Scale, contours, line, rise_of, surfaces
from recbole_samrec.utils import checkpoint_io

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from recbole_samrec.sharpness.measure import Measured

FAINTEST = 1e-7
"""Share of its peak down to which a density is shown; below it is the smoothing of single values."""
NAMES = tuple("eigenvalues density rises contours surfaces line between noise histories training fractions".split())
"""What the figures are called that there may be, in the order of a page."""
CHANGES = {
    "dropped": "events dropped",
    "replaced": "events replaced at random",
    "swapped": "neighbours swapped",
    "cut off": "beginning cut off",
}


def draw(
    runs: Sequence[Measured], between: pd.DataFrame, folder: Path, *, shares: pd.DataFrame | None = None
) -> list[Drawn]:
    """Draw all figures that there is something to draw for, and write each as PNG and PDF.

    Args:
        runs: Up to six runs on one data set.
        between: The loss on the lines between runs, as :func:`recbole_samrec.sharpness.measure.ways_between` gives it.
        folder: Where the files go.
        shares: A metric against the share of training data; see :func:`fractions`.

    Returns:
        The figures in the order of a page.

    Raises:
        DataError: The runs have no test metric in common.
    """
    scale = Scale.of([rise_of(run.parts["surface"]) for run in runs])
    with style():
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
            fractions(shares, common_metric(runs)),
        ]
    found = [one for one in drawn if one is not None]
    folder.mkdir(parents=True, exist_ok=True)
    for one in found:
        for form in FORMATS:
            with checkpoint_io.writing(folder / f"{one.name}.{form}") as file:
                file.write(one.png if form == "png" else rendered(one.figure, form))
    return found


def eigenvalues(runs: Sequence[Measured]) -> Drawn:
    """The top eigenvalues of each run by their rank; those that did not converge are crosses."""
    looks, missed = looks_of(runs), False
    figure, (axes,) = panels(1, 3.4)
    for run, offset in zip(runs, offsets(len(runs), 0.3), strict=True):
        values, converged = (np.asarray(run.parts["curvature"][name]) for name in ("values", "converged"))
        look, rank = looks[run.label], np.arange(1, len(values) + 1) + offset
        axes.plot(rank, values, **{**look, "marker": "", "alpha": 0.5})
        axes.plot(rank[converged], values[converged], **{**look, "linestyle": ""})
        axes.plot(rank[~converged], values[~converged], color=look["color"], linestyle="", marker="x", markersize=7)
        missed |= not converged.all()
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="rank", ylabel="eigenvalue of the Hessian")
    legend(figure, looks, missed)
    crosses = f" Crosses {MISSED}: they are rough estimates, not results." if missed else ""
    caption = f"The largest eigenvalues, a line a run: the higher, the sharper.{crosses} {on_targets(runs)}"
    return Drawn("eigenvalues", "Top eigenvalues", caption, f"Eigenvalues by rank of {listed(looks)}.", figure)


def density(runs: Sequence[Measured]) -> Drawn:
    """The spectral density of each run, on a logarithmic scale."""
    looks = looks_of(runs)
    figure, (axes,) = panels(1, 3.4)
    for run in runs:
        curvature = run.parts["curvature"]
        axes.semilogy(curvature["grid"], curvature["density"], **thin(looks[run.label]))
    peak = max(float(run.parts["curvature"]["density"].max()) for run in runs)
    axes.set_ylim(FAINTEST * peak, 3 * peak)
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.set(xlabel="eigenvalue", ylabel="density (logarithmic)")
    legend(figure, looks)
    caption = (
        "How the eigenvalues of the Hessian are distributed, a line a run: most lie near 0, the few on the right are "
        f"the sharp directions, those below 0 are where the loss bends down. {on_targets(runs)}"
    )
    return Drawn("density", "Spectral density", caption, f"Spectral densities of {listed(looks)}.", figure)


def rises(runs: Sequence[Measured]) -> Drawn:
    """The rise of the loss against the radius, a panel for each way to leave the solution, both axes logarithmic."""
    from matplotlib.ticker import NullLocator

    looks, below = looks_of(runs), False
    steps = {
        "SAM's ascent step": ("rhos", "ascent"),
        "worst random direction": ("rhos", "random_worst"),
        "adaptive ascent step": ("adaptive_rhos", "adaptive_ascent"),
        "worst found, adaptive": ("adaptive_rhos", "adaptive_worst"),
    }
    figure, all_axes = panels(len(steps), 2.6)
    for axes, (title, (radii, name)) in zip(all_axes, steps.items(), strict=True):
        for run in runs:
            radius, rise = (np.asarray(run.parts["sharpness"][part], dtype=float) for part in (radii, name))
            shown = (rise > 0) & np.isfinite(rise)
            below |= not shown.all()
            axes.loglog(radius[shown], rise[shown], **looks[run.label])
        axes.set(title=title, xlabel="rho" if radii == "rhos" else "rho, in units of each weight")
        axes.set_xticks(radius, [f"{one:g}" for one in radius])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylabel("rise of the loss")
    legend(figure, looks)
    left_out = " Rises that are not above 0, or not finite, cannot be shown on these axes." if below else ""
    caption = (
        "By how much the loss rises at a distance rho, a line a run. The lower half counts each weight's move in units "
        "of that weight and does not change when layers are rescaled; the upper half does, and misleads alone."
        f"{left_out} The left half, along the gradient, is on {counted(map(slope_targets, runs))} training targets, "
        f"and tells of the slope too; the right half is on {counted(run.targets for run in runs)} training targets."
    )
    return Drawn("rises", "Rise of the loss", caption, f"Rise of the loss against rho for {listed(looks)}.", figure)


def ways(runs: Sequence[Measured], between: pd.DataFrame) -> Drawn | None:
    """The loss on the straight lines from the first run to others."""
    if between.empty:
        return None
    looks, run_of = looks_of(runs), {run.name: run for run in runs}
    others = [run_of[name] for name in dict.fromkeys(between["second"])]
    figure, (axes,) = panels(1, 3.2)
    for second, way in between.groupby("second", sort=False):
        loss = way["loss"].astype(float)
        axes.plot(way["position"], loss.where(np.isfinite(loss)), **thin(looks[run_of[second].label]))
    for end in (0, 1):
        axes.axvline(end, color=GREY, linewidth=0.6)
    first = between["first"].iloc[0]
    cut = "" if np.isfinite(between["loss"].astype(float)).all() else " Points that are not finite are left out."
    axes.set(xlabel="0 is the first run, 1 the other one", ylabel="training loss of the first run")
    legend(figure, {run.label: looks[run.label] for run in others})
    caption = (
        f"The loss on the straight line from {first} to {named(others)}, a line each. A hill between 0 and 1 parts two "
        f"solutions; runs of different seeds usually have one.{cut} {on_targets(runs)}"
    )
    return Drawn("between", "Between two runs", caption, f"Loss on the way from {first} to {named(others)}.", figure)


def noise(runs: Sequence[Measured]) -> Drawn:
    """The test metric against noise on the weights."""
    metric, looks = common_metric(runs), looks_of(runs)
    figure, (axes,) = panels(1, 3.2)
    _with_bars(axes, runs, looks, lambda run: run.noise, metric)
    axes.set(xlabel="noise, as a share of the size of the weights", ylabel=f"{metric.upper()} on test")
    legend(figure, looks)
    caption = (
        f"{metric.upper()} of the test set with Gaussian noise on all weights: the mean over {_draws(runs)}, and one "
        "standard deviation. The longer a line stays up, the more robust the model."
    )
    alt = f"{metric.upper()} against noise on the weights for {listed(looks)}."
    return Drawn("noise", "Noise on the weights", caption, alt, figure)


def histories(runs: Sequence[Measured]) -> Drawn | None:
    """The test metric against changes of the test histories, a panel for each kind; None where no run reads any."""
    read = [run for run in runs if len(run.changes)]
    if not read:
        return None
    metric, looks = common_metric(runs), looks_of(runs)
    kinds = list(dict.fromkeys(read[0].changes["change"]))
    figure, all_axes = panels(len(kinds), 2.6, sharey=True)
    for axes, kind in zip(all_axes, kinds, strict=True):
        _with_bars(axes, read, looks, lambda run, kind=kind: run.changes[run.changes["change"] == kind], metric)
        axes.set(title=CHANGES.get(kind, kind), xlabel="share of a history", ylabel=f"{metric.upper()} on test")
    legend(figure, {run.label: looks[run.label] for run in read})
    unread = list(dict.fromkeys(run.label for run in runs if not len(run.changes)))
    absent = f" Not shown: {listed(unread)}, which read no histories." if unread else ""
    caption = (
        f"{metric.upper()} of the test set when histories are disturbed before the model sees them: the mean over "
        f"{_draws(read)} (nothing is drawn where they are cut off), and one standard deviation.{absent}"
    )
    alt = f"{metric.upper()} against the share of changed events for {listed(looks)}."
    return Drawn("histories", "Changed histories", caption, alt, figure)


def training(runs: Sequence[Measured]) -> Drawn | None:
    """How sharp the solution was during training, of the runs that recorded it; None where none did."""
    tracked = [run for run in runs if run.record.get("sharpness")]
    if not tracked:
        return None
    looks, missed = looks_of(runs), False
    columns = {
        "top_eigenvalue": "top eigenvalue",
        "ascent_rise": "rise after SAM's step",
        "gradient_norm": "gradient norm",
    }
    figure, all_axes = panels(len(columns), 2.6)
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
    legend(figure, {run.label: looks[run.label] for run in tracked}, missed)
    rhos = {run.label: run.record["sharpness"][-1]["rho"] for run in tracked}
    radii = ", ".join(f"{rho:g} for {label}" for label, rho in rhos.items())
    targets = sorted({entry["targets"] for run in tracked for entry in run.record["sharpness"] if "targets" in entry})
    few = ""
    if targets:
        few = f" On {' or '.join(f'{number:,}' for number in targets)} training targets, where the gradient is larger "
        few += "than on all."
    comparable = "" if len(set(rhos.values())) == 1 else ", so that the rises are not of equal steps"
    caption = (
        f"Measured while the models were trained, a line a run; rho is {radii}{comparable}. Upright lines mark the "
        f"best epochs, whose weights all other figures show.{' Crosses ' + MISSED + '.' if missed else ''}{few}"
    )
    return Drawn("training", "During training", caption, f"Sharpness by epoch of {listed(looks)}.", figure)


def fractions(shares: pd.DataFrame | None, metric: str) -> Drawn | None:
    """A test metric against the share of the users that models were trained on; None without a table of it.

    Args:
        shares: Made by :func:`recbole_samrec.compare.tables.fraction_table`: columns ``row``, ``fraction``, and mean
            and standard deviation of the metric.
        metric: Its name.
    """
    if shares is None or shares.empty or f"{metric}_mean" not in shares:
        return None
    looks = styled(dict.fromkeys(shares["row"]))
    figure, (axes,) = panels(1, 3.2)
    for (row, look), offset in zip(looks.items(), offsets(len(looks), 1.5), strict=True):
        part = shares[shares["row"] == row].sort_values("fraction")
        mean, deviation = part[f"{metric}_mean"], part[f"{metric}_std"].fillna(0)
        axes.errorbar(100 * part["fraction"] + offset, mean, deviation, capsize=2, **look)
    axes.set(xlabel="users trained on, %", ylabel=f"{metric.upper()} on test")
    legend(figure, looks)
    caption = (
        f"{metric.upper()} of the test set by the share of the users that models were trained on: the mean over seeds, "
        "and one standard deviation. These are other runs than those above."
    )
    alt = f"{metric.upper()} against the share of training users for {listed(looks)}."
    return Drawn("fractions", "Share of the training data", caption, alt, figure)


def _with_bars(
    axes: Axes,
    runs: Sequence[Measured],
    looks: Mapping[str, dict[str, Any]],
    table_of: Callable[[Measured], pd.DataFrame],
    metric: str,
) -> None:
    """Mean and standard deviation of a metric over draws and seeds at each level, a line a label, side by side."""
    labels = list(dict.fromkeys(run.label for run in runs))
    for label, offset in zip(labels, offsets(len(labels), 0.012), strict=True):
        table = pd.concat([table_of(run) for run in runs if run.label == label])
        found = table.groupby("level")[metric].agg(["mean", "std"]).fillna({"std": 0})
        axes.errorbar(found.index + offset, found["mean"], found["std"], capsize=2, **looks[label])


def _draws(runs: Sequence[Measured]) -> str:
    """How many draws and runs a mean is over."""
    draws = 1 + int(max(run.noise["draw"].max() for run in runs))
    seeds = sorted({sum(one.label == run.label for one in runs) for run in runs})
    counted = " or ".join(map(str, seeds)) + (" run" if seeds == [1] else " runs")
    return f"{draws} {'draw' if draws == 1 else 'draws'} of each level and {counted} of each label"
