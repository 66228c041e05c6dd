"""The numbers of several runs in tables: one line per run, and means over the seeds of each entry with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from recbole_samrec.quick_start.record import field_name
from recbole_samrec.sharpness.comparisons import (
    ACCURACY,
    ADAPTIVE,
    CONVERGED,
    LEVEL,
    PLAIN,
    ROBUSTNESS,
    Meaning,
    compare_entries,
)
from recbole_samrec.sharpness.entries import Recorded, find_config, join_losses, list_labels
from recbole_samrec.utils.errors import DataError

if TYPE_CHECKING:
    from recbole_samrec.sharpness.measure import Measured

METRIC = "ndcg@10"
"""The metric that is looked at, where all runs have it; else the one that chose their epochs."""
SMALLER_IS_BETTER = ("rmse", "mae", "logloss", "averagepopularity", "giniindex")
RHO, ADAPTIVE_RHO = 0.1, 1.0
"""Radii of the ascent steps, or the nearest ones that were measured; adaptive ones are about ten times larger."""
TOP, TRACE, GRADIENT = "top eigenvalue", "trace", "gradient norm"
NEGATIVE, LOWEST = "negative share of the absolute curvature", "lowest eigenvalue over the top one"
RESIDUAL, PRODUCTS = "relative residual of the top eigenvalue", "Hessian-vector products for the top eigenvalues"
SLOPE_LOSS = "training loss of the slope's sample"
TARGETS, SLOPE_TARGETS = "training targets measured on", "training targets of the gradient and rises along it"
ERROR = "standard error of the "
"""Before a measure's name: the column of its standard error."""


@dataclass(frozen=True)
class Levels:
    """The metric, radii and levels whose values are shown in tables.

    Args:
        metric: A metric of the test set.
        rho: Radius of the ascent step.
        adaptive_rho: Radius of the adaptive measures.
        largest: Radius of the random directions.
        noise: Level of noise on the weights.
        dropped: Share of dropped events; None where no run reads histories.
    """

    metric: str
    rho: float
    adaptive_rho: float
    largest: float
    noise: float
    dropped: float | None

    @classmethod
    def choose(cls, runs: Sequence[Measured]) -> Levels:
        """Choose the levels that fit runs measured with one budget.

        Raises:
            DataError: The runs have no test metric in common.
        """
        sharpness = runs[0].parts["sharpness"]
        histories = [run.changes for run in runs if len(run.changes)]
        dropped = histories[0].loc[histories[0]["change"] == "dropped", "level"] if histories else []
        return cls(
            metric=find_common_metric(runs),
            rho=_find_nearest(sharpness["rhos"], RHO),
            adaptive_rho=_find_nearest(sharpness["adaptive_rhos"], ADAPTIVE_RHO),
            largest=float(max(sharpness["rhos"])),
            noise=_middle_level(runs[0].noise["level"]),
            dropped=_middle_level(dropped) if len(dropped) else None,
        )

    @property
    def ascent(self) -> str:
        """Name of the rise after SAM's step."""
        return f"rise after SAM's step at rho {self.rho:g}"

    @property
    def beyond(self) -> str:
        """Name of the part of that rise that exceeds the linear slope."""
        return f"rise beyond the slope at rho {self.rho:g}"

    @property
    def random(self) -> str:
        """Name of the worst rise in random directions."""
        return f"worst rise in random directions at rho {self.largest:g}"

    @property
    def random_mean(self) -> str:
        """Name of the mean rise in random directions."""
        return f"mean rise in random directions at rho {self.largest:g}"

    @property
    def adaptive_ascent(self) -> str:
        """Name of the rise after the adaptive step."""
        return f"rise after the adaptive step at rho {self.adaptive_rho:g}"

    @property
    def adaptive_worst(self) -> str:
        """Name of the worst rise in the adaptive norm."""
        return f"worst adaptive rise at rho {self.adaptive_rho:g}"

    @property
    def accuracy(self) -> str:
        """Name of the metric on the test set."""
        return f"{self.metric.upper()} on test"

    @property
    def under_noise(self) -> str:
        """Name of the loss of the metric under noise."""
        return f"relative loss of {self.metric.upper()} at noise {self.noise:g}"

    @property
    def under_drops(self) -> str:
        """Name of the loss of the metric under dropped events."""
        return f"relative loss of {self.metric.upper()} with {100 * (self.dropped or 0):g} % of the events dropped"


def find_common_metric(runs: Sequence[Recorded]) -> str:
    """Find the test metric by which runs are compared.

    Raises:
        DataError: They have none in common.
    """
    chosen = [field_name(str(find_config(run).get("valid_metric", ""))) for run in runs]
    tests = [run.record.get("test") or {} for run in runs]
    for metric in (METRIC, *chosen, *tests[0]):
        if all(metric in test for test in tests):
            return metric
    names = ", ".join(run.name for run in runs)
    raise DataError(f"{names} have no test metric in common; train them with the same metrics and topk")


def list_meanings(runs: Sequence[Measured]) -> dict[str, Meaning]:
    """Return the meanings of the compared measures, by name."""
    levels = Levels.choose(runs)
    found = {
        TOP: Meaning(PLAIN),
        TRACE: Meaning(PLAIN),
        levels.ascent: Meaning(PLAIN),
        levels.beyond: Meaning(PLAIN),
        levels.random: Meaning(PLAIN),
        levels.adaptive_ascent: Meaning(ADAPTIVE),
        levels.adaptive_worst: Meaning(ADAPTIVE),
        levels.accuracy: Meaning(ACCURACY, smaller_is_better=_smaller_is_better(levels.metric)),
        levels.under_noise: Meaning(ROBUSTNESS),
    }
    if levels.dropped is not None:
        found[levels.under_drops] = Meaning(ROBUSTNESS)
    return found


def average_measures(runs: Sequence[Measured]) -> pd.DataFrame:
    """Average each measure over the seeds of each entry, with a 95 % interval by Student's t where there are several.

    An interval is never narrower than that of the estimate itself, where probes or draws make one; of a single run it
    is that one.

    Args:
        runs: Runs on one data set, measured with one budget.

    Returns:
        One line for each entry and measure: ``entry``, ``measure``, ``value``, ``low``, ``high``, ``runs``,
        ``converged``, which is whether all of them did, and ``loss``, the training loss of the entry.

    Raises:
        DataError: The runs have no test metric in common.
    """
    levels = Levels.choose(runs)
    lines = []
    for label in list_labels(runs):
        of_label = [run for run in runs if run.label == label]
        found, errors = [_measures(run, levels) for run in of_label], [_errors(run, levels) for run in of_label]
        loss = join_losses(of_label)
        for measure in dict.fromkeys(name for one in found for name in one):
            values = [one[measure] for one in found if measure in one]
            value, low, high = compute_interval(values, [half_width(*error.get(measure, (0.0, 1))) for error in errors])
            converged = all(_converged(run).get(measure, True) for run in of_label)
            lines.append((label, measure, value, low, high, len(values), converged, loss))
    return pd.DataFrame(lines, columns=["entry", "measure", "value", "low", "high", "runs", "converged", "loss"])


def list_runs(runs: Sequence[Measured]) -> pd.DataFrame:
    """List all single numbers of each run, with their standard errors and residuals.

    Args:
        runs: Runs on one data set, measured with one budget.

    Returns:
        One line per run: ``run``, ``entry``, ``seed``, the measures of :func:`average_measures` by their names, for
        some of them with :data:`CONVERGED` or :data:`ERROR` before the name whether it did and its standard error, and
        more; NaN where a run has no such number.

    Raises:
        DataError: The runs have no test metric in common.
    """
    levels = Levels.choose(runs)
    return pd.DataFrame([_list_run(run, levels) for run in runs])


def list_lines(runs: Sequence[Measured]) -> pd.DataFrame:
    """List the loss along one random direction, the same for all runs.

    Returns:
        One line for each point of a run: ``run``, ``entry``, ``seed``, ``position`` in lengths of the weights, and
        ``loss``.
    """
    lines = []
    for run in runs:
        points = {"position": run.parts["line"]["x"], "loss": run.parts["line"]["loss"]}
        lines.append(pd.DataFrame({"run": run.name, "entry": run.label, "seed": run.seed, **points}))
    return pd.concat(lines, ignore_index=True)


def compare_runs(runs: Sequence[Measured], reference: str) -> pd.DataFrame:
    """Compare each entry with the reference; see :func:`~recbole_samrec.sharpness.comparisons.compare_entries`."""
    losses = {label: join_losses([run for run in runs if run.label == label]) for label in list_labels(runs)}
    return compare_entries(list_runs(runs), list_meanings(runs), losses, reference)


def compute_interval(values: Sequence[float], halves: Sequence[float] = ()) -> tuple[float, float, float]:
    """Compute the mean and the ends of its 95 % interval by Student's t.

    Args:
        values: A measure of several runs. Of one alone the spread is unknown.
        halves: Half of the 95 % interval of each as an estimate, where it is one; the interval is at least as wide as
            these are in the mean. (All runs have the same probes and draws, so that errors do not average out.)

    Returns:
        The mean and the ends; both are the mean where it is not finite, or nothing is known of how far it is off.
    """
    mean = float(np.mean(values))
    if not math.isfinite(mean):
        return mean, mean, mean
    spread = 0.0
    if len(values) > 1:
        spread = half_width(float(np.std(values, ddof=1)) / math.sqrt(len(values)), len(values))
    half = max(spread, float(np.mean(halves)) if halves else 0.0)
    return mean, mean - half, mean + half


def half_width(standard_error: float, samples: int) -> float:
    """Return half of a mean's 95 % interval by Student's t; 0 of a single sample."""
    if samples < 2 or not math.isfinite(standard_error):
        return 0.0
    return float(stats.t.ppf((1 + LEVEL) / 2, samples - 1)) * standard_error


def compute_relative_loss(table: pd.DataFrame, metric: str, level: float) -> float:
    """Compute the relative loss of a metric at a level against level 0, averaged over the draws.

    Args:
        table: Columns ``level`` and the metric.
        metric: Its name.
        level: One of the levels.

    Returns:
        The share; below 0 where the metric gets better, nan where it is 0 at level 0.
    """
    return float(np.mean(_relative_losses(table, metric, level)))


def _relative_losses(table: pd.DataFrame, metric: str, level: float) -> np.ndarray:
    """:func:`compute_relative_loss` of each draw ``[draws]``."""
    before = float(table.loc[table["level"] == 0, metric].mean())
    worse = table.loc[np.isclose(table["level"], level), metric].to_numpy(dtype=float) - before
    if before == 0:
        return np.full(len(worse), math.nan)
    return (worse if _smaller_is_better(metric) else -worse) / before


def _measures(run: Measured, levels: Levels) -> dict[str, float]:
    """Return the measures of one run, by name."""
    curvature, sharpness = run.parts["curvature"], run.parts["sharpness"]
    plain, adaptive = (np.asarray(sharpness[name]) for name in ("rhos", "adaptive_rhos"))
    found = {
        TOP: curvature["values"][0],
        TRACE: curvature["trace"][0],
        NEGATIVE: curvature["negative"][0],
        LOWEST: curvature["lowest"][0],
        levels.ascent: _value_at(sharpness["ascent"], plain, levels.rho),
        levels.beyond: _value_at(sharpness["ascent"], plain, levels.rho) - levels.rho * sharpness["gradient"],
        levels.random: _value_at(sharpness["random_worst"], plain, levels.largest),
        GRADIENT: sharpness["gradient"],
        levels.adaptive_ascent: _value_at(sharpness["adaptive_ascent"], adaptive, levels.adaptive_rho),
        levels.adaptive_worst: _value_at(sharpness["adaptive_worst"], adaptive, levels.adaptive_rho),
        levels.accuracy: run.record["test"][levels.metric],
        levels.under_noise: compute_relative_loss(run.noise, levels.metric, levels.noise),
    }
    if len(run.changes) and levels.dropped is not None:
        dropped = run.changes[run.changes["change"] == "dropped"]
        found[levels.under_drops] = compute_relative_loss(dropped, levels.metric, levels.dropped)
    return {name: float(value) for name, value in found.items()}


def _errors(run: Measured, levels: Levels) -> dict[str, tuple[float, int]]:
    """Return the standard error of each estimated measure, and its number of probes or draws."""
    curvature = run.parts["curvature"]
    found = {name: (float(part[1]), int(part[2])) for name, part in _estimates(curvature).items()}
    tables = {levels.under_noise: (run.noise, levels.noise)}
    if len(run.changes) and levels.dropped is not None:
        tables[levels.under_drops] = (run.changes[run.changes["change"] == "dropped"], levels.dropped)
    for name, (table, level) in tables.items():
        losses = _relative_losses(table, levels.metric, level)
        deviation = float(np.std(losses, ddof=1)) if len(losses) > 1 else math.nan
        found[name] = (deviation / math.sqrt(len(losses)), len(losses))
    return found


def _estimates(curvature: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return value, standard error and number of probes of each measure that is estimated from random probes."""
    return {TRACE: curvature["trace"], NEGATIVE: curvature["negative"]}


def _converged(run: Measured) -> dict[str, bool]:
    """Return whether each measure converged, among those that can fail to."""
    curvature = run.parts["curvature"]
    return {
        TOP: bool(curvature["converged"][0]),
        NEGATIVE: bool(curvature["negative_converged"]),
        LOWEST: bool(curvature["lowest_converged"]),
    }


def compute_slope_share(run: Measured, rho: float) -> float:
    """Compute the share of the rise after SAM's step that the linear slope explains; NaN where nothing rises."""
    sharpness = run.parts["sharpness"]
    rise, slope = float(_value_at(sharpness["ascent"], np.asarray(sharpness["rhos"]), rho)), rho * sharpness["gradient"]
    return float(slope / rise) if rise > 0 else math.nan


def _list_run(run: Measured, levels: Levels) -> dict[str, Any]:
    """Return a line of :func:`list_runs`."""
    curvature, sharpness = run.parts["curvature"], run.parts["sharpness"]
    best, largest = run.record.get("best_epoch"), int(np.argmax(sharpness["rhos"]))
    return {
        "run": run.name,
        "entry": run.label,
        "seed": run.seed,
        "training loss of the sample": float(curvature["loss"]),
        SLOPE_LOSS: float(sharpness["loss"]),
        **_measures(run, levels),
        **{CONVERGED + name: converged for name, converged in _converged(run).items()},
        **{ERROR + name: error for name, (error, _) in _errors(run, levels).items()},
        RESIDUAL: float(curvature["residuals"][0]),
        PRODUCTS: int(curvature["products"]),
        f"error bound of the {LOWEST}": float(curvature["lowest"][1]),
        f"share of the slope in the {levels.ascent}": compute_slope_share(run, levels.rho),
        levels.random_mean: float(sharpness["random_mean"][largest]),
        ERROR + levels.random_mean: float(sharpness["random_error"][largest]),
        "adaptive gradient norm": float(sharpness["adaptive_gradient"]),
        "weights": run.record.get("parameters"),
        "best epoch": None if best is None else best + 1,
        TARGETS: run.targets[0],
        SLOPE_TARGETS: int(sharpness["targets"]),
        "training targets in all": run.targets[1],
    }


def _value_at(values: Any, levels: np.ndarray, level: float) -> float:
    return values[int(np.abs(levels - level).argmin())]


def _find_nearest(values: Any, wanted: float) -> float:
    return _value_at(values, np.asarray(values), wanted)


def _middle_level(levels: Any) -> float:
    """Return the middle one of the levels above 0, or the larger of two."""
    above = sorted({float(level) for level in levels} - {0.0})
    return above[len(above) // 2]


def _smaller_is_better(metric: str) -> bool:
    return metric.partition("@")[0] in SMALLER_IS_BETTER
