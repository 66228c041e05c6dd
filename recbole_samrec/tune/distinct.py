"""Searches without repetition: distinct draws from a space, and a guard around search algorithms."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ray.tune.search import Searcher

from recbole_samrec.tune.spaces import Space

TRIES = 100
"""Repeated suggestions after which settings are drawn without the search algorithm."""


def identify(space: Space, drawn: Mapping[str, Any]) -> str:
    """Return a text that is the same for two draws if their trials have the same settings."""
    return json.dumps(space.complete(drawn), sort_keys=True, default=str)


def draw_distinct(space: Space, number: int, seed: int, taken: Collection[str] = ()) -> list[dict[str, Any]]:
    """Draw different settings from a space, the same ones for the same seed.

    Args:
        space: The space.
        number: Number of settings; fewer are returned if the space has no more.
        seed: Seed of the draws.
        taken: Settings that are not drawn, as :func:`identify` returns them.
    """
    random, seen, found = np.random.RandomState(seed), set(taken), list[dict[str, Any]]()
    if space.size <= 2 * (number + len(seen)):  # most are drawn: shuffle all
        every = space.list_all()
        candidates = iter([every[place] for place in random.permutation(len(every))])
    else:
        domains = space.domains()
        candidates = iter(lambda: {key: domain.sample(random_state=random) for key, domain in domains.items()}, None)
    for drawn in candidates:
        if len(found) == number:
            break
        if (key := identify(space, drawn)) not in seen:
            seen.add(key)
            found.append(drawn)
    return found


class DrawnSearcher(Searcher):
    """Suggests settings that were drawn before, one after the other.

    Args:
        drawn: The settings.
    """

    def __init__(self, drawn: Sequence[dict[str, Any]]) -> None:
        super().__init__()
        self._drawn, self._next = list(drawn), 0

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict, **spec: Any) -> bool:
        """Accept any metric and domains."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Suggest the next settings; ``Searcher.FINISHED`` after the last ones."""
        if self._next == len(self._drawn):
            return Searcher.FINISHED
        self._next += 1
        return dict(self._drawn[self._next - 1])

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """Do nothing: scores have no influence."""

    def save(self, checkpoint_path: str) -> None:
        """Save how many settings were suggested."""
        Path(checkpoint_path).write_text(str(self._next))

    def restore(self, checkpoint_path: str) -> None:
        """Restore what :meth:`save` saved."""
        self._next = int(Path(checkpoint_path).read_text())


class DistinctSearcher(Searcher):
    """Answers a search algorithm that repeats settings with their score, and asks it again.

    Args:
        inner: The search algorithm.
        space: The space.
        seed: Seed of draws without the algorithm, if it only repeats itself.
    """

    def __init__(self, inner: Searcher, space: Space, seed: int) -> None:
        super().__init__(metric=inner.metric, mode=inner.mode)
        self._inner, self._space, self._seed = inner, space, seed
        self._trials: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._results: dict[str, dict[str, Any]] = {}

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict, **spec: Any) -> bool:
        """Pass the metric and the domains on."""
        self._metric, self._mode = metric, mode
        return bool(self._inner.set_search_properties(metric, mode, config, **spec))

    def suggest(self, trial_id: str) -> Any:
        """Suggest settings that no trial has had; ``Searcher.FINISHED`` if there are no more."""
        for attempt in range(TRIES):
            name = trial_id if attempt == 0 else f"{trial_id}-{attempt}"
            drawn = self._inner.suggest(name)
            if not isinstance(drawn, dict):
                return drawn
            key = identify(self._space, drawn)
            if key not in self._trials:
                self._trials[key], self._names[trial_id] = trial_id, name
                return drawn
            known = self._results.get(self._trials[key])
            self._inner.on_trial_complete(name, dict(known) if known else None, error=known is None)
        found = draw_distinct(self._space, 1, self._seed, self._trials) if math.isfinite(self._space.size) else []
        if not found:
            return Searcher.FINISHED
        self._trials[identify(self._space, found[0])] = trial_id
        return found[0]

    def on_trial_result(self, trial_id: str, result: dict) -> None:
        """Keep a result and pass it on."""
        self._results[trial_id] = dict(result)
        if trial_id in self._names:
            self._inner.on_trial_result(self._names[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """Keep the last result and pass it on."""
        if result:
            self._results[trial_id] = dict(result)
        if trial_id in self._names:
            self._inner.on_trial_complete(self._names[trial_id], result, error)

    def save(self, checkpoint_path: str) -> None:
        """Save the state of the algorithm, and the settings that trials have."""
        self._inner.save(f"{checkpoint_path}.inner")
        inner = Path(f"{checkpoint_path}.inner")
        stored = (inner.read_bytes(), self._trials, self._names, self._results)
        Path(checkpoint_path).write_bytes(pickle.dumps(stored))
        inner.unlink()

    def restore(self, checkpoint_path: str) -> None:
        """Restore what :meth:`save` saved."""
        state, self._trials, self._names, self._results = pickle.loads(Path(checkpoint_path).read_bytes())
        inner = Path(f"{checkpoint_path}.inner")
        inner.write_bytes(state)
        self._inner.restore(str(inner))
        inner.unlink()
