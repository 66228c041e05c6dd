"""Candidates of an entry: combinations of the values among which validation chooses."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Collection, Mapping
from typing import Any

from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import NOT_SEARCHED

DRAW_SEED = 2020
"""Seed of the order in which further candidates are tried."""
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
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not given:
        raise ConfigError(f"{place}: {given!r} has no settings with values; write {{sam_rho: [0, 0.1, 0.3]}}")
    choices = {}
    for key, values in given.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{place}: {key}: {values!r} is no list of values; write {key}: [first, second]")
        if twice := [one for number, one in enumerate(values) if _contains(values[:number], one)]:
            raise ConfigError(f"{place}: {key}: {twice[0]} is listed twice; keep one of them")
        if key in NOT_SEARCHED:
            raise ConfigError(
                f"{place}: {key} decides what is measured or for how long, so that candidates that differ in it cannot "
                "be compared; remove it"
            )
        if key in fixed:
            raise ConfigError(f"{place}: {key} is fixed by the entry, too; remove it from one of them")
        choices[str(key)] = tuple(values)
    return choices


def _contains(values: list[Any], one: Any) -> bool:
    """Compare values by type, too: False is not 0."""
    return any(one == other and isinstance(one, bool) == isinstance(other, bool) for other in values)


def list_candidates(choices: Mapping[str, tuple[Any, ...]]) -> list[Settings]:
    """List the grid of all values, the last setting changing first; without settings, one candidate of none."""
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def list_further(choose: Mapping[str, tuple[Any, ...]], more: Mapping[str, tuple[Any, ...]]) -> list[Settings]:
    """List the candidates with which a search continues, in a random order that is fixed.

    Args:
        choose: Settings and values that were tried.
        more: Further values of some of these settings.

    Returns:
        The grid of all values, without the candidates that were tried.
    """
    joined = {key: _join(values, more.get(key, ())) for key, values in choose.items()}
    tried = list_candidates(choose)
    further = [one for one in list_candidates(joined) if one not in tried]
    random.Random(DRAW_SEED).shuffle(further)
    return further


def _join(first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*first, *(value for value in second if not _contains(list(first), value)))


def name_candidate(entry: str, settings: Mapping[str, Any]) -> str:
    """Name a candidate of an entry: ``SAMRec [sam_rho=0.1]``."""
    words = ", ".join(f"{key}={value}" for key, value in settings.items())
    if len(words) > LONGEST:
        words = f"{words[:LONGEST]}, {hashlib.sha256(words.encode()).hexdigest()[:8]}"
    return f"{entry} [{words}]" if settings else entry
