"""Measure how often 95 % intervals contain the true difference where users have several test events, by simulation.

``python -m benchmarks.cluster_coverage`` prints the share of intervals that contain the truth, if the events of a user
are averaged first, as ``compare`` does, and if all events are taken as independent. The ranks of a user's events are
alike: they depend on the user, on how well an entry suits the user (the taste, in units of the noise of one event) and
on noise. Both entries have the same distribution of ranks, so that the true difference is 0.
``docs/explanation/coverage.md`` has the table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.simulation import run_simulation
from recbole_samrec.evaluator.statistics import estimate_over_users, estimate_over_users_and_seeds
from recbole_samrec.evaluator.user_metrics import AT_ONCE, ONE_BY_ONE, score_users

USERS, SEEDS, SIMULATIONS = 200, 3, 2000
EVENTS, TASTES = (1, 3, 10), (0.0, 0.5, 1.0)
"""Mean number of test events per user, and the standard deviation of an entry's effect on a user."""
METRIC, MIDDLE, ITEMS = "ndcg@10", 2.5, 3000
"""Metric, mean logarithm of a rank, and number of items."""
COLUMNS = ("by user, one by one", "by user, at once", "by event", "by user, with seeds", "by event, with seeds")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return run_simulation("cluster_coverage", __doc__, measure_coverage, SIMULATIONS, arguments)


def measure_coverage(
    simulations: int, events: Sequence[int] = EVENTS, tastes: Sequence[float] = TASTES, seed: int = 0
) -> pd.DataFrame:
    """Measure the coverage of intervals of a difference of NDCG@10.

    Args:
        simulations: Pairs of entries for each number of events and each taste.
        events: Mean numbers of test events per user.
        tastes: Standard deviations of an entry's effect on a user.
        seed: Seed of the random numbers.

    Returns:
        One line for each number of ``events`` and each ``taste``: the percentage of intervals that contain the truth,
        for each of :data:`COLUMNS`.
    """
    generator = np.random.default_rng(seed)
    lines = []
    for mean in events:
        for taste in tastes:
            found = np.mean([_contain(generator, mean, taste) for _ in range(simulations)], axis=0)
            lines.append((mean, taste, *np.round(100 * found, 1)))
    return pd.DataFrame(lines, columns=["events", "taste", *COLUMNS])


def _contain(generator: np.random.Generator, mean: int, taste: float) -> list[bool]:
    """Simulate two entries, and return for each of :data:`COLUMNS` whether the interval contains their difference."""
    users = np.repeat(np.arange(USERS), generator.geometric(1 / mean, USERS))
    shared = generator.standard_normal(USERS)[users]
    mine, other = (_simulate(generator, users, shared, taste) for _ in range(2))
    singles = np.arange(len(users))
    found = []
    for index, prediction in ((users, ONE_BY_ONE), (users, AT_ONCE), (singles, ONE_BY_ONE)):
        one, two = (score_users(ranks[:, 0], METRIC, index, prediction)[:, None] for ranks in (mine, other))
        found.append(estimate_over_users(one - two).interval())
    for index in (users, singles):
        scores = (score_users(ranks, METRIC, index)[..., None] for ranks in (mine, other))
        found.append(estimate_over_users_and_seeds(*scores).interval())
    return [bool(low[0] <= 0 <= high[0]) for low, high in found]


def _simulate(generator: np.random.Generator, users: np.ndarray, shared: np.ndarray, taste: float) -> np.ndarray:
    """Simulate the ranks of an entry's seeds, shape ``[N, seeds]``."""
    suits = taste * generator.standard_normal(USERS)[users]
    noise = generator.standard_normal((len(users), SEEDS))
    return np.clip(np.exp(MIDDLE + (shared + suits)[:, None] + noise), 1, ITEMS).astype(int)


if __name__ == "__main__":
    sys.exit(main())
