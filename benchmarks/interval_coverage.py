"""Measure how often the 95 % intervals over users and seeds contain the true difference, on simulated entries.

``python -m benchmarks.interval_coverage`` prints the share of intervals that contain the truth, for 3 and 5 seeds, and
for effects of the seed from none to as large as the effects of users. Users and seeds are crossed: the metric of a user
by a seed is the user's effect, which two entries share in part, plus the seed's effect plus noise, and both entries
have the same mean, so that the true difference is 0.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.simulation import run_simulation
from recbole_samrec.evaluator.statistics import estimate_over_users, estimate_over_users_and_seeds

USERS, SEEDS, SIMULATIONS = 200, (3, 5), 2000
SEED_EFFECTS = (0.0, 0.02, 0.05, 0.1, 0.3, 1.0)
"""Standard deviations of the seeds' effects, in those of the users' effects."""
NOISE, SHARED = 0.5, 0.8
"""Standard deviation of the noise, and of the part of the users' effects that both entries share."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return run_simulation("interval_coverage", __doc__, measure_coverage, SIMULATIONS, arguments)


def measure_coverage(simulations: int, seed: int = 0) -> pd.DataFrame:
    """Measure the coverage of both kinds of interval.

    Args:
        simulations: Pairs of entries for each number of seeds and each effect of the seed.
        seed: Seed of the random numbers.

    Returns:
        One line for each number of ``seeds`` and ``seed effect``: the percentage of intervals that contain the truth,
        over ``users and seeds`` and over ``users`` alone.
    """
    generator = np.random.default_rng(seed)
    lines = []
    for seeds in SEEDS:
        for effect in SEED_EFFECTS:
            found = np.mean([_contain(generator, seeds, effect) for _ in range(simulations)], axis=0)
            lines.append((seeds, effect, *np.round(100 * found, 1)))
    return pd.DataFrame(lines, columns=["seeds", "seed effect", "users and seeds, %", "users, %"])


def _contain(generator: np.random.Generator, seeds: int, effect: float) -> tuple[bool, bool]:
    """Simulate two entries, and return whether each kind of interval contains their true difference."""
    shared = SHARED * generator.standard_normal((USERS, 1, 1))
    mine, other = (_simulate(generator, shared, seeds, effect) for _ in range(2))
    estimates = estimate_over_users_and_seeds(mine, other), estimate_over_users((mine - other).mean(axis=1))
    crossed, users = (bool(low[0] <= 0 <= high[0]) for low, high in (one.interval() for one in estimates))
    return crossed, users


def _simulate(generator: np.random.Generator, shared: np.ndarray, seeds: int, effect: float) -> np.ndarray:
    """Simulate the metrics of an entry, shape ``[U, seeds, 1]``."""
    of_user = np.sqrt(1 - SHARED**2) * generator.standard_normal((USERS, 1, 1))
    of_seed = effect * generator.standard_normal((1, seeds, 1))
    return shared + of_user + of_seed + NOISE * generator.standard_normal((USERS, seeds, 1))


if __name__ == "__main__":
    sys.exit(main())
