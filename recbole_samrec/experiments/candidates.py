"""Candidates of an entry: combinations of the values among which validation chooses."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from recbole_samrec.config.parameters import SHAPES, Parameter, contains, parse_parameter
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import NOT_SEARCHED

DRAW_SEED = 2020
"""Seed of the order in which further candidates are tried."""
ENUMERATED = 1000
"""Most values of a range that are tried like a list; from a larger one, values are drawn until nothing new comes."""
LONGEST = 80
"""Most characters of the settings in a candidate's name, which is part of a folder's."""
Settings = dict[str, Any]


def read_choices(given: Any, place: str, fixed: Collection[str] = ()) -> dict[str, tuple[Any, ...]]:
    """Read settings with the values among which to choose.

    Args:
        given: What the file of entries has, such as ``{"sam_rho": [0, 0.1]}``; None for nothing.
        place: Its place in messages.
        fixed: Settings that the entry fixes.

    Raises:
        ConfigError: It has another form, or a setting cannot be chosen.
    """
    return {key: _read_values(key, values, place) for key, values in _list_given(given, place, fixed)}


def read_further(given: Any, place: str, fixed: Collection[str] = ()) -> dict[str, Parameter]:
    """Read settings with the further values with which a search continues: lists as above, or ranges.

    Args:
        given: Such as ``{"learning_rate": {"loguniform": [0.0003, 0.003]}}``; None for nothing.
        place: Its place in messages.
        fixed: Settings that the entry fixes.

    Raises:
        ConfigError: It has another form, or a setting cannot be chosen.
    """
    further = {}
    for key, values in _list_given(given, place, fixed):
        if isinstance(values, Mapping) and len(values) == 1:
            kind, bounds = next(iter(values.items()))
            further[key] = parse_parameter(place, key, str(kind), bounds)
        elif isinstance(values, Mapping):
            ranges = ", ".join(f"{{{kind}: {example}}}" for kind, example in SHAPES.items())
            raise ConfigError(f"{place}: {key}: {values} is not a range; write one of {ranges}")
        else:
            further[key] = Parameter(key, "choice", _read_values(key, values, place))
    return further


def _list_given(given: Any, place: str, fixed: Collection[str]) -> Iterator[tuple[str, Any]]:
    """List the settings and what is given for each; refuse those that cannot be chosen."""
    if given is None:
        return
    if not isinstance(given, Mapping) or not given:
        raise ConfigError(f"{place}: {given!r} has no settings with values; write {{sam_rho: [0, 0.1, 0.3]}}")
    for key, values in given.items():
        if key in NOT_SEARCHED:
            raise ConfigError(
                f"{place}: {key} determines what is measured or for how long, so candidates with different values "
                "cannot be compared; remove it"
            )
        if key in fixed:
            raise ConfigError(f"{place}: {key} is also fixed by the entry; remove it from one of them")
        yield str(key), values


def _read_values(key: str, values: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{place}: {key}: {values!r} is not a list of values; write {key}: [first, second]")
    return parse_parameter(place, key, "choice", values).values


def list_candidates(choices: Mapping[str, tuple[Any, ...]]) -> list[Settings]:
    """List the grid of all values, the last setting changing first; without settings, one candidate of none."""
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


class FurtherCandidates:
    """Candidates with which a search continues, in a random order that is fixed.

    If all settings have values, they are the grid of all values without the candidates that were tried. If one has a
    range with more than a thousand values, they are drawn one after the other.

    Args:
        choose: Settings and values that were tried.
        more: Further values of some of these settings, or the range from which their values are drawn.
        first: A candidate to begin with.

    Attributes:
        space: The values of each setting in words.
    """

    def __init__(
        self, choose: Mapping[str, tuple[Any, ...]], more: Mapping[str, Parameter], first: Mapping[str, Any]
    ) -> None:
        joined = {key: _join(Parameter(key, "choice", values), more.get(key)) for key, values in choose.items()}
        self.space = {key: parameter.describe() for key, parameter in joined.items()}
        endless = any(parameter.kind != "choice" for parameter in joined.values())
        self._tried = list_candidates(choose)
        self._taken = [dict(first)]
        self._rest = self._draw(joined) if endless else self._shuffle(joined)

    def take(self, count: int) -> Sequence[Settings]:
        """Return the first ones; fewer if there are not as many."""
        self._taken.extend(itertools.islice(self._rest, max(0, count - len(self._taken))))
        return self._taken[:count]

    def _shuffle(self, joined: Mapping[str, Parameter]) -> Iterator[Settings]:
        grid = list_candidates({key: parameter.values for key, parameter in joined.items()})
        further = [one for one in grid if one not in self._tried]
        random.Random(DRAW_SEED).shuffle(further)
        yield from further

    def _draw(self, joined: Mapping[str, Parameter]) -> Iterator[Settings]:
        generator, repeated = random.Random(DRAW_SEED), 0
        while repeated < ENUMERATED:  # a narrow range has few values with the digits that are drawn
            drawn = {key: parameter.draw(generator) for key, parameter in joined.items()}
            repeated += 1
            if drawn not in self._tried:
                self._tried.append(drawn)
                repeated = 0
                yield drawn


def _join(tried: Parameter, more: Parameter | None) -> Parameter:
    """Join the values of a setting; a range with many values replaces those that were tried."""
    if more is None:
        return tried
    if more.size > ENUMERATED:
        return more
    new = tuple(value for value in more.list_all() if not contains(tried.values, value))
    return Parameter(tried.name, "choice", (*tried.values, *new))


def name_candidate(entry: str, settings: Mapping[str, Any]) -> str:
    """Name a candidate of an entry: ``SAMRec [sam_rho=0.1]``."""
    words = ", ".join(f"{key}={value}" for key, value in settings.items())
    if len(words) > LONGEST:
        words = f"{words[:LONGEST]}, {hashlib.sha256(words.encode()).hexdigest()[:8]}"
    return f"{entry} [{words}]" if settings else entry
