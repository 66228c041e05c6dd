"""Read yaml files and ``--key=value`` arguments without running anything in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.utils.errors import ConfigError, flatten_message
from recbole_samrec.utils.settings import parse_literal


class YamlLoader(yaml.SafeLoader):
    """PyYAML's safe loader that also reads ``1e-3`` as a number, as RecBole's files need."""


YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.[\d_]+([eE][-+]?\d+)?|\.(inf|Inf|INF))$|^\.(nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
YamlLoader.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: tuple(loader.construct_sequence(node))
)


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a yaml file of settings.

    Raises:
        ConfigError: The file is missing, or is not a yaml file of settings.
    """
    try:
        settings = yaml.load(file.read_text(encoding="utf-8"), Loader=YamlLoader)
    except OSError as error:
        raise ConfigError(f"--config_files={file}: {error.strerror}; name a yaml file that can be read") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not a yaml file: {flatten_message(error)}") from error
    if settings is not None and not isinstance(settings, dict):
        raise ConfigError(f"{file}: contains no settings; write lines such as learning_rate: 0.001")
    return settings or {}


def read_yaml_files(files: Sequence[str]) -> dict[str, Any]:
    """Read the settings of several yaml files; later files win, and names of earlier revisions are upgraded."""
    settings: dict[str, Any] = {}
    for file in files:
        settings |= upgrade_settings(read_yaml(Path(file)))
    return settings


def parse_settings(rest: Sequence[str]) -> dict[str, Any]:
    """Parse ``--key=value`` arguments.

    Raises:
        ConfigError: An argument has another form, or a key is given twice with different values.
    """
    given: dict[str, Any] = {}
    for argument in rest:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or not key.isidentifier():
            raise ConfigError(f"{argument}: give settings as --key=value, such as --learning_rate=0.001")
        read = (
            value if key.endswith("_num_interval") else parse_literal(value)
        )  # "[5,10]" is an interval there, not a list
        if key in given and given[key] != read:
            raise ConfigError(f"--{key} is given twice, as {given[key]} and {value}")
        given[key] = read
    return given
