"""Read yaml files and ``--key=value`` arguments without executing anything in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from recbole_samrec.config.former_settings import check_former_settings
from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.config.texts import keep_texts, parse_value
from recbole_samrec.utils.errors import ConfigError, flatten_message


class YamlLoader(yaml.SafeLoader):
    """PyYAML's safe loader that reads ``1e-3`` as a number, as RecBole's files need, and keeps texts as written."""

    def get_single_node(self) -> yaml.Node | None:
        """Compose the document, with the values of settings that are text marked as text."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            keep_texts(node)
        return node


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


def read_yaml_files(files: Sequence[str], note: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Read the settings of several yaml files; later files take precedence, and earlier names are replaced.

    Args:
        files: The files.
        note: Receives notes on settings that have no effect.

    Raises:
        ConfigError: A file cannot be read, or has settings of an earlier RecBole.
    """
    settings: dict[str, Any] = {}
    for file in files:
        found = upgrade_settings(read_yaml(Path(file)))
        check_former_settings(found, file, note)
        settings |= found
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
            raise ConfigError(f"{argument}: give settings as --key=value, such as --learning_rate=0.001, with no space")
        read = parse_value(key, value)
        if key in given and given[key] != read:
            raise ConfigError(f"--{key} is given twice, as {given[key]} and {value}")
        given[key] = read
    return given
