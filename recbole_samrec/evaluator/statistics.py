"""Metrics of each user from ranks, and tests and intervals for differences between two models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

_HUGE = 1000
"""Critical values above it have a noncentrality beside which a standard normal variable is negligible."""
POWER, LEVEL = 0.8, 0.05
"""Power for which a minimal detectable effect is computed, and the level of the test that has it."""
_ROUNDING = 1e-12
"""Standard errors and differences below it are rounding: metrics lie between 0 and 1."""


def compute_user_metric(ranks: np.ndarray, metric: str) -> np.ndarray:
    """Compute the metric of each user whose one test item has the given rank.

    HR@K is 1 if the rank is at most K, NDCG@K is 1 / log2(rank + 1) there, MRR is 1 / rank; MRR without a K has no
    cut-off.

    Args:
        ranks: Ranks in the full ranking, from 1, shape ``[U]``.
        metric: ``hr@K``, ``ndcg@K``, ``mrr@K`` or ``mrr``.

    Returns:
        Shape ``[U]``.

    Raises:
        ValueError: The metric is none of these.
    """
    name, _, cut = metric.partition("@")
    ranks = np.asarray(ranks, dtype=np.float64)
    if name == "hr" and cut:
        gain = np.ones_like(ranks)
    elif name == "ndcg" and cut:
        gain = 1 / np.log2(ranks + 1)
    elif name == "mrr":
        gain = 1 / ranks
    else:
        raise ValueError(f"{metric} is not a metric of ranks; use hr@K, ndcg@K, mrr@K or mrr")
    return np.where(ranks <= (int(cut) if cut else math.inf), gain, 0.0)


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Correct p-values for the number of comparisons (Holm 1979), in the given order.

    The smallest of n is multiplied by n, the next by n - 1 and so on; none may be below one before it, or above 1.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1)
    return corrected


class Estimate(NamedTuple):
    """Mean differences between two models, one for each metric; NaN where an error is unknown.

    Attributes:
        difference: The differences, shape ``[C]``.
        error: Their standard errors.
        freedom: Degrees of freedom of the t distribution of difference / error.
    """

    difference: np.ndarray
    error: np.ndarray
    freedom: np.ndarray

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Compute Student's t intervals with a coverage of ``level``; return lower and upper ends."""
        half = stats.t.ppf((1 + level) / 2, self.freedom) * self.error
        return self.difference - half, self.difference + half

    def p(self) -> np.ndarray:
        """Compute the p-values of the two-sided tests that these intervals invert: below 0.05 if 0 is outside."""
        certain = np.where(np.abs(self.difference) > _ROUNDING, 0.0, 1.0)
        return self._test(lambda: 2 * stats.t.sf(np.abs(self.difference) / self.error, self.freedom), certain)

    def equivalence_p(self, margin: np.ndarray | float) -> np.ndarray:
        """Compute the p-values of equivalence, each the larger of two one-sided t tests (Schuirmann 1987).

        Args:
            margin: The largest differences, in either direction, that count as none. It is below 0.05 exactly if the
                90 % interval lies between -margin and margin.
        """
        certain = np.where(np.abs(self.difference) < margin, 0.0, 1.0)
        return self._test(
            lambda: np.maximum(
                stats.t.sf((self.difference + margin) / self.error, self.freedom),
                stats.t.cdf((self.difference - margin) / self.error, self.freedom),
            ),
            certain,
        )

    def minimal_detectable(self, power: float = POWER, level: float = LEVEL) -> np.ndarray:
        """Compute the true differences that the two-sided t test detects with a given power.

        They are the standard errors times the noncentrality at which the noncentral t distribution exceeds the
        critical value with this probability (Cohen 1988).
        """
        critical = stats.t.ppf(1 - level / 2, self.freedom)
        return np.where(self.error > 0, _find_noncentrality(self.freedom, power, critical), 0) * self.error

    def _test(self, compute: Callable[[], np.ndarray], certain: np.ndarray) -> np.ndarray:
        """Compute p-values, which are ``certain`` where nothing varies."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.error < _ROUNDING, certain, compute())


def _find_noncentrality(freedom: np.ndarray, power: float, critical: np.ndarray) -> np.ndarray:
    """Find the noncentrality at which a noncentral t variable exceeds a critical value with a given probability.

    With less than half a degree of freedom critical values are huge, and SciPy's search does not end. There the normal
    part of the variable is negligible beside the noncentrality, the critical value times the root of a quantile
    of chi^2 / freedom.
    """
    huge = critical > _HUGE
    usual = special.nctdtrinc(np.where(huge, 1, freedom), 1 - power, np.where(huge, 1, critical))
    return np.where(huge, critical * np.sqrt(stats.chi2.ppf(power, freedom) / freedom), usual)


def estimate_over_users(differences: np.ndarray) -> Estimate:
    """Estimate mean differences in the population of users, for the trained models at hand.

    Args:
        differences: Of each user's metric between two models, shape ``[U, C]`` for C comparisons.

    Returns:
        The estimates, whose errors are NaN for a single user.
    """
    return _estimate(differences.mean(axis=0), [_user_part(differences)])


def estimate_over_users_and_seeds(
    mine: np.ndarray, other: np.ndarray, deterministic: tuple[bool, bool] = (False, False)
) -> Estimate:
    """Estimate mean differences in the population of users and over the seeds of training.

    Users and seeds are crossed random effects: every seed's model ranks for every user, both entries have the same
    users, and the seeds of two entries count as independent even if they are the same numbers. The variance of the
    difference is that of the users' seed-averaged differences over U, and for each entry with n seeds
    (s^2 - MS / U) / n, at least 0: s^2 is the variance of the seeds' means, and MS, the interaction's mean square, is
    subtracted because the users' term already contains it. For a deterministic entry it is 0, with one seed too. The
    degrees of freedom are Satterthwaite's for these mean squares (1946): those of s^2 count fully, since the subtracted
    term is well known. They are never fewer than those of the mean square with the fewest, as for any sum of mean
    squares; a difference would have fewer where equal seeds make two entries alike, so that the users' term does not
    contain what is subtracted. ``benchmarks/inference.py`` simulates how often the 95 % intervals contain the truth.

    Args:
        mine: Metrics of each user by each seed, shape ``[U, n, C]`` for C metrics.
        other: Metrics of the same users by the other entry, shape ``[U, m, C]``.
        deterministic: Whether each of the two gives the same metrics with every seed.

    Returns:
        The estimates, whose errors are NaN where an entry has one seed and is not deterministic.
    """
    differences = mine.mean(axis=1) - other.mean(axis=1)
    seeds = [_seed_part(values, known) for values, known in zip((mine, other), deterministic, strict=True)]
    return _estimate(differences.mean(axis=0), [_user_part(differences), *seeds])


class _Part(NamedTuple):
    """A component of a variance: the mean square that estimates it, in the same unit, and its degrees of freedom."""

    variance: np.ndarray
    known_by: np.ndarray
    freedom: int


def _user_part(differences: np.ndarray) -> _Part:
    users = len(differences)
    if users < 2:
        return _constant_part(differences.shape[1], np.nan)
    variance = differences.var(axis=0, ddof=1) / users
    return _Part(variance, variance, users - 1)


def _seed_part(values: np.ndarray, deterministic: bool) -> _Part:
    users, seeds, metrics = values.shape
    if deterministic:
        return _constant_part(metrics, 0.0)
    if users < 2 or seeds < 2:
        return _constant_part(metrics, np.nan)
    of_user, of_seed = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    residuals = values - of_user - of_seed + values.mean(axis=(0, 1))
    interaction = (residuals**2).sum(axis=(0, 1)) / ((users - 1) * (seeds - 1))
    between = of_seed[0].var(axis=0, ddof=1)
    return _Part(np.maximum(0, between - interaction / users) / seeds, between / seeds, seeds - 1)


def _constant_part(columns: int, value: float) -> _Part:
    return _Part(np.full(columns, value), np.full(columns, value), 1)


def _estimate(means: np.ndarray, parts: Sequence[_Part]) -> Estimate:
    variance = sum(part.variance for part in parts)
    spread = sum(part.known_by**2 / part.freedom for part in parts)
    freedom = np.divide(variance**2, spread, out=np.ones_like(variance), where=variance != 0)
    fewest = np.min([np.where(part.known_by > 0, part.freedom, np.inf) for part in parts], axis=0)
    return Estimate(means, np.sqrt(variance), np.where(np.isinf(fewest), freedom, np.maximum(freedom, fewest)))
