"""Strategy of a search: the algorithm that draws trials, and the scheduler that stops them."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from recbole_samrec.tune.spaces import Space, make_domain
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.installer import make_install_command

SEARCHES = ("random", "grid", "optuna", "hyperopt")
SCHEDULERS = ("asha", "median", "pbt", "none")
SCORE, TIME = "score", "epoch"
"""Names of the reported score and epoch."""
CHANGEABLE = ("learning_rate", "sam_rho", "hidden_dropout_prob", "attn_dropout_prob", "dropout_prob")
"""Settings that can change during training."""
USUAL_TRIALS = 20
REDUCTION = 3
"""ASHA continues the best third of the trials at each of its rungs."""
PERTURBED_EVERY = 5
"""Epochs after which weak trials of population based training continue from strong ones."""


@dataclass(frozen=True)
class Strategy:
    """Search algorithm and scheduler.

    Args:
        search: ``random``, ``grid``, ``optuna`` or ``hyperopt``.
        scheduler: ``asha``, ``median``, ``pbt`` or ``none``.
        trials: Number of trials; None for all combinations of a grid.
        grace: Epochs before which no trial is stopped.
        seed: Seed of the draws.
        passes: Gradient passes of all trials after which no new one starts, in place of a number of trials.
    """

    search: str = "random"
    scheduler: str = "asha"
    trials: int | None = 20
    grace: int = 10
    seed: int = 2020
    passes: float | None = None

    def check(self, space: Space, seeds: int) -> int:
        """Check the strategy, and return the number of trials: at most one for each combination of a finite space.

        With a budget in passes it is the largest number, since each trial takes at least one pass.

        Raises:
            ConfigError: Search, scheduler and space cannot be combined, or a package is missing.
        """
        for flag, value, there in (("search", self.search, SEARCHES), ("scheduler", self.scheduler, SCHEDULERS)):
            if value not in there:
                raise ConfigError(f"--{flag}={value}: choose one of {', '.join(there)}")
        numbers = (("trials", self.trials, 1), ("grace", self.grace, 1), ("search_seed", self.seed, 0))
        for flag, number, least in numbers:
            if number is not None and number < least:
                raise ConfigError(f"--{flag}={number}: give a number of at least {least}")
        if self.passes is not None:
            self._check_passes(self.passes)
        if self.search in ("optuna", "hyperopt") and importlib.util.find_spec(self.search) is None:
            raise ConfigError(
                f"--search={self.search}: the package {self.search} is not installed; omit --search for random, or "
                f"install it: {make_install_command(self.search)}"
            )
        if self.scheduler == "pbt":
            _check_pbt(space, seeds)
        if self.search != "grid":
            wanted = USUAL_TRIALS if self.trials is None else self.trials
            wanted = wanted if self.passes is None else math.ceil(self.passes)
            return wanted if self.scheduler == "pbt" else int(min(wanted, space.size))
        size = len(space.grid())
        if self.trials is not None and size > self.trials:
            raise ConfigError(
                f"--search=grid: there are {size} combinations, more than --trials={self.trials}; raise --trials, or "
                "choose --search=random"
            )
        return size

    def _check_passes(self, number: float) -> None:
        """Check that the budget is in passes alone, and that trials can be started one after the other."""
        passes = f"--passes={number:g}"
        if self.trials is not None:
            raise ConfigError(f"{passes}: --trials={self.trials} is a budget, too; give one of them")
        if not 0 < number < math.inf:
            raise ConfigError(f"{passes}: give a number above 0")
        if self.search == "grid" or self.scheduler == "pbt":
            flag = "--search=grid" if self.search == "grid" else "--scheduler=pbt"
            raise ConfigError(f"{passes}: {flag} has a fixed number of trials; remove --passes, or choose another")


def _check_pbt(space: Space, seeds: int) -> None:
    if seeds > 1:
        raise ConfigError("--scheduler=pbt: a trial has one seed, since trials continue from one another; omit --seeds")
    if not set(space.names) & set(CHANGEABLE):
        raise ConfigError(
            f"--scheduler=pbt changes {', '.join(CHANGEABLE)} in running trials, and the space has none of them; add "
            "one, or choose another scheduler"
        )


def param_space(strategy: Strategy, space: Space) -> dict[str, Any]:
    """Make Ray Tune's domains of the parameters."""
    if strategy.search != "grid":
        return space.domains()
    from ray import tune

    return {parameter.name: tune.grid_search(list(parameter.values)) for parameter in space.parameters}


def searcher(strategy: Strategy, at_once: int, space: Space, trials: int) -> Any:
    """Ray Tune's search algorithm, which draws the same trials for the same seed, and no settings twice.

    Args:
        strategy: Search algorithm and scheduler.
        at_once: Most trials at a time.
        space: What is searched.
        trials: Number of trials.
    """
    from ray.tune.search import ConcurrencyLimiter, Searcher

    from recbole_samrec.tune.budget import BudgetSearcher
    from recbole_samrec.tune.distinct import DistinctSearcher, DrawnSearcher, draw_distinct

    limited = partial(BudgetSearcher, passes=strategy.passes) if strategy.passes is not None else lambda inner: inner
    one_by_one = math.isfinite(space.size) or strategy.passes is not None
    if strategy.search == "random" and strategy.scheduler != "pbt" and one_by_one:
        drawn = DrawnSearcher(draw_distinct(space, trials, strategy.seed))
        return ConcurrencyLimiter(limited(drawn), max_concurrent=at_once)
    if strategy.search in ("random", "grid"):
        from ray.tune.search.basic_variant import BasicVariantGenerator

        return BasicVariantGenerator(random_state=strategy.seed, max_concurrent=at_once)
    found: Searcher
    if strategy.search == "optuna":
        from ray.tune.search.optuna import OptunaSearch

        found = OptunaSearch(seed=strategy.seed)
    else:
        from ray.tune.search.hyperopt import HyperOptSearch

        found = HyperOptSearch(random_state_seed=strategy.seed)
    return ConcurrencyLimiter(limited(DistinctSearcher(found, space, strategy.seed)), max_concurrent=at_once)


def scheduler(strategy: Strategy, space: Space, epochs: int) -> Any:
    """Ray Tune's scheduler.

    Args:
        strategy: Search algorithm and scheduler.
        space: What is searched.
        epochs: Most epochs of a trial.
    """
    from ray.tune import schedulers

    if strategy.scheduler == "asha" and strategy.grace < epochs:
        return schedulers.ASHAScheduler(
            time_attr=TIME,
            grace_period=strategy.grace,
            reduction_factor=REDUCTION,
            max_t=epochs - 1,
            stop_last_trials=False,
        )
    if strategy.scheduler == "median":
        return schedulers.MedianStoppingRule(time_attr=TIME, grace_period=strategy.grace)
    if strategy.scheduler == "pbt":
        ranges = {each.name: each.bounds for each in space.parameters if not each.values}
        return schedulers.PopulationBasedTraining(
            time_attr=TIME,
            perturbation_interval=PERTURBED_EVERY,
            hyperparam_mutations=_mutations(space),
            custom_explore_fn=KeepWithin(ranges),
            log_config=False,
        )
    return schedulers.FIFOScheduler()


class KeepWithin:
    """Keeps settings that population based training changes within the bounds of the space.

    Args:
        bounds: The smallest and the largest value of each range.
    """

    def __init__(self, bounds: Mapping[str, tuple[float, float]]) -> None:
        self._bounds = bounds

    def __call__(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Return the changed settings, each within its bounds."""
        inside = {key: min(max(drawn[key], low), high) for key, (low, high) in self._bounds.items() if key in drawn}
        return drawn | inside


def _mutations(space: Space) -> dict[str, Any]:
    """Return the domains of settings that can change during training, for population based training."""
    changeable = [parameter for parameter in space.parameters if parameter.name in CHANGEABLE]
    return {each.name: list(each.values) if each.kind == "choice" else make_domain(each) for each in changeable}
