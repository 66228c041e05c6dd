"""A search algorithm that repeats settings receives their score, and no settings are trained twice."""

from ray.tune.search import Searcher

from recbole_samrec.tune.distinct import DistinctSearcher, DrawnSearcher, draw_distinct, identify
from recbole_samrec.tune.spaces import make_space

SPACE = make_space({"n_layers": [1, 2], "n_heads": [1, 2]}, "here")


class Repeating(Searcher):
    """Suggests the settings of a list in turn, including repetitions."""

    def __init__(self, plan):
        super().__init__("score", "max")
        self.plan, self.told = plan, []

    def suggest(self, trial_id):
        return dict(zip(SPACE.names, self.plan.pop(0) if len(self.plan) > 1 else self.plan[0], strict=True))

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.told.append((trial_id, result and result["score"], error))

    def save(self, checkpoint_path):
        with open(checkpoint_path, "w") as file:
            file.write(repr(self.plan))

    def restore(self, checkpoint_path):
        with open(checkpoint_path) as file:
            self.plan = eval(file.read())


def test_distinct_searcher__answers_repetitions():
    inner = Repeating([(1, 1), (1, 1), (2, 2), (1, 1), (2, 1)])
    found = DistinctSearcher(inner, SPACE, 1)
    assert found.suggest("a") == {"n_layers": 1, "n_heads": 1}
    assert found.suggest("b") == {"n_layers": 2, "n_heads": 2}  # the repetition of a trial without a score is an error
    assert inner.told == [("b", None, True)]
    found.on_trial_result("a", {"score": 0.5})
    found.on_trial_complete("a", {"score": 0.75})
    assert found.suggest("c") == {"n_layers": 2, "n_heads": 1}
    assert inner.told[1:] == [("a", 0.75, False), ("c", 0.75, False)]
    found.on_trial_complete("b", {"score": 0.1})
    found.on_trial_complete("c", {"score": 0.2})
    assert inner.told[-2:] == [("b-1", 0.1, False), ("c-1", 0.2, False)]
    assert found.suggest("d") == {"n_layers": 1, "n_heads": 2}  # though the algorithm only repeats itself
    assert found.suggest("e") == Searcher.FINISHED


def test_distinct_searcher__goes_on_after_a_restart(tmp_path):
    found = DistinctSearcher(Repeating([(1, 1), (1, 1), (2, 2)]), SPACE, 1)
    found.suggest("a")
    found.save(str(tmp_path / "state"))
    again = DistinctSearcher(Repeating([(2, 1)]), SPACE, 1)
    again.restore(str(tmp_path / "state"))
    assert again.suggest("b") == {"n_layers": 2, "n_heads": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_drawn_searcher__goes_on_after_a_restart(tmp_path):
    found = DrawnSearcher(every := SPACE.list_all())
    assert [found.suggest(name) for name in "abc"] == every[:3]
    found.save(str(tmp_path / "state"))
    again = DrawnSearcher(every)
    again.restore(str(tmp_path / "state"))
    assert [again.suggest(name) for name in "de"] == [every[3], Searcher.FINISHED]


def test_draw_distinct__leaves_out_what_is_taken():
    every = SPACE.list_all()
    taken = [identify(SPACE, one) for one in every[:3]]
    assert draw_distinct(SPACE, 9, 1, taken) == [every[3]]
    large = make_space({"n_layers": {"int": [1, 10**6]}, "n_heads": {"int": [1, 10**6]}}, "here")
    found = draw_distinct(large, 50, 1)
    assert len({identify(large, one) for one in found}) == 50 and found == draw_distinct(large, 50, 1)
