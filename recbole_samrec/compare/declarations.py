"""Comparisons that a file of entries declares before anything is trained: primary ones, and equivalences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_samrec.compare.tables import METRICS
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.experiments.entries import EQUAL_PASSES, LISTED_UNDER, Entry
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import suggest_nearest

DEFAULT_METRIC = "ndcg@10"
KEYS = ("primary", "primary_metric", "equivalence", "equivalence_margin")
OTHER_KEYS = (*LISTED_UNDER, "protocol", "families", "datasets", "origins")
"""Keys of a file of entries that others read."""
Pair = tuple[str, str]


@dataclass(frozen=True)
class Declarations:
    """The declared comparisons.

    Attributes:
        primary: Pairs of entries whose difference is tested.
        equivalence: Pairs of entries that are tested for equivalence.
        margin: The difference that still counts as none, in percent of the second entry's mean.
        metric: The metric of all of them.
    """

    primary: tuple[Pair, ...] = ()
    equivalence: tuple[Pair, ...] = ()
    margin: float = math.nan
    metric: str = DEFAULT_METRIC

    @property
    def names(self) -> set[str]:
        """Names of the entries that are compared."""
        return {name for pair in (*self.primary, *self.equivalence) for name in pair}

    def __bool__(self) -> bool:
        """Return whether anything was declared."""
        return bool(self.primary or self.equivalence)


def read_declarations(files: Sequence[Path], entries: Sequence[Entry]) -> Declarations:
    """Read the declarations in files of entries.

    Args:
        files: The files; one of them may declare comparisons.
        entries: The entries of the comparison.

    Raises:
        ConfigError: A declaration has another form, or names an entry that is not compared.
    """
    tables = {file: _read(file) for file in files}
    declaring = [file for file, table in tables.items() if not table.keys().isdisjoint(KEYS)]
    if len(declaring) > 1:
        raise ConfigError(
            f"--entries: {declaring[0]} and {declaring[1]} both declare comparisons; declare them in one file"
        )
    names = [entry.name for entry in entries]
    return _parse(declaring[0], tables[declaring[0]], names) if declaring else Declarations()


def _read(file: Path) -> dict[str, Any]:
    table, known = read_yaml(file), (*KEYS, *OTHER_KEYS)
    for key in table:
        if key not in known:
            raise ConfigError(f"{file}: unknown key {key}; {suggest_nearest(str(key), known)}")
    return table


def _parse(file: Path, table: Mapping[str, Any], names: Sequence[str]) -> Declarations:
    pairs = {key: _parse_pairs(file, key, table[key], names) for key in ("primary", "equivalence") if key in table}
    if not pairs:
        given = next(key for key in KEYS if key in table)
        wanted = "equivalence" if given == "equivalence_margin" else "primary"
        raise ConfigError(f"{file}: {given} without {wanted}; add {wanted}: [[entry, other]], or remove {given}")
    if ("equivalence" in table) != ("equivalence_margin" in table):
        given, missing = ("equivalence", "equivalence_margin")[:: 1 if "equivalence" in table else -1]
        value = "2 (percent)" if missing == "equivalence_margin" else "[[entry, other]]"
        raise ConfigError(f"{file}: {given} without {missing}; add {missing}: {value}, or remove {given}")
    margin = _parse_margin(file, table["equivalence_margin"]) if "equivalence_margin" in table else math.nan
    metric = _parse_metric(file, table.get("primary_metric", DEFAULT_METRIC))
    return Declarations(pairs.get("primary", ()), pairs.get("equivalence", ()), margin, metric)


def _parse_pairs(file: Path, key: str, value: Any, names: Sequence[str]) -> tuple[Pair, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{file}: {key}: {value!r} is not a list of pairs; write {key}: [[entry, other]]")
    pairs: list[Pair] = []
    for number, pair in enumerate(value, 1):
        place = f"{file}: {key}, pair {number}"
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(name, str) for name in pair)):
            raise ConfigError(f"{place}: {pair!r} is not a pair of entries; write [entry, other]")
        for name in pair:
            if name.removesuffix(EQUAL_PASSES) in names and name not in names:
                raise ConfigError(f"{place}: {name} is an entry of --equal=passes only; add it, or remove the pair")
            if name not in names:
                raise ConfigError(
                    f"{place}: {name} is not compared; {suggest_nearest(name, names)} Otherwise add it to --models"
                )
        if pair[0] == pair[1]:
            raise ConfigError(f"{place}: {pair[0]} is compared with itself; name two entries")
        if twice := {tuple(pair), tuple(reversed(pair))} & set(pairs):
            raise ConfigError(f"{place}: {' and '.join(min(twice))} are declared twice; remove one of the pairs")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def _parse_metric(file: Path, value: Any) -> str:
    metric = str(value).lower()
    if metric not in METRICS:
        raise ConfigError(f"{file}: primary_metric: unknown metric {value}; {suggest_nearest(metric, METRICS)}")
    return metric


def _parse_margin(file: Path, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 100:
        raise ConfigError(
            f"{file}: equivalence_margin: {value!r} is not a percentage; write a number in (0, 100), such as 2"
        )
    return float(value)
