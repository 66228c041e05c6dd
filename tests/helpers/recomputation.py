"""Metrics, intervals and p-values from the ``ranks.npz`` of runs, computed with numpy and scipy alone.

Nothing of the package computes here: the statistics are written out, so that they can be compared with those on pages.
"""

import json
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
from scipy import optimize, stats

METRICS = ["hr@5", "hr@10", "hr@20", "ndcg@5", "ndcg@10", "ndcg@20", "mrr"]


@cache
def find_runs(out: Path) -> dict[tuple[str, str], list[Path]]:
    """The folders of the runs of each protocol and entry, by seed, from their records."""
    found = defaultdict(list)
    for file in out.rglob("result.json"):
        record = json.loads(file.read_text(encoding="utf-8"))
        split = record["config"]["eval_args"]["split"]
        protocol = f"gts-{split['GTS']['target']}" if "GTS" in split else "loo"
        found[protocol, record["label"]].append((record["seed"], file.parent))
    return {key: [folder for _, folder in sorted(folders)] for key, folders in found.items()}


@cache
def score(folder: Path, metric: str, column: str) -> np.ndarray:
    """The metric of each user, averaged over the user's events, from a file of ranks."""
    with np.load(folder / "ranks.npz") as file:
        rank, user = file[column].astype(float), file["user"]
    name, _, cut = metric.partition("@")
    gain = {"hr": np.ones(len(rank)), "ndcg": 1 / np.log2(rank + 1), "mrr": 1 / rank}[name]
    if cut:
        gain[rank > int(cut)] = 0
    _, place = np.unique(user, return_inverse=True)
    return np.bincount(place, gain) / np.bincount(place)


def score_all(folders: list[Path], metric: str, column: str) -> np.ndarray:
    """The metric of each user by each seed, shape ``[U, seeds]``."""
    return np.stack([score(folder, metric, column) for folder in folders], axis=1)


class Inference:
    """The t test of a difference over users crossed with seeds, with Satterthwaite's degrees of freedom."""

    def __init__(self, mine: np.ndarray, other: np.ndarray, fixed: tuple[bool, bool]) -> None:
        users = len(mine)
        differences = mine.mean(axis=1) - other.mean(axis=1)
        of_users = differences.var(ddof=1) / users
        variance, spread, fewest = of_users, of_users**2 / (users - 1), users - 1
        for values, deterministic in zip((mine, other), fixed, strict=True):
            seeds = values.shape[1]
            if not deterministic:
                residual = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
                interaction = (residual**2).sum() / (users - 1) / (seeds - 1)
                between = values.mean(0).var(ddof=1)
                variance += max(0, between - interaction / users) / seeds
                spread += (between / seeds) ** 2 / (seeds - 1)
                fewest = min(fewest, seeds - 1)
        self.difference, self.error = differences.mean(), np.sqrt(variance)
        self.freedom = max(fewest, variance**2 / spread)
        self.of_users, self.users = np.sqrt(of_users), users

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        return stats.t.interval(level, self.freedom, self.difference, self.error)

    def interval_of_users(self) -> tuple[float, float]:
        return stats.t.interval(0.95, self.users - 1, self.difference, self.of_users)

    def p(self) -> float:
        return 2 * stats.t.sf(abs(self.difference) / self.error, self.freedom)

    def expected(self) -> dict[str, float]:
        """The figures of the difference by the names of their columns on a page."""
        ends = dict(zip(("low_with_seeds", "high_with_seeds"), self.interval(), strict=True))
        ends |= dict(zip(("low", "high"), self.interval_of_users(), strict=True))
        return {"difference": self.difference, "p": self.p(), "mde": self.detectable(), **ends}

    def equivalence_p(self, margin: float) -> float:
        above = stats.t.sf((self.difference + margin) / self.error, self.freedom)
        return max(above, stats.t.cdf((self.difference - margin) / self.error, self.freedom))

    def detectable(self) -> float:
        """The difference that is detected with 80 % power, by a search for the noncentrality."""
        critical = stats.t.ppf(0.975, self.freedom)
        return self.error * optimize.brentq(lambda shift: stats.nct.sf(critical, self.freedom, shift) - 0.8, 0, 60)


def correct(p: list[float]) -> list[float]:
    """Holm's correction: the smallest p-value times their number, the next times one less, never decreasing."""
    order, corrected, largest = np.argsort(p), [0.0] * len(p), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, p[index] * (len(p) - place)))
        corrected[index] = largest
    return corrected
