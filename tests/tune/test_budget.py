"""A search with a budget of gradient passes, without Ray's processes."""

from ray.tune.search import Searcher

from recbole_samrec.tune.budget import BudgetSearcher
from recbole_samrec.tune.distinct import DrawnSearcher


def make_searcher(passes):
    return BudgetSearcher(DrawnSearcher([{"n_layers": number} for number in range(9)]), passes)


def test_budget_searcher__ends_once_the_passes_are_used():
    searcher = make_searcher(10)
    assert searcher.suggest("a") == {"n_layers": 0}
    searcher.on_trial_result("a", {"passes": 4.0})
    assert searcher.suggest("b") == {"n_layers": 1}
    searcher.on_trial_result("a", {"passes": 6.0})  # the last result of a trial counts, not the sum of its results
    searcher.on_trial_result("b", {"passes": 3.5})
    assert searcher.suggest("c") == {"n_layers": 2}
    searcher.on_trial_result("c", {"passes": 0.5})
    assert searcher.suggest("d") == Searcher.FINISHED
    searcher.on_trial_complete("c", {"passes": 0.5})
    assert searcher.suggest("d") == Searcher.FINISHED


def test_budget_searcher__is_restored_with_what_is_used(tmp_path):
    searcher, file = make_searcher(10), str(tmp_path / "state")
    for name in "ab":
        searcher.suggest(name)
        searcher.on_trial_result(name, {"passes": 4.0})
    searcher.save(file)
    again = make_searcher(10)
    again.restore(file)
    assert again.suggest("c") == {"n_layers": 2}
    again.on_trial_result("c", {"passes": 2.0})
    assert again.suggest("d") == Searcher.FINISHED
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_budget_searcher__counts_nothing_without_passes():
    searcher = make_searcher(1)
    searcher.suggest("a")
    searcher.on_trial_result("a", {"score": 0.5, "passes": None})
    assert searcher.suggest("b") == {"n_layers": 1}
