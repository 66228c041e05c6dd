"""Build RecBole's ``Config`` from settings that have been parsed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Typed(dict[str, Any]):
    """Settings whose values already have their types.

    RecBole's ``Config`` keeps the dictionary that is passed in. By this class its patched methods recognize that they
    must neither parse strings as Python nor read the command line.

    Args:
        settings: The settings.
        of_command: Whether they come from one of our commands, so that the defaults of commands apply.
        plans: Whether they belong to a run of another process, so that this one leaves the GPUs alone.
    """

    def __init__(self, settings: Mapping[str, Any] = {}, of_command: bool = False, plans: bool = False) -> None:
        super().__init__(settings)
        self.of_command = of_command
        self.plans = plans


def build_config(settings: Mapping[str, Any], of_command: bool = False, plans: bool = False) -> Any:
    """Build RecBole's configuration.

    Args:
        settings: All settings, with ``model`` and ``dataset``.
        of_command: Whether the defaults of our commands (K = 5, 10, 20 and NDCG@10) apply.
        plans: Whether it only plans a run of another process. Its device is then the CPU, and neither CUDA nor
            ``CUDA_VISIBLE_DEVICES`` is touched.

    Returns:
        RecBole's ``Config``.
    """
    from recbole.config import Config

    given = Typed(settings, of_command, plans)
    return Config(model=given["model"], dataset=given["dataset"], config_dict=given)


def is_typed(config: Any) -> bool:
    """Return True if a ``Config`` was built from settings that have been parsed and checked."""
    return isinstance(getattr(config, "variable_config_dict", None), Typed)


def is_plan(config: Any) -> bool:
    """Return True if a ``Config`` only plans a run of another process."""
    return bool(getattr(getattr(config, "variable_config_dict", None), "plans", False))


def is_sequential(config: Any) -> bool:
    """Return True if the model of a configuration is sequential, so that it needs times."""
    return bool(config["MODEL_TYPE"].name == "SEQUENTIAL")


def reads_graph(config: Any) -> bool:
    """Return True if the model of a configuration reads a knowledge graph."""
    from recbole.data import dataset

    own = getattr(dataset, f"{config['model']}Dataset", None)
    of_graph = own is not None and issubclass(own, dataset.KnowledgeBasedDataset)
    return bool(of_graph or config["MODEL_TYPE"].name == "KNOWLEDGE")
