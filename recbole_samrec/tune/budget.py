"""A budget of gradient passes: no trial starts once the started ones have used it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher


class BudgetSearcher(Searcher):
    """Passes on the suggestions of a search algorithm until the trials have used a number of gradient passes.

    Trials that run then are not stopped.

    Args:
        inner: The search algorithm.
        passes: Gradient passes of all trials.
    """

    def __init__(self, inner: Searcher, passes: float) -> None:
        super().__init__(metric=inner.metric, mode=inner.mode)
        self._inner, self._passes = inner, passes
        self._used: dict[str, float] = {}

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict, **spec: Any) -> bool:
        """Pass the metric and the domains on."""
        self._metric, self._mode = metric, mode
        return bool(self._inner.set_search_properties(metric, mode, config, **spec))

    def suggest(self, trial_id: str) -> Any:
        """Suggest settings; ``Searcher.FINISHED`` if the budget is used."""
        return Searcher.FINISHED if sum(self._used.values()) >= self._passes else self._inner.suggest(trial_id)

    def on_trial_result(self, trial_id: str, result: dict) -> None:
        """Store the passes of a trial, and pass its result on."""
        self._used[trial_id] = result.get("passes") or 0.0
        self._inner.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """Pass the end of a trial on; its last result is known already."""
        self._inner.on_trial_complete(trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        """Save the state of the algorithm, and the passes that are used."""
        self._inner.save(f"{checkpoint_path}.unlimited")
        inner = Path(f"{checkpoint_path}.unlimited")
        Path(checkpoint_path).write_bytes(pickle.dumps((inner.read_bytes(), self._used)))
        inner.unlink()

    def restore(self, checkpoint_path: str) -> None:
        """Restore what :meth:`save` saved."""
        state, self._used = pickle.loads(Path(checkpoint_path).read_bytes())
        inner = Path(f"{checkpoint_path}.unlimited")
        inner.write_bytes(state)
        self._inner.restore(str(inner))
        inner.unlink()
