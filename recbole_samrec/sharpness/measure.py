"""Measurements of finished runs, stored as arrays and tables for figures and pages."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_samrec.analysis import hessian, landscape, sharpness
from recbole_samrec.experiments.job_folders import slug
from recbole_samrec.quick_start.environment import device_name
from recbole_samrec.sharpness import robustness
from recbole_samrec.sharpness.finished_run import Solution
from recbole_samrec.trainer.sampled_loss import require_second_derivative, sampled_loss
from recbole_samrec.utils import checkpoint_io

DATA = "data"
"""Folder of the arrays."""
PartProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Budget:
    """The amount of computation of a report.

    Args:
        targets: Training targets of the sample.
        slope_targets: Training targets of the gradient and the rises along it, or all there are; the gradient of a
            small sample is mostly noise.
        eigenvalues: How many of the largest.
        products: Most Hessian-vector products for them, where the search does not need more: 72 and one for each.
        trace_probes: Random vectors for the trace.
        density_steps: Steps of Lanczos of a probe.
        density_probes: Probes of the density.
        rhos: Radii of the ascent step.
        adaptive_rhos: Radii in units of the weights.
        random_draws: Random directions for each radius.
        climb: Steps of the worst case in the adaptive norm.
        grid: Points of a side of the surface, an odd number.
        points: Points of a line, an odd number.
        reach: Extent of surface and lines, in lengths of the weights.
        noise: Levels of noise on the weights.
        changes: Shares of the test histories that are changed.
        draws: Draws of each level.
    """

    targets: int = 8192
    slope_targets: int = 131072
    eigenvalues: int = 10
    products: int = 150
    trace_probes: int = 30
    density_steps: int = 60
    density_probes: int = 3
    rhos: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    adaptive_rhos: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)
    random_draws: int = 10
    climb: int = 20
    grid: int = 25
    points: int = 51
    reach: float = 1.0
    noise: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
    changes: tuple[float, ...] = (0.0, 0.1, 0.2, 0.4, 0.6)
    draws: int = 5

    @property
    def key(self) -> str:
        """A short hash that distinguishes arrays of different budgets."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:12]


QUICK = Budget(
    targets=2048,
    slope_targets=32768,
    eigenvalues=3,
    products=40,
    trace_probes=8,
    density_steps=25,
    density_probes=1,
    rhos=(0.03, 0.1, 0.3, 1.0),
    adaptive_rhos=(0.3, 1.0),
    random_draws=4,
    climb=8,
    grid=11,
    points=21,
    noise=(0.0, 0.05, 0.1, 0.2, 0.4),
    changes=(0.0, 0.2, 0.4),
    draws=3,
)
FULL = Budget()


class Store:
    """The arrays of one run, each part in one file with the key of its inputs.

    Args:
        folder: Folder of the files.
        key: Hash of the inputs: the weights and the budget.

    Attributes:
        seconds: Time that each part that was read or written took, in all calls together.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self._key, self.seconds = folder, key, dict[str, float]()
        self._since = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    def file(self, part: str) -> Path:
        """The file of a part."""
        return self.folder / f"{part}.npz"

    def read(self, part: str) -> dict[str, np.ndarray] | None:
        """Read a part that was computed before, perhaps not completely; None if it is missing or damaged."""
        self._lap()
        try:
            with np.load(self.file(part), allow_pickle=False) as stored:
                arrays = dict(stored)
            if str(arrays.pop("key")) != self._key:
                return None
            self.seconds[part] = float(arrays.pop("seconds"))
            return arrays
        except Exception:  # zip, zlib and numpy each raise their own error for a damaged file, which is computed again
            return None

    def write(self, part: str, **arrays: Any) -> None:
        """Store a part, with the time since the last part was read or written as the time that it took."""
        self.seconds[part] = self.seconds.get(part, 0.0) + self._lap()
        with checkpoint_io.open_atomically(self.file(part)) as file:
            np.savez_compressed(file, key=np.array(self._key), seconds=self.seconds[part], **arrays)

    def _lap(self) -> float:
        before, self._since = self._since, time.monotonic()
        return self._since - before

    def part(self, part: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """Return a part, computed only if there is no file."""
        stored = self.read(part)
        if stored is None:
            self.write(part, **compute())
            stored = self.read(part)
        return stored or {}


@dataclass(frozen=True)
class Measured:
    """All measurements of a run.

    Args:
        name: Name of the run.
        label: Name of its entry.
        seed: Its seed.
        parts: The arrays of each part.
        noise: Test metrics under noise, as :func:`recbole_samrec.sharpness.robustness.measure_under_noise` gives them.
        changes: Test metrics with changed histories; empty for a model that reads none.
        record: The run's ``result.json``.
        targets: Training targets of the sample, and all there are.
        device: Device of the computation.
        seconds: Time of the computation, in all calls together.
    """

    name: str
    label: str
    seed: int
    parts: Mapping[str, Mapping[str, np.ndarray]]
    noise: pd.DataFrame
    changes: pd.DataFrame
    record: Mapping[str, Any]
    targets: tuple[int, int]
    device: str = ""
    seconds: float = 0.0


def measure_run(solution: Solution, budget: Budget, out: Path, progress: PartProgress) -> Measured:
    """Measure a run, or continue where that was interrupted.

    Args:
        solution: The run.
        budget: How much is computed.
        out: Folder of the report.
        progress: Called with the name of a part, the finished steps and all steps.
    """
    store = Store(out / DATA / slug(solution.name), f"{_hash_weights(solution)}-{budget.key}")
    parts = {
        "curvature": store.part("curvature", lambda: _measure_curvature(solution, budget, progress)),
        "sharpness": store.part("sharpness", lambda: _measure_sharpness(solution, budget, progress)),
        "line": _measure_line(solution, budget, store, progress),
        "surface": _measure_surface(solution, budget, store, progress),
    }
    noise = _keep_table(store, "noise", lambda: _measure_noise(solution, budget, progress))
    changes = _keep_table(store, "histories", lambda: _measure_changes(solution, budget, progress))
    targets = (solution.targets, solution.all_targets)
    return Measured(
        solution.name,
        solution.label,
        solution.seed,
        parts,
        noise,
        changes,
        solution.record,
        targets,
        device_name(solution.trainer.device),
        sum(store.seconds.values()),
    )


def _hash_weights(solution: Solution) -> str:
    digest = hashlib.sha256(str(solution.targets).encode())
    for name, weight in solution.parameters.items():
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _name_part(progress: PartProgress, part: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(part, done, total)


def _measure_curvature(solution: Solution, budget: Budget, progress: PartProgress) -> dict[str, Any]:
    loss, weights = solution.loss, solution.weights
    require_second_derivative(loss, weights, str(solution.folder), type(solution.trainer.model).__name__)
    top = hessian.find_top_eigenvalues(
        loss,
        weights,
        budget.eigenvalues,
        max_products=budget.products,
        progress=_name_part(progress, "top eigenvalues"),
    )
    trace = hessian.estimate_trace(loss, weights, budget.trace_probes, progress=_name_part(progress, "trace"))
    density = hessian.estimate_density(
        loss,
        weights,
        steps=budget.density_steps,
        probes=budget.density_probes,
        progress=_name_part(progress, "spectral density"),
    )
    negative = density.negative
    return {
        "loss": hessian.compute_loss(loss),
        "values": top.values,
        "residuals": top.residuals,
        "converged": top.converged,
        "products": top.products,
        "trace": np.array([trace.value, trace.standard_error, trace.probes]),
        "grid": density.grid,
        "density": density.density,
        "nodes": density.nodes,
        "weights": density.weights,
        "negative": np.array([negative.share.value, negative.share.standard_error, negative.share.probes]),
        "negative_converged": negative.share_converged,
        "lowest": np.array([negative.ratio, negative.ratio_error]),
        "lowest_converged": negative.ratio_converged,
    }


def _measure_sharpness(solution: Solution, budget: Budget, progress: PartProgress) -> dict[str, Any]:
    loss, weights = solution.loss, solution.weights
    rhos, adaptive_rhos = budget.rhos, budget.adaptive_rhos
    wanted = max(budget.targets, budget.slope_targets)
    many, targets, _ = sampled_loss(solution.trainer, solution.loaders[0], wanted)
    slope = sharpness.measure_slope(many, weights, rhos, adaptive_rhos, progress=_name_part(progress, "slope"))
    show = _name_part(progress, "random, worst")
    show(0, 2)
    random = sharpness.measure_random_rises(loss, weights, rhos, budget.random_draws)
    show(1, 2)
    worst = sharpness.maximize_adaptive_rise(loss, weights, adaptive_rhos, steps=budget.climb)
    show(2, 2)
    return {
        "rhos": np.array(rhos),
        "adaptive_rhos": np.array(adaptive_rhos),
        "targets": targets,
        "loss": slope.loss,
        "gradient": slope.norm,
        "adaptive_gradient": slope.adaptive_norm,
        "ascent": slope.rises,
        "adaptive_ascent": slope.adaptive_rises,
        "adaptive_worst": worst,
        "random_worst": random.worst,
        "random_mean": random.mean,
        "random_error": random.standard_error,
    }


def _measure_line(solution: Solution, budget: Budget, store: Store, progress: PartProgress) -> dict[str, np.ndarray]:
    """Measure the loss along one random direction."""
    steps = landscape.make_positions(budget.reach, budget.points)

    def compute() -> dict[str, Any]:
        direction = landscape.draw_direction(solution.parameters, seed=0)
        show = _name_part(progress, "line")
        losses = landscape.compute_line(solution.loss, solution.parameters, direction, steps, progress=show)
        return {"x": steps, "loss": losses}

    return store.part("line", compute)


def _measure_surface(solution: Solution, budget: Budget, store: Store, progress: PartProgress) -> dict[str, np.ndarray]:
    """Measure the loss over a plane of two random directions, or resume an interrupted grid."""
    steps, part = landscape.make_positions(budget.reach, budget.grid), "surface"
    stored = store.read(part)
    if stored is not None and not np.isnan(stored["loss"]).any():
        return stored
    directions = [landscape.draw_direction(solution.parameters, seed=seed) for seed in (0, 1)]
    landscape.compute_surface(
        solution.loss,
        solution.parameters,
        directions,
        steps,
        steps,
        done=None if stored is None else stored["loss"],
        save=lambda values: store.write(part, x=steps, y=steps, loss=values),
        progress=_name_part(progress, part),
    )
    return store.read(part) or {}


def _measure_noise(solution: Solution, budget: Budget, progress: PartProgress) -> pd.DataFrame:
    show = _name_part(progress, "noise on the weights")
    return robustness.measure_under_noise(solution, budget.noise, budget.draws, progress=show)


def _measure_changes(solution: Solution, budget: Budget, progress: PartProgress) -> pd.DataFrame:
    if not robustness.reads_histories(solution):
        return pd.DataFrame()
    levels = {change: budget.changes for change in robustness.KINDS}
    show = _name_part(progress, "changed histories")
    return robustness.measure_under_changes(solution, levels, budget.draws, progress=show)


def _keep_table(store: Store, part: str, compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Return a table that is stored as arrays, one for each column."""

    def arrays() -> dict[str, Any]:
        frame = compute()
        numeric = pd.api.types.is_numeric_dtype
        return {name: values.to_numpy(dtype=None if numeric(values) else str) for name, values in frame.items()}

    return pd.DataFrame({name: values for name, values in store.part(part, arrays).items()})


def measure_between(
    solutions: Sequence[Solution], budget: Budget, out: Path, progress: PartProgress
) -> tuple[pd.DataFrame, float]:
    """Measure the loss on the straight lines from the first run to each other one of the same shape.

    Returns:
        Columns ``first``, ``second``, ``position`` (0 at the first run, 1 at the second) and ``loss``, which is the
        first run's; and the time that it took, in all calls together.
    """
    seconds = 0.0
    frames, first = [pd.DataFrame(columns=["first", "second", "position", "loss"])], solutions[0]
    where = np.linspace(-0.25, 1.25, budget.points)
    for second in solutions[1:]:
        if {name: w.shape for name, w in first.parameters.items()} != {
            name: w.shape for name, w in second.parameters.items()
        }:
            continue
        key = f"{_hash_weights(first)}-{_hash_weights(second)}-{budget.key}"
        store = Store(out / DATA / slug(first.name), key)

        def compute(second: Solution = second) -> dict[str, Any]:
            show, (one, other) = _name_part(progress, "between two runs"), (first.parameters, second.parameters)
            return {"loss": landscape.interpolate_loss(first.loss, one, one, other, where, progress=show)}

        loss = store.part(f"to-{slug(second.name)}", compute)["loss"]
        seconds += sum(store.seconds.values())
        frames.append(pd.DataFrame({"first": first.name, "second": second.name, "position": where, "loss": loss}))
    return pd.concat(frames, ignore_index=True), seconds
