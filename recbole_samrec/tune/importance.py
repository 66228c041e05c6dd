"""Importance of each parameter of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from recbole_samrec.config.parameters import Parameter

FEWEST = 8
"""Trials below which nothing is estimated."""
FOLDS, REPEATS, TREES, SHUFFLES = 4, 3, 50, 5


def select_scored(trials: pd.DataFrame) -> pd.DataFrame:
    """Select the trials that can be compared: finished or stopped early, with a score."""
    return trials[(trials["status"] != "failed") & np.isfinite(trials["score"].astype(float))]


def importance(trials: pd.DataFrame, parameters: Sequence[Parameter], *, seed: int = 0) -> pd.DataFrame:
    """Compute the share of the variation of the scores that each parameter explains, alone and with others.

    A random forest learns the scores' ranks from three quarters of the trials. In the last quarter, which was not used
    for training, a parameter's values are shuffled among the trials; its importance is the squared error that this adds
    (Breiman, Random Forests, 2001, section 10), divided by twice the variance of the ranks.
    With a perfect forest and independent parameters this is Sobol's total index: 1 for a parameter that alone decides
    the score, 0 for one that does not matter.

    Ranks and not scores, because a few trials that learned nothing would otherwise make up nearly all of the variance
    and hide the differences between good trials. So it makes no difference whether more or less is better.

    Args:
        trials: One line per trial with its ``status``, its ``score`` and a column for each parameter.
        parameters: The parameters to judge. Numbers are taken as such, logarithmic ones by their logarithm, everything
            else as a category.
        seed: Seed of the forests, the quarters and the shuffles.

    Returns:
        A line for each parameter, the most important first: ``parameter``, ``importance`` (mean over the quarters, kept
        between 0 and 1) and ``spread`` (their standard deviation). No line with fewer than 8 trials or one score only.
    """
    trials = select_scored(trials)
    lines: list[tuple[str, float, float]] = []
    if len(trials) >= FEWEST and trials["score"].nunique() > 1 and parameters:
        inputs = np.column_stack([encode_values(trials[one.name], one) for one in parameters])
        added = _measure_added_errors(inputs, trials["score"].rank().to_numpy(), seed)
        names, shares = [one.name for one in parameters], added.mean(axis=0).clip(0, 1)
        lines = list(zip(names, shares, added.std(axis=0), strict=True))
    table = pd.DataFrame(lines, columns=["parameter", "importance", "spread"])
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def encode_values(values: pd.Series, parameter: Parameter) -> np.ndarray:
    """Return numbers, their logarithms to base 10, or the places of categories."""
    if not parameter.numeric:
        return find_categories(values)[0]
    numbers = values.to_numpy(float)
    return np.log10(numbers) if parameter.logarithmic else numbers


def find_categories(values: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """Find the index of each value among the distinct ones, and these, sorted if they have an order.

    Lists are categories too.
    """
    different = {str(value): value for value in values}
    try:
        names = sorted(different, key=different.__getitem__)
    except TypeError:  # values of several kinds
        names = sorted(different)
    places = {name: place for place, name in enumerate(names)}
    return np.array([places[str(value)] for value in values], float), [different[name] for name in names]


def _measure_added_errors(inputs: np.ndarray, goal: np.ndarray, seed: int) -> np.ndarray:
    """Measure the squared error added by shuffling each input, over twice the goal's variance: ``[fold, input]``."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import RepeatedKFold

    added = []
    folds = RepeatedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=seed)
    for number, (known, unseen) in enumerate(folds.split(inputs), start=seed):
        forest = RandomForestRegressor(TREES, random_state=number).fit(inputs[known], goal[known])
        found = permutation_importance(
            forest, inputs[unseen], goal[unseen],
            scoring="neg_mean_squared_error", n_repeats=SHUFFLES, random_state=number,
        )  # fmt: skip
        in_place = 1 / len(unseen)  # the share of the values that a shuffle does not move
        added.append(found.importances_mean / (1 - in_place))
    return np.stack(added) / (2 * goal.var())
