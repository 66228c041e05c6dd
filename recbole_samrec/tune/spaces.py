"""Search spaces: parameters and their values, read from yaml, from RecBole's lines or from Python.

In our format a setting has a list of values, or one of ``{uniform: [0, 1]}``, ``{loguniform: [0.01, 1]}``,
``{quniform: [0, 1, 0.1]}``, ``{int: [1, 4]}`` and ``{choice: [1, 2]}``, all bounds as they are and included, or
``{same_as: other_key}``, which takes the value of another parameter.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from recbole_samrec.config.parameters import SAME_AS, SHAPES, Parameter, format_number, parse_parameter
from recbole_samrec.config.validate import check_values, suggest
from recbole_samrec.config.yaml_files import YamlLoader
from recbole_samrec.tune.recbole_space import has_lines, read_lines
from recbole_samrec.utils.errors import ConfigError, flatten_message
from recbole_samrec.utils.paths import PROPERTIES
from recbole_samrec.utils.settings import NOT_SEARCHED, suggest_nearest

EXAMPLE = "learning_rate: {loguniform: [0.0003, 0.003]}"


@dataclass(frozen=True)
class Space:
    """The parameters of a search.

    Args:
        parameters: The drawn settings, in the order of the file.
        follow: Further settings, each with the name of the parameter whose value it takes.
    """

    parameters: tuple[Parameter, ...]
    follow: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the parameters."""
        return [parameter.name for parameter in self.parameters]

    @property
    def size(self) -> float:
        """Number of combinations of values; infinite if a parameter is a range of decimal numbers."""
        return math.prod(parameter.size for parameter in self.parameters)

    def list_all(self) -> list[dict[str, Any]]:
        """List all combinations of values of a finite space."""
        combinations = itertools.product(*(parameter.list_all() for parameter in self.parameters))
        return [dict(zip(self.names, values, strict=True)) for values in combinations]

    def largest(self) -> list[dict[str, Any]]:
        """List the trials that may need the most memory: the largest numbers, with each combination of other values."""
        columns = []
        for parameter in self.parameters:
            if parameter.kind != "choice":
                columns.append([parameter.plain(parameter.bounds[1])])
            else:
                columns.append([max(parameter.values)] if parameter.numeric else list(parameter.values))
        return [dict(zip(self.names, values, strict=True)) for values in itertools.product(*columns)]

    def domains(self) -> dict[str, Any]:
        """Ray Tune's domain for each parameter."""
        return {parameter.name: make_domain(parameter) for parameter in self.parameters}

    def grid(self) -> list[dict[str, Any]]:
        """List all combinations of values; the last parameter changes first.

        Raises:
            ConfigError: A parameter has a range, not a list of values.
        """
        for parameter in self.parameters:
            if parameter.kind != "choice":
                low, high = map(format_number, parameter.bounds)
                raise ConfigError(
                    f"grid needs lists of values and {parameter.name} is a range; write "
                    f"{parameter.name}: [{low}, {high}] or choose --search=random"
                )
        combinations = itertools.product(*(parameter.values for parameter in self.parameters))
        return [dict(zip(self.names, values, strict=True)) for values in combinations]

    def complete(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Complete the settings of a trial: drawn values as plain Python, and the settings that follow them.

        Args:
            drawn: A value for each parameter, perhaps as NumPy scalars.
        """
        settings = {parameter.name: parameter.plain(drawn[parameter.name]) for parameter in self.parameters}
        return settings | {key: settings[leader] for key, leader in self.follow.items()}


def read_space(file: Path) -> Space:
    """Read a search space: our format from ``.yaml`` and ``.yml``, unless RecBole's lines are in it, as in other files.

    Raises:
        ConfigError: It cannot be read, or is wrong; names file and line.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"--space={file}: {error.strerror}; name a file that can be read") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--space={file}: it is not UTF-8 text; name a file such as space.yaml") from error
    if file.suffix.lower() in (".yaml", ".yml") and not has_lines(text):
        return _parse_entries(*_read_yaml(text, str(file)), str(file))
    lines = list(read_lines(text, str(file)))
    parameters = [parse_parameter(line.place, line.name, line.kind, line.values) for line in lines]
    for line, name in _find_repeated((line, line.name) for line in lines):
        raise ConfigError(f"{line.place}: {name} is in the file twice; keep one of the lines")
    return _check_filled(parameters, {}, str(file))


def make_space(mapping: Mapping[str, Any], origin: str) -> Space:
    """Make a search space from a mapping in our format.

    Args:
        mapping: Such as ``{"sam_rho": {"loguniform": [0.02, 1]}, "n_layers": [1, 2]}``.
        origin: Its place in error messages.

    Raises:
        ConfigError: A parameter is wrong, or there is none.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{origin}: it contains no parameters; write entries such as {EXAMPLE}")
    return _parse_entries(mapping, {}, origin)


def read_default_space(model: str) -> Space:
    """Read the search space of ``properties/search/<model>.yaml``.

    Args:
        model: A model, or an entry of a comparison, that has such a file.

    Raises:
        ConfigError: There is none for it.
    """
    files = {file.stem: file for file in sorted((PROPERTIES / "search").glob("*.yaml"))}
    if model not in files:
        raise ConfigError(
            f"--model={model}: it has no search space ({', '.join(files)} have one); "
            f"give --space=FILE with lines such as {EXAMPLE}"
        )
    return read_space(files[model])


def check_space(
    space: Space,
    origin: str,
    known: Collection[str],
    taken: Mapping[str, Any],
    declared: Mapping[str, Any] | None = None,
) -> None:
    """Check that a search space fits a model: its keys are read, free to be searched, and may be what is listed.

    Args:
        space: The search space.
        origin: Its place in error messages.
        known: The settings that something reads.
        taken: Settings that the entry fixes or the command line sets.
        declared: Types of the settings; by default those of all models.

    Raises:
        ConfigError: Names the first key that is wrong, and the remedy.
    """
    leaders = {name: name for name in space.names} | dict(space.follow)
    parameters = {parameter.name: parameter for parameter in space.parameters}
    for key, leader in leaders.items():
        if key not in known:
            raise ConfigError(f"{origin}: unknown setting {key}; {suggest(key, known)}")
        if key in NOT_SEARCHED:
            raise ConfigError(
                f"{origin}: {key}: it determines what is measured or where, so trials with different values cannot "
                "be ranked; remove it from the search space"
            )
        if key in taken:
            raise ConfigError(
                f"{origin}: {key} is in the search space, but is set to {taken[key]} by the entry or by the command "
                "line; "
                f"remove it from the search space (--space=FILE), or omit --{key}"
            )
        parameter = parameters[leader]
        for value in parameter.extremes:
            try:
                check_values({key: value}, declared)
            except ConfigError as error:
                raise ConfigError(f"{origin}: {error}") from error


def _read_yaml(text: str, origin: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the entries of a yaml file, and the place of each."""
    try:
        entries = yaml.load(text, Loader=YamlLoader)
        node = yaml.compose(text, Loader=YamlLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{origin}: not a yaml file: {flatten_message(error)}") from error
    if not isinstance(entries, dict):
        raise ConfigError(f"{origin}: it contains no parameters; write lines such as {EXAMPLE}")
    places = [(f"{origin}, line {key.start_mark.line + 1}", key.value) for key, _ in node.value]
    for place, name in _find_repeated(places):
        raise ConfigError(f"{place}: {name} is in the file twice; keep one of the lines")
    return entries, {name: place for place, name in places}


def _find_repeated(named: Iterable[tuple[Any, str]]) -> list[tuple[Any, str]]:
    """Find the pairs whose name, their second part, occurred before."""
    seen: set[str] = set()
    repeated = []
    for place, name in named:
        if name in seen:
            repeated.append((place, name))
        seen.add(name)
    return repeated


def _parse_entries(entries: Mapping[str, Any], places: Mapping[str, str], origin: str) -> Space:
    parameters, follow = [], {}
    for key, entry in entries.items():
        name, place = str(key), places.get(str(key), origin)
        if isinstance(entry, (list, tuple)):
            entry = {"choice": entry}
        if not isinstance(entry, Mapping) or len(entry) != 1:
            ranges = ", ".join(f"{{{kind}: {example}}}" for kind, example in SHAPES.items())
            raise ConfigError(f"{place}: {name}: give a list of values, or one of {ranges}, {{same_as: NAME}}")
        kind, values = next(iter(entry.items()))
        if kind == SAME_AS:
            follow[name] = str(values)
        else:
            parameters.append(parse_parameter(place, name, str(kind), values))
    names = [parameter.name for parameter in parameters]
    for name, leader in follow.items():
        if leader not in names:
            hint = suggest_nearest(leader, names) if names else f"add a line such as {leader}: [0.1, 0.2]"
            raise ConfigError(f"{places.get(name, origin)}: {name}: {leader} is not a parameter of this space; {hint}")
    return _check_filled(parameters, follow, origin)


def _check_filled(parameters: list[Parameter], follow: dict[str, str], origin: str) -> Space:
    if not parameters:
        raise ConfigError(f"{origin}: it contains no parameters; write lines such as {EXAMPLE}")
    return Space(tuple(parameters), follow)


def make_domain(parameter: Parameter) -> Any:
    """Ray Tune's domain, from which values are drawn."""
    from ray import tune  # the import takes a second

    if parameter.kind == "choice":
        return tune.choice(list(parameter.values))
    low, high = parameter.bounds
    if parameter.kind == "int":
        return tune.randint(int(low), int(high) + 1)  # Ray excludes the upper end
    if parameter.step is not None:
        return tune.quniform(low, high, parameter.step)
    return (tune.loguniform if parameter.logarithmic else tune.uniform)(low, high)
