"""Search algorithms and schedulers."""

import contextlib

import pytest

from recbole_samrec.tune import strategies
from recbole_samrec.tune.spaces import make_space
from recbole_samrec.tune.strategies import Strategy
from recbole_samrec.utils.errors import ConfigError


def drawn(strategy, mapping):
    """The settings that a search would try."""
    from ray.tune.experiment import Experiment
    from ray.tune.search import Searcher, SearchGenerator

    space = make_space(mapping, "here")
    trials = strategy.check(space, 1)
    found, size = strategies.searcher(strategy, 100, space, trials), trials if strategy.search != "grid" else 1
    if isinstance(found, Searcher):
        found = SearchGenerator(found)
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


def test_searcher__draws_no_settings_of_a_finite_space_twice():
    space = {"n_layers": [1, 2], "n_heads": {"int": [1, 3]}, "dropout_prob": {"quniform": [0, 0.2, 0.1]}}
    every = make_space(space, "here").list_all()
    assert len(every) == 18 and len(set(map(str, every))) == 18
    for trials in (5, 18, 40):
        found = drawn(Strategy(trials=trials), space)
        assert len(found) == len(set(map(str, found))) == min(trials, 18)
        assert drawn(Strategy(trials=trials), space) == found != drawn(Strategy(trials=trials, seed=1), space)
    assert {str(one) for one in found} == {str(one) for one in every}
    lists = drawn(Strategy(trials=9), {"mlp_hidden_size": [[8], [8, 8]], "loss_type": ["CE", "BPR"]})
    assert len(lists) == 4 and [8, 8] in [one["mlp_hidden_size"] for one in lists]


def test_strategy_check__counts_the_settings_of_a_space():
    for mapping, size in (
        ({"n_layers": [1, 2], "n_heads": {"int": [1, 4]}}, 8),
        ({"dropout_prob": {"quniform": [0, 0.3, 0.1]}}, 4),
        ({"n_layers": [1, 2], "learning_rate": {"loguniform": [0.001, 0.1]}}, 20),
        ({"n_layers": [1, 2], "inner_size": {"same_as": "n_layers"}}, 2),
    ):
        assert Strategy(trials=20).check(make_space(mapping, "here"), 1) == size


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


def test_strategy_check__of_passes_bounds_the_trials():
    """Each trial takes at least one pass."""
    endless = make_space({"learning_rate": {"loguniform": [0.001, 0.1]}}, "here")
    assert Strategy(trials=None, passes=7.5).check(endless, 1) == 8
    assert Strategy(trials=None, passes=7.5).check(make_space({"n_layers": [1, 2]}, "here"), 1) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trials": 3, "passes": 5}, "--passes=5: --trials=3 is a budget too; give one of them"),
        ({"passes": 0}, "--passes=0: give a number above 0"),
        ({"passes": 5, "search": "grid"}, "--passes=5: --search=grid has a fixed number of trials"),
        ({"passes": 5, "scheduler": "pbt"}, "--passes=5: --scheduler=pbt has a fixed number of trials"),
    ],
)
def test_strategy_check__rejects_other_budgets(given, message):
    with pytest.raises(ConfigError, match=message):
        Strategy(**{"trials": None, **given}).check(make_space({"learning_rate": [0.1, 0.2]}, "here"), 1)


@pytest.mark.parametrize("space", [{"n_layers": {"int": [1, 50]}}, {"learning_rate": {"loguniform": [0.001, 0.1]}}])
def test_searcher__of_passes_draws_distinct_trials(space):
    first = drawn(Strategy(trials=None, passes=6), space)
    assert drawn(Strategy(trials=None, passes=6), space) == first and len({str(one) for one in first}) == 6
    assert drawn(Strategy(trials=None, passes=6, seed=7), space) != first
