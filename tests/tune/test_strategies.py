"""Search algorithms and schedulers."""

import contextlib

import pytest

from recbole_samrec.tune import strategies
from recbole_samrec.tune.spaces import make_space
from recbole_samrec.tune.strategies import Strategy
from recbole_samrec.utils.errors import ConfigError


def drawn(strategy, mapping):
    """What a search would try."""
    from ray.tune.experiment import Experiment

    found, space = strategies.searcher(strategy, 10), make_space(mapping, "here")
    size = strategy.trials if strategy.search != "grid" else 1
    spec = {"config": strategies.param_space(strategy, space), "num_samples": size}
    found.add_configurations(Experiment("name", run=lambda config: None, **spec))
    return [space.complete(trial.config) for trial in iter(found.next_trial, None)]


def test_searcher_draws_the_same_trials_for_a_seed():
    space = {"learning_rate": {"loguniform": [0.001, 0.1]}, "n_layers": [1, 2, 3], "attn_dropout_prob": [0.1, 0.2]}
    first = drawn(Strategy(trials=6), space)
    assert drawn(Strategy(trials=6), space) == first and len({str(one) for one in first}) == 6
    assert drawn(Strategy(trials=6, seed=7), space) != first
    grid = {"n_layers": [1, 2], "n_heads": [1, 2, 4]}
    every = drawn(Strategy(search="grid", trials=None), grid)
    assert sorted(map(str, every)) == sorted(map(str, make_space(grid, "here").grid()))


def test_strategy_check_names_what_is_missing():
    space = make_space({"n_layers": [1, 2]}, "here")
    for name in ("optuna", "hyperopt"):
        with contextlib.suppress(ImportError):
            __import__(name)
            continue
        with pytest.raises(ConfigError, match=f"pip install {name}"):
            Strategy(search=name).check(space, 1)
    with pytest.raises(ConfigError, match="there are 2 combinations, more than --trials=1"):
        Strategy(search="grid", trials=1).check(space, 1)
    with pytest.raises(ConfigError, match="changes learning_rate, sam_rho"):
        Strategy(scheduler="pbt").check(space, 1)


def test_scheduler_has_no_rung_at_the_last_epoch():
    space = make_space({"n_layers": [1, 2]}, "here")
    for grace, epochs in ((2, 18), (10, 300), (1, 3), (2, 6)):
        asha = strategies.scheduler(Strategy(grace=grace), space, epochs)
        rungs = [milestone for bracket in asha._brackets for milestone, _ in bracket._rungs]
        assert min(rungs) == grace and max(rungs) < epochs
    assert type(strategies.scheduler(Strategy(grace=3), space, 3)).__name__ == "FIFOScheduler"


def test_keep_within__keeps_bounds():
    within = strategies.KeepWithin({"hidden_dropout_prob": (0.1, 0.5)})
    assert within({"hidden_dropout_prob": 0.6, "sam_rho": 3.0}) == {"hidden_dropout_prob": 0.5, "sam_rho": 3.0}
