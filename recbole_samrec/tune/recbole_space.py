"""RecBole's files of search spaces: a line ``name type values`` for each parameter, read without running anything."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import parse_literal, suggest_nearest

EXAMPLES = {"uniform": "0,1", "quniform": "0,1,0.1", "loguniform": "-8,0"}
"""The ranges that RecBole 1.2.1 reads, each with an example."""

KINDS = ("choice", *EXAMPLES)

_LINE = re.compile(r"\s*(\w+)\s+(?:(\w+)\s+)?(\S.*)")


class Line(NamedTuple):
    """A parsed line, with natural bounds, and its place for error messages."""

    place: str
    name: str
    kind: str
    values: list[Any]


def has_lines(text: str) -> bool:
    """Check whether a text begins with a name and a word, as RecBole's files do; some of these end in ``.yaml``."""
    lines = (line for line in text.splitlines() if _has_content(line))
    return bool(re.match(r"\s*\w+\s+[^\s:]", next(lines, "")))


def read_lines(text: str, origin: str) -> Iterator[Line]:
    """Read lines such as ``learning_rate loguniform -8,0`` or ``mlp_hidden_size choice ['[64,64]','[128]']``.

    As in RecBole, the bounds of ``loguniform`` are natural logarithms, of e^-8 and e^0 here, and a choice that is a
    string holds the value of its text, such as the list [64, 64]. Blank lines and comments (``#``) pass. RecBole
    skips a line without a type; a list without one is taken as a choice here, anything else is an error.

    Raises:
        ConfigError: A line has another form; names file and line.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if _has_content(line):
            yield _read_line(line, f"{origin}, line {number}")


def _has_content(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith("#")


def _read_line(line: str, place: str) -> Line:
    match = _LINE.fullmatch(line.rstrip())
    if match is None or not (kind := match[2] or ("choice" if isinstance(parse_literal(match[3]), list) else "")):
        raise ConfigError(
            f"{place}: write name, type and values, such as learning_rate loguniform -8,0 "
            "(names of YAML files end in .yaml)"
        )
    name, values = match[1], match[3]
    if kind not in KINDS:
        raise ConfigError(f"{place}: {name}: unknown type {kind}; {suggest_nearest(kind, KINDS)}")
    if kind != "choice":
        return Line(place, name, kind, _read_numbers(values, kind, f"{place}: {name}"))
    choices = _read_choices(values, f"{place}: {name}")
    if not name.endswith("_num_interval"):  # "[5,10]" is an interval there, not a list
        choices = [parse_literal(value) if isinstance(value, str) else value for value in choices]
    return Line(place, name, kind, choices)


def _read_choices(text: str, place: str) -> list[Any]:
    values = parse_literal(text)
    if not isinstance(values, (list, tuple)):
        raise ConfigError(f"{place}: give the choices as a list, such as [0.01,0.001] or ['gelu','relu']")
    return list(values)


def _read_numbers(text: str, kind: str, place: str) -> list[float]:
    values, example = parse_literal(text), EXAMPLES[kind]
    wanted = len(example.split(","))
    if not isinstance(values, tuple) or len(values) != wanted or any(type(v) not in (int, float) for v in values):
        raise ConfigError(f"{place}: {kind} takes {wanted} comma-separated numbers, such as {example}")
    return [_compute_bound(value, place) for value in values] if kind == "loguniform" else list(values)


def _compute_bound(exponent: float, place: str) -> float:
    try:
        value = math.exp(exponent)
    except OverflowError:
        value = math.inf
    if not 0 < value < math.inf:
        raise ConfigError(f"{place}: the bounds of loguniform are natural logarithms, and e^{exponent} is out of range")
    return value
