"""Measure coverage and false positives of the inference of ``compare``, on simulated ranks.

``python -m benchmarks.inference`` prints, for equal and unequal numbers of seeds, one and several test events per user,
and effects of the seed from none on, how often the 95 % interval over users and seeds contains the true difference of
NDCG@10, and how often p is below 0.05 where two entries do not differ. The logarithm of a rank is the sum of the user's
effect, which all entries share, of how well an entry suits the user, of the seed's effect and of noise.
``docs/explanation/coverage.md`` has the table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.simulation import run_simulation
from recbole_samrec.evaluator.statistics import (
    Estimate,
    compute_user_metric,
    estimate_over_users,
    estimate_over_users_and_seeds,
)
from recbole_samrec.evaluator.user_metrics import score_users

USERS, SIMULATIONS = 200, 1000
SEEDS = ((2, 2), (3, 3), (5, 5), (10, 3), (10, 2), (5, 2), (1, 2), (1, 3), (1, 5))
"""Numbers of seeds of two entries; an entry with one seed is deterministic."""
EVENTS, EFFECTS = (1, 3), (0.0, 0.3)
"""Mean number of test events per user, and the standard deviation of the seeds' effects."""
METRIC, MIDDLE, TASTE, ITEMS = "ndcg@10", 2.5, 0.5, 3000
"""Metric, mean logarithm of a rank, standard deviation of how well an entry suits a user, and number of items."""
BETTER = 0.15
"""Distance of the better entry's mean logarithm below the other's, where two entries differ."""


class Case(NamedTuple):
    """A kind of comparison: the numbers of seeds, the mean number of events per user, and the seeds' effects."""

    seeds: tuple[int, int]
    events: int
    effect: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return run_simulation("inference", __doc__, measure_inference, SIMULATIONS, arguments)


def measure_inference(
    simulations: int,
    seeds: Sequence[tuple[int, int]] = SEEDS,
    events: Sequence[int] = EVENTS,
    effects: Sequence[float] = EFFECTS,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure coverage and false positives, each in simulated pairs of entries.

    Args:
        simulations: Pairs of entries for each case, which differ, and as many which do not.
        seeds: Numbers of seeds of both entries.
        events: Mean numbers of test events per user.
        effects: Standard deviations of the seeds' effects.
        seed: Seed of the random numbers.

    Returns:
        One line for each case: the percentage of intervals that contain the true difference (``coverage``), of pairs
        without a difference whose p is below 0.05 (``false positives``), and the same for a t test over users alone.
    """
    generator = np.random.default_rng(seed)
    lines = []
    for case in (
        Case(*one) for one in ((pair, mean, effect) for pair in seeds for mean in events for effect in effects)
    ):
        truth = expect_metric(case.effect, BETTER) - expect_metric(case.effect)
        covered, false = [], []
        for _ in range(simulations):
            (low,), (high,) = simulate(generator, case, BETTER)[0].interval()
            covered.append(low <= truth <= high)
            false.append([estimate.p()[0] < 0.05 for estimate in simulate(generator, case)])
        shares = np.round(100 * np.array([np.mean(covered), *np.mean(false, axis=0)]), 1)
        lines.append((*case.seeds, case.events, case.effect, *shares))
    columns = ["seeds", "seeds of the other", "events", "seed effect"]
    return pd.DataFrame(lines, columns=[*columns, "coverage", "false positives", "false positives, users alone"])


def simulate(generator: np.random.Generator, case: Case, better: float = 0.0) -> tuple[Estimate, Estimate]:
    """Simulate two entries, and estimate their difference over users and seeds and over users alone."""
    users = np.repeat(np.arange(USERS), generator.geometric(1 / case.events, USERS))
    shared = generator.standard_normal(USERS)[users]
    scores = [
        score_users(_draw_ranks(generator, users, shared - shift, number, case.effect), METRIC, users)[..., None]
        for number, shift in zip(case.seeds, (better, 0.0), strict=True)
    ]
    first, second = (number == 1 for number in case.seeds)
    over_users = estimate_over_users(scores[0].mean(axis=1) - scores[1].mean(axis=1))
    return estimate_over_users_and_seeds(scores[0], scores[1], (first, second)), over_users


def _draw_ranks(
    generator: np.random.Generator, users: np.ndarray, shared: np.ndarray, seeds: int, effect: float
) -> np.ndarray:
    """Draw the ranks of an entry, shape ``[N, seeds]``.

    A deterministic entry has noise in place of the seed's effect, so that its ranks are distributed as all others.
    """
    suits = TASTE * generator.standard_normal(USERS)[users]
    of_seed = effect * generator.standard_normal(seeds) if seeds > 1 else 0.0
    spread = 1.0 if seeds > 1 else float(np.hypot(1, effect))
    noise = spread * generator.standard_normal((len(users), seeds))
    return np.clip(np.exp(MIDDLE + (shared + suits)[:, None] + of_seed + noise), 1, ITEMS).astype(int)


def expect_metric(effect: float, better: float = 0.0) -> float:
    """Compute the mean of the metric of an entry, over all users and seeds."""
    ranks = np.arange(1, ITEMS + 1)
    spread = np.sqrt(2 + TASTE**2 + effect**2)
    below = stats.norm.cdf(np.log(ranks + 1), MIDDLE - better, spread)
    return float(np.diff(below, prepend=0) @ compute_user_metric(ranks, METRIC))


if __name__ == "__main__":
    sys.exit(main())
