"""Settings with ranges or lists of values from which a search draws."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import suggest_nearest

SHAPES = {"uniform": "[0, 1]", "loguniform": "[0.01, 1]", "quniform": "[0, 1, 0.1]", "int": "[1, 4]"}
"""The kinds of ranges, each with an example."""

SAME_AS = "same_as"
"""Key of a search space for a setting that takes the value of another one."""


@dataclass(frozen=True)
class Parameter:
    """A setting that is searched, and its values.

    Args:
        name: The setting.
        kind: "choice", "uniform", "loguniform", "quniform" or "int".
        values: Values of a choice.
        low: Smallest value of a range; included.
        high: Largest value of a range; included.
        step: Step of the values of "quniform"; if it is an integer, so are they.
    """

    name: str
    kind: str
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None

    @property
    def logarithmic(self) -> bool:
        """True if equal ratios of values are drawn equally often."""
        return self.kind == "loguniform"

    @property
    def numeric(self) -> bool:
        """True if all values are numbers."""
        return self.kind != "choice" or all(map(_is_number, self.values))

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value of a range.

        Raises:
            ValueError: It is a choice.
        """
        if self.low is None or self.high is None:
            raise ValueError(f"{self.name} is a choice and has no bounds")
        return self.low, self.high

    @property
    def extremes(self) -> tuple[Any, ...]:
        """All values of a choice, or the bounds of a range: if a model accepts them, it accepts every value."""
        return self.values or self.bounds

    @property
    def size(self) -> float:
        """Number of its values; infinite for a range of decimal numbers."""
        if self.kind == "choice":
            return len(self.values)
        low, high = self.bounds
        if self.kind == "int":
            return int(high) - int(low) + 1
        return math.inf if self.step is None else round((high - low) / self.step) + 1

    def list_all(self) -> list[Any]:
        """List the values of a parameter with a finite number of them."""
        if self.kind == "choice":
            return list(self.values)
        return [self._find(number) for number in range(int(self.size))]

    def _find(self, number: int) -> Any:
        """Find a value of a finite range by its place, from 0 on."""
        return self.plain(self.bounds[0] + number * (1 if self.kind == "int" else self.step or 0))

    def draw(self, generator: random.Random) -> Any:
        """Draw a value; decimal numbers are rounded to four significant digits, so that they can be written down."""
        if self.kind == "choice":
            return generator.choice(self.values)
        low, high = self.bounds
        if self.size < math.inf:
            return self._find(generator.randrange(int(self.size)))
        if self.logarithmic:
            value = math.exp(generator.uniform(math.log(low), math.log(high)))
        else:
            value = generator.uniform(low, high)
        return min(max(float(f"{value:.4g}"), low), high)

    def plain(self, value: Any) -> Any:
        """Convert a drawn value to plain Python, in the type and on the grid of its range."""
        if self.kind == "choice":
            return _make_plain(value)
        if self.kind == "int":
            return int(value)
        if self.step is not None:
            value = round(float(value) / self.step) * self.step
            return value if isinstance(value, int) else float(f"{value:.12g}")  # 0.3, not 0.30000000000000004
        return float(value)

    def describe(self) -> str:
        """The values in words, such as ``0.01 to 1, logarithmic``."""
        if self.kind == "choice":
            return f"one of {', '.join(map(str, self.values))}" if len(self.values) > 1 else f"always {self.values[0]}"
        low, high = self.bounds
        extra = {"loguniform": ", logarithmic", "quniform": f" in steps of {self.step}", "int": ", whole numbers"}
        return f"{format_number(low)} to {format_number(high)}{extra.get(self.kind, '')}"


def parse_parameter(place: str, name: str, kind: str, given: Any) -> Parameter:
    """Read a parameter.

    Args:
        place: Its place in error messages.
        name: The setting.
        kind: One of the ranges, or ``choice``.
        given: The bounds of a range, or the values of a choice.

    Raises:
        ConfigError: There is no such range, or its bounds or values are wrong.
    """
    place = f"{place}: {name}"
    values = [_make_plain(value) for value in given] if isinstance(given, (list, tuple)) else None
    if kind == "choice":
        return Parameter(name, kind, _check_choices(place, values))
    if kind not in SHAPES:
        raise ConfigError(f"{place}: unknown range {kind}; {suggest_nearest(kind, [*SHAPES, 'choice', SAME_AS])}")
    wanted = 3 if kind == "quniform" else 2
    if values is None or len(values) != wanted or not all(map(_is_number, values)):
        raise ConfigError(f"{place}: {kind} takes {wanted} numbers, such as {{{kind}: {SHAPES[kind]}}}; not {given}")
    low, high, *steps = values
    if not low < high:
        raise ConfigError(f"{place}: {low} is not below {high}; write the lower bound first")
    if kind == "loguniform" and low <= 0:
        raise ConfigError(
            f"{place}: the lower bound of loguniform must be above 0, not {low}; write a bound such as {high / 100:.4g}"
        )
    if kind == "int" and not all(isinstance(value, int) for value in values):
        raise ConfigError(f"{place}: int takes whole numbers, such as {{int: [1, 4]}}; not {given}")
    if steps:
        _check_step(place, low, high, steps[0])
    elif kind != "int":
        low, high = float(low), float(high)
    return Parameter(name, kind, low=low, high=high, step=steps[0] if steps else None)


def _check_choices(place: str, values: list[Any] | None) -> tuple[Any, ...]:
    if not values:
        raise ConfigError(f"{place}: there is nothing to choose from; list the values, such as [0.1, 0.2]")
    for index, value in enumerate(values):
        if contains(values[:index], value):
            raise ConfigError(f"{place}: {value} is listed twice; keep one of them")
    return tuple(values)


def contains(values: Collection[Any], one: Any) -> bool:
    """Return True if a value is among others, compared by type, too: False is not 0."""
    return any(one == other and isinstance(one, bool) == isinstance(other, bool) for other in values)


def _check_step(place: str, low: float, high: float, step: float) -> None:
    if not 0 < step <= high - low:
        raise ConfigError(f"{place}: a step of {step} does not fit from {low} to {high}; take a smaller one above 0")
    for bound in (low, high):
        if not math.isclose(bound / step, round(bound / step), abs_tol=1e-9):
            raise ConfigError(f"{place}: {bound} is not a multiple of the step {step}; choose bounds that are")


def _make_plain(value: Any) -> Any:
    """Convert a value to plain Python: NumPy scalars to numbers, tuples and arrays to lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_make_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _make_plain(one) for key, one in value.items()}
    return value


def format_number(number: float) -> str:
    """Format a bound of a range with four significant digits; whole numbers as they are."""
    return str(number) if isinstance(number, int) else f"{number:.4g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
