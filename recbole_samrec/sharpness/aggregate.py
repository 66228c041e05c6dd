"""The figures of several runs in tables: one line a run, and the mean over the seeds of each label with an interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from recbole_samrec.quick_start.record import field_name
from recbole_samrec.sharpness.verdict import ACCURACY, ADAPTIVE, PLAIN, ROBUSTNESS, Meaning
from recbole_samrec.utils.errors import DataError

if TYPE_CHECKING:
    from recbole_samrec.sharpness.measure import Measured

METRIC = "ndcg@10"
"""The metric that is looked at, where all runs have it; else the one that chose their epochs."""
SMALLER_IS_BETTER = ("rmse", "mae", "logloss", "averagepopularity", "giniindex")
RHO, ADAPTIVE_RHO = 0.1, 1.0
"""Radii of the ascent steps, or the nearest ones that were measured; adaptive ones are about ten times larger."""
LEVEL = 0.95
"""Of the intervals."""
TOP, TRACE, GRADIENT = "top eigenvalue", "trace", "gradient norm"
NEGATIVE, LOWEST = "negative share of the absolute curvature", "lowest eigenvalue over the top one"
RESIDUAL, PRODUCTS = "relative residual of the top eigenvalue", "Hessian-vector products for the top eigenvalues"
SLOPE_LOSS = "training loss of the slope's sample"
TARGETS, SLOPE_TARGETS = "training targets measured on", "training targets of the gradient and rises along it"
CONVERGED, ERROR = "converged: ", "standard error of the "
"""Before a measure's name: whether it converged, and its standard error."""
STRAIGHT = 0.5
"""Of a rise, the share that is the slope's from which on it tells slope more than curvature."""
NEXT_ITEM_LOSS = frozenset("SAMRec SASRec gSASRec GRU4Rec S3Rec BSARec LightSANs NARM STAMP".split())
"""Models whose training loss is that of the next item, as ``loss_type`` names it, and nothing besides."""
LOSSES = {"CE": "cross-entropy over all items", "SSM": "sampled softmax"}
SAMPLED = ("SSM", "gBCE")
ROWS = ("training", "window_stride", "MAX_ITEM_LIST_LENGTH", "train_fraction")
"""Settings that decide what training targets there are and how they are drawn."""
NO_MATTER = frozenset(
    "seed gpu_id worker use_gpu device state nproc show_progress log_wandb wandb_project save_dataset save_dataloaders "
    "dataset_save_path dataloaders_save_path eval_batch_size eval_memory loss_decimal_place metric_decimal_place "
    "track_sharpness trust_checkpoint".split()
)
"""Settings in which runs may differ and still be runs of one model."""


@dataclass(frozen=True)
class Levels:
    """Which of all that was measured stands for it in a table.

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
    def of(cls, runs: Sequence[Measured]) -> Levels:
        """The levels that fit runs measured with one budget.

        Raises:
            DataError: The runs have no test metric in common.
        """
        sharpness = runs[0].parts["sharpness"]
        histories = [run.changes for run in runs if len(run.changes)]
        dropped = histories[0].loc[histories[0]["change"] == "dropped", "level"] if histories else []
        return cls(
            metric=common_metric(runs),
            rho=_nearest(sharpness["rhos"], RHO),
            adaptive_rho=_nearest(sharpness["adaptive_rhos"], ADAPTIVE_RHO),
            largest=float(max(sharpness["rhos"])),
            noise=_middle(runs[0].noise["level"]),
            dropped=_middle(dropped) if len(dropped) else None,
        )

    @property
    def ascent(self) -> str:
        """Name of the rise after SAM's step."""
        return f"rise after SAM's step at rho {self.rho:g}"

    @property
    def beyond(self) -> str:
        """Name of the part of that rise which a straight slope would not have."""
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
        """Name of what noise takes away of the metric."""
        return f"relative loss of {self.metric.upper()} at noise {self.noise:g}"

    @property
    def under_drops(self) -> str:
        """Name of what dropped events take away of the metric."""
        return f"relative loss of {self.metric.upper()} with {100 * (self.dropped or 0):g} % of the events dropped"


def common_metric(runs: Sequence[Measured]) -> str:
    """The test metric that runs are compared by.

    Raises:
        DataError: They have none in common.
    """
    chosen = [field_name(str(_config(run).get("valid_metric", ""))) for run in runs]
    tests = [run.record.get("test") or {} for run in runs]
    for metric in (METRIC, *chosen, *tests[0]):
        if all(metric in test for test in tests):
            return metric
    names = ", ".join(run.name for run in runs)
    raise DataError(f"{names} have no test metric in common; train them with the same metrics and topk")


def meanings(runs: Sequence[Measured]) -> dict[str, Meaning]:
    """What the measures of some runs tell, those that words are made of; the first of each kind stands for it."""
    levels = Levels.of(runs)
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


def measures(runs: Sequence[Measured]) -> pd.DataFrame:
    """Each measure of each label: the mean over its seeds and, of two or more, its 95 % interval by Student's t.

    An interval is never narrower than that of the estimate itself, where probes or draws make one; of a single run it
    is that one.

    Args:
        runs: Runs on one data set, measured with one budget.

    Returns:
        A line for each label and measure, as :func:`recbole_samrec.sharpness.verdict.verdict` takes them: ``label``,
        ``measure``, ``value``, ``low``, ``high``, ``runs``, ``converged``, which is whether all of them did, and
        ``loss``, what the label's runs lowered in training.

    Raises:
        DataError: The runs have no test metric in common.
    """
    levels = Levels.of(runs)
    lines = []
    for label in dict.fromkeys(run.label for run in runs):
        of_label = [run for run in runs if run.label == label]
        found, errors = [_measures(run, levels) for run in of_label], [_errors(run, levels) for run in of_label]
        loss = "; ".join(dict.fromkeys(map(objective, of_label)))
        for measure in dict.fromkeys(name for one in found for name in one):
            values = [one[measure] for one in found if measure in one]
            value, low, high = interval(values, [half_of(*error.get(measure, (0.0, 1))) for error in errors])
            converged = all(_converged(run).get(measure, True) for run in of_label)
            lines.append((label, measure, value, low, high, len(values), converged, loss))
    return pd.DataFrame(lines, columns=["label", "measure", "value", "low", "high", "runs", "converged", "loss"])


def per_run(runs: Sequence[Measured]) -> pd.DataFrame:
    """All single figures of each run, with their standard errors and residuals.

    Args:
        runs: Runs on one data set, measured with one budget.

    Returns:
        A line a run: ``run``, ``label``, ``seed``, the measures of :func:`measures` by their names, for some of them
        with :data:`CONVERGED` or :data:`ERROR` before the name whether it did and its standard error, and more; nan
        where a run has no such figure.

    Raises:
        DataError: The runs have no test metric in common.
    """
    levels = Levels.of(runs)
    return pd.DataFrame([_figures(run, levels) for run in runs])


def interval(values: Sequence[float], halves: Sequence[float] = ()) -> tuple[float, float, float]:
    """The mean, and the ends of its 95 % interval by Student's t.

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
        spread = half_of(float(np.std(values, ddof=1)) / math.sqrt(len(values)), len(values))
    half = max(spread, float(np.mean(halves)) if halves else 0.0)
    return mean, mean - half, mean + half


def half_of(standard_error: float, samples: int) -> float:
    """Half of a mean's 95 % interval by Student's t; 0 where a single sample does not tell."""
    if samples < 2 or not math.isfinite(standard_error):
        return 0.0
    return float(stats.t.ppf((1 + LEVEL) / 2, samples - 1)) * standard_error


def relative_loss(table: pd.DataFrame, metric: str, level: float) -> float:
    """By which share of its value at level 0 a metric gets worse at another level, in the mean over the draws.

    Args:
        table: Columns ``level`` and the metric.
        metric: Its name.
        level: One of the levels.

    Returns:
        The share; below 0 where the metric gets better, nan where it is 0 at level 0.
    """
    return float(np.mean(_relative_losses(table, metric, level)))


def _relative_losses(table: pd.DataFrame, metric: str, level: float) -> np.ndarray:
    """:func:`relative_loss` of each draw ``[draws]``."""
    before = float(table.loc[table["level"] == 0, metric].mean())
    worse = table.loc[np.isclose(table["level"], level), metric].to_numpy(dtype=float) - before
    if before == 0:
        return np.full(len(worse), math.nan)
    return (worse if _smaller_is_better(metric) else -worse) / before


def notes_on(runs: Sequence[Measured]) -> list[str]:
    """What a reader has to keep in mind before runs are compared: other losses, other training targets, other sizes."""
    notes = (_other_settings, _sampled_ranking, _other_losses, _other_targets, _other_sizes, _on_a_slope)
    return [note for about in notes for note in about(runs)]


def _measures(run: Measured, levels: Levels) -> dict[str, float]:
    """The measures of one run, by name."""
    curvature, sharpness = run.parts["curvature"], run.parts["sharpness"]
    plain, adaptive = (np.asarray(sharpness[name]) for name in ("rhos", "adaptive_rhos"))
    found = {
        TOP: curvature["values"][0],
        TRACE: curvature["trace"][0],
        NEGATIVE: curvature["negative"][0],
        LOWEST: curvature["lowest"][0],
        levels.ascent: _at(sharpness["ascent"], plain, levels.rho),
        levels.beyond: _at(sharpness["ascent"], plain, levels.rho) - levels.rho * sharpness["gradient"],
        levels.random: _at(sharpness["random_worst"], plain, levels.largest),
        GRADIENT: sharpness["gradient"],
        levels.adaptive_ascent: _at(sharpness["adaptive_ascent"], adaptive, levels.adaptive_rho),
        levels.adaptive_worst: _at(sharpness["adaptive_worst"], adaptive, levels.adaptive_rho),
        levels.accuracy: run.record["test"][levels.metric],
        levels.under_noise: relative_loss(run.noise, levels.metric, levels.noise),
    }
    if len(run.changes) and levels.dropped is not None:
        dropped = run.changes[run.changes["change"] == "dropped"]
        found[levels.under_drops] = relative_loss(dropped, levels.metric, levels.dropped)
    return {name: float(value) for name, value in found.items()}


def _errors(run: Measured, levels: Levels) -> dict[str, tuple[float, int]]:
    """The standard error of those measures that are estimates, and of how many probes or draws they are the mean."""
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
    """Value, standard error and number of probes of what random probes estimate."""
    return {TRACE: curvature["trace"], NEGATIVE: curvature["negative"]}


def _converged(run: Measured) -> dict[str, bool]:
    """Whether those measures did that may not."""
    curvature = run.parts["curvature"]
    return {
        TOP: bool(curvature["converged"][0]),
        NEGATIVE: bool(curvature["negative_converged"]),
        LOWEST: bool(curvature["lowest_converged"]),
    }


def _slope_share(run: Measured, rho: float) -> float:
    """Which share of the rise after SAM's step a straight slope would have; nan where nothing rises."""
    sharpness = run.parts["sharpness"]
    rise, slope = float(_at(sharpness["ascent"], np.asarray(sharpness["rhos"]), rho)), rho * sharpness["gradient"]
    return float(slope / rise) if rise > 0 else math.nan


def _figures(run: Measured, levels: Levels) -> dict[str, Any]:
    """A line of :func:`per_run`."""
    curvature, sharpness = run.parts["curvature"], run.parts["sharpness"]
    best, largest = run.record.get("best_epoch"), int(np.argmax(sharpness["rhos"]))
    return {
        "run": run.name,
        "label": run.label,
        "seed": run.seed,
        "training loss of the sample": float(curvature["loss"]),
        SLOPE_LOSS: float(sharpness["loss"]),
        **_measures(run, levels),
        **{CONVERGED + name: converged for name, converged in _converged(run).items()},
        **{ERROR + name: error for name, (error, _) in _errors(run, levels).items()},
        RESIDUAL: float(curvature["residuals"][0]),
        PRODUCTS: int(curvature["products"]),
        f"error bound of the {LOWEST}": float(curvature["lowest"][1]),
        f"share of the slope in the {levels.ascent}": _slope_share(run, levels.rho),
        levels.random_mean: float(sharpness["random_mean"][largest]),
        ERROR + levels.random_mean: float(sharpness["random_error"][largest]),
        "adaptive gradient norm": float(sharpness["adaptive_gradient"]),
        "weights": run.record.get("parameters"),
        "best epoch": None if best is None else best + 1,
        TARGETS: run.targets[0],
        SLOPE_TARGETS: int(sharpness["targets"]),
        "training targets in all": run.targets[1],
    }


def _at(values: Any, levels: np.ndarray, level: float) -> float:
    return values[int(np.abs(levels - level).argmin())]


def _nearest(values: Any, wanted: float) -> float:
    return _at(values, np.asarray(values), wanted)


def _middle(levels: Any) -> float:
    """The middle one of the levels above 0, of two the larger."""
    above = sorted({float(level) for level in levels} - {0.0})
    return above[len(above) // 2]


def _smaller_is_better(metric: str) -> bool:
    return metric.partition("@")[0] in SMALLER_IS_BETTER


def _config(run: Measured) -> Mapping[str, Any]:
    return run.record.get("config") or {}


def objective(run: Measured) -> str:
    """What a run lowered in training, in words."""
    config, model = _config(run), run.record.get("model") or _config(run).get("model")
    name = config.get("loss_type")
    loss = LOSSES.get(name, name)
    if name in SAMPLED:
        loss = f"{loss} with {config.get('n_negatives')} negatives"
    return str(loss) if model in NEXT_ITEM_LOSS and loss else f"the loss of {model}"


def _sampled_ranking(runs: Sequence[Measured]) -> list[str]:
    """The runs whose test items are ranked among a few drawn ones, which are other ones than at the end of training."""
    modes = {run.label: _test_mode(run) for run in runs}
    sampled = {label: mode for label, mode in modes.items() if mode.startswith(("uni", "pop"))}
    if not sampled:
        return []
    parts = "; ".join(f"{label}: {mode}" for label, mode in sampled.items())
    return [
        f"The test items are ranked among items that are drawn ({parts}). They are the same at all levels of noise and "
        "of changed histories, so levels compare; they are not those of the record, so level 0 is not its figure."
    ]


def _test_mode(run: Measured) -> str:
    """Among which items the test items are ranked: ``full``, ``uni100`` and the like."""
    mode = (_config(run).get("eval_args") or {}).get("mode", "full")
    return str(mode.get("test", "full") if isinstance(mode, Mapping) else mode)


def _other_losses(runs: Sequence[Measured]) -> list[str]:
    labels: dict[str, list[str]] = {}
    for run in runs:
        labels.setdefault(objective(run), []).append(run.label)
    if len(labels) < 2:
        return []
    parts = "; ".join(f"{_joined(dict.fromkeys(of_loss))}: {loss}" for loss, of_loss in labels.items())
    return [
        f"The training losses are not the same function ({parts}). Between them, values of the loss and its curvature "
        "and sharpness, which are measured in units of the loss, cannot be compared; accuracy and robustness can."
    ]


def _other_settings(runs: Sequence[Measured]) -> list[str]:
    """Labels whose runs are not of one model; settings that only some of the records know tell nothing."""
    notes = []
    for label in dict.fromkeys(run.label for run in runs):
        configs = [_config(run) for run in runs if run.label == label]
        keys = [key for key in configs[0] if key not in NO_MATTER and all(key in config for config in configs)]
        found = {key: list(dict.fromkeys(str(config[key]) for config in configs)) for key in keys}
        differing = "; ".join(f"{key}: {', '.join(values)}" for key, values in found.items() if len(values) > 1)
        if differing:
            notes.append(
                f"The runs of {label} differ in more than the seed ({differing}), so their mean is of no one model and "
                "its interval not about seeds alone. Give them labels of their own: label=RUN."
            )
    return notes


def _on_a_slope(runs: Sequence[Measured]) -> list[str]:
    """The runs that ended where the loss still has a slope, of which the rise after an ascent step tells the most."""
    levels = Levels.of(runs)
    shares = {run.name: _slope_share(run, levels.rho) for run in runs}
    straight = [f"{name}: {100 * share:.0f} %" for name, share in shares.items() if share > STRAIGHT]
    if not straight:
        return []
    return [
        f"Much of the {levels.ascent} is rho times the gradient's norm, what a straight slope rises by "
        f"({'; '.join(straight)}): the training stopped before a minimum of the loss that is measured, and this rise "
        f"tells slope more than curvature. The {levels.beyond} is the rest of it."
    ]


def _other_targets(runs: Sequence[Measured]) -> list[str]:
    drawn = {(run.targets, *(_config(run).get(setting) for setting in ROWS)) for run in runs}
    if len(drawn) < 2:
        return []
    parts = "; ".join(f"{run.name}: {run.targets[0]:,} of {run.targets[1]:,}" for run in runs)
    return [
        f"The runs draw their training targets in different ways, so the losses are not of the same ones ({parts})."
    ]


def _other_sizes(runs: Sequence[Measured]) -> list[str]:
    sizes = {run.label: run.record.get("parameters") for run in runs}
    if len({size for size in sizes.values() if size}) < 2:
        return []
    parts = "; ".join(f"{label}: {size:,}" for label, size in sizes.items() if size)
    return [
        f"The models have different numbers of weights ({parts}); trace, gradient norm "
        "and what a step of a given rho does depend on how many there are."
    ]


def _joined(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
