"""How much of what a search found each parameter explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from recbole_samrec.tune.spaces import Parameter

FEWEST = 8
"""Trials below which nothing is estimated."""
FOLDS, REPEATS, TREES, SHUFFLES = 4, 3, 50, 5


def scored(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that can be compared: finished or stopped early, with a score."""
    return trials[(trials["status"] != "failed") & np.isfinite(trials["score"].astype(float))]


def importance(trials: pd.DataFrame, parameters: Sequence[Parameter], *, seed: int = 0) -> pd.DataFrame:
    """Share of the variation of the scores that each parameter explains, alone and together with others.

    A random forest learns the scores' ranks from three quarters of the trials. In the last quarter, which it has not
    seen and so does not know by heart, a parameter's values are shuffled among the trials; its importance is what that
    adds to the squared error (Breiman, Random Forests, 2001, section 10), divided by twice the variance of the ranks.
    With a perfect forest and independent parameters this is Sobol's total index: 1 for a parameter that alone decides
    the score, 0 for one that does not matter.

    Ranks and not scores, because a few trials that learnt nothing would else make up nearly all of the variance and
    hide what tells good from better. So it makes no difference whether more or less is better.

    Args:
        trials: One line a trial with its ``status``, its ``score`` and a column for each parameter.
        parameters: The parameters to judge. Numbers are taken as such, logarithmic ones by their logarithm, everything
            else as a category.
        seed: Of the forests, the quarters and the shuffles.

    Returns:
        A line for each parameter, the most important first: ``parameter``, ``importance`` (mean over the quarters, kept
        between 0 and 1) and ``spread`` (their standard deviation). No line with fewer than 8 trials or one score only.
    """
    trials = scored(trials)
    lines: list[tuple[str, float, float]] = []
    if len(trials) >= FEWEST and trials["score"].nunique() > 1 and parameters:
        inputs = np.column_stack([encoded(trials[one.name], one) for one in parameters])
        added = _added_errors(inputs, trials["score"].rank().to_numpy(), seed)
        names, shares = [one.name for one in parameters], added.mean(axis=0).clip(0, 1)
        lines = list(zip(names, shares, added.std(axis=0), strict=True))
    table = pd.DataFrame(lines, columns=["parameter", "importance", "spread"])
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def encoded(values: pd.Series, parameter: Parameter) -> np.ndarray:
    """Numbers, or their logarithms to base 10, or the places of categories."""
    if not parameter.numeric:
        return as_categories(values)[0]
    numbers = values.to_numpy(float)
    return np.log10(numbers) if parameter.logarithmic else numbers


def as_categories(values: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """The place of each value among the different ones, and these, in their order where they have one.

    Lists are categories too.
    """
    different = {str(value): value for value in values}
    try:
        names = sorted(different, key=different.__getitem__)
    except TypeError:  # values of several kinds
        names = sorted(different)
    places = {name: place for place, name in enumerate(names)}
    return np.array([places[str(value)] for value in values], float), [different[name] for name in names]


def _added_errors(inputs: np.ndarray, goal: np.ndarray, seed: int) -> np.ndarray:
    """Squared error added by shuffling each input, in units of twice the goal's variance: ``[fold, input]``."""
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
        in_place = 1 / len(unseen)  # the share of the values that a shuffle leaves where they were
        added.append(found.importances_mean / (1 - in_place))
    return np.stack(added) / (2 * goal.var())
