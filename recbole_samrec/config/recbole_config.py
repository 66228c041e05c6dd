"""Building RecBole's ``Config`` from settings that have been read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Typed(dict[str, Any]):
    """Settings whose values have their types already.

    RecBole's ``Config`` keeps the dictionary that it is given, so that its methods, which the package patches, know by
    this class that no string is to be read as Python and no command line as configuration.

    Args:
        settings: The settings.
        of_command: Whether one of our commands made them, so that the defaults of commands apply.
    """

    def __init__(self, settings: Mapping[str, Any] = {}, of_command: bool = False) -> None:
        super().__init__(settings)
        self.of_command = of_command


def build_config(settings: Mapping[str, Any], of_command: bool = False) -> Any:
    """Build RecBole's configuration.

    Args:
        settings: All settings, with ``model`` and ``dataset``.
        of_command: Whether the defaults of our commands (K = 5, 10, 20 and NDCG@10) apply below them.

    Returns:
        RecBole's ``Config``.
    """
    from recbole.config import Config

    given = Typed(settings, of_command)
    return Config(model=given["model"], dataset=given["dataset"], config_dict=given)


def is_typed(config: Any) -> bool:
    """Tell whether a ``Config`` was given settings that have been read and checked."""
    return isinstance(getattr(config, "variable_config_dict", None), Typed)


def is_sequential(config: Any) -> bool:
    """Tell whether the model of a configuration reads sequences, and so needs times."""
    return bool(config["MODEL_TYPE"].name == "SEQUENTIAL")
