"""Made-up finished runs of a comparison, for tests of its tables."""

from dataclasses import replace

import numpy as np
import pandas as pd

from recbole_samrec.experiments.results import Run


def make_run(entry="SAMRec", seed=1, rank=(1, 3, 11, 40), fraction=1.0, **result) -> Run:
    """A run with these ranks of its test items; with the history masked they are one place better."""
    rank = np.array(rank)
    columns = {"rank": rank, "masked_rank": np.maximum(rank - 1, 1), "history": 5, "popularity": np.arange(len(rank))}
    about = {"data": {"users": len(rank), "items": 50, "interactions": 1000}, "device": "cpu", **result}
    return Run(entry, "tiny_set", seed, fraction, about, pd.DataFrame(columns), "hash")


def make_runs(entry: str, better: int, users: int = 60, seeds=(1, 2)) -> list[Run]:
    """Runs of a model that ranks every item some places better than 30 to 40."""
    ranks = 30 + np.arange(users) % 10
    return [make_run(entry, seed, np.maximum(1, ranks - better - seed)) for seed in seeds]


def make_shifted(entry: str, shifts) -> list[Run]:
    """Runs in which each seed ranks every item a given number of places lower."""
    return [make_run(entry, seed, 3 + np.arange(60) % 10 + shift) for seed, shift in enumerate(shifts)]


def make_clustered(entry: str, prediction: str, rank=(1, 3, 11, 2, 2, 8), seed: int = 1, **result) -> Run:
    """A run of three users with three, two and one test events."""
    run = make_run(entry, seed, rank, **result)
    return replace(
        run, ranks=run.ranks.assign(user=[0, 0, 0, 1, 1, 2], event=[0, 1, 2, 0, 1, 0]), prediction=prediction
    )
