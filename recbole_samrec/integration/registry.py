"""The models available to a run: RecBole's, ours and the user's own.

:mod:`recbole_samrec.integration.hooks` puts ours where RecBole looks for its own.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import ModelType

from recbole_samrec.config.recbole_keys import TREES, find_recbole_folder
from recbole_samrec.utils.errors import ConfigError

MODELS = {
    "SAMRec": "sequential_recommender",
    "BSARec": "sequential_recommender",
    "gSASRec": "sequential_recommender",
    "CL4SRec": "sequential_recommender",
    "DuoRec": "sequential_recommender",
    "SASRecOriginal": "sequential_recommender",
    "eSASRec": "sequential_recommender",
    "RecentPop": "general_recommender",
    "HistoryItemKNN": "general_recommender",
    "HistoryEASE": "general_recommender",
}
"""Our models and the family of RecBole's that each belongs to; the module is ``recbole_samrec.model.<name>``."""

RECBOLE = find_recbole_folder()


def register(model_class: type[Any]) -> str:
    """Register your own model with RecBole and with our commands, under its name.

    Args:
        model_class: A RecBole recommender. Its settings may have defaults in a class attribute ``settings``, a
            dictionary, or in a yaml file.

    Returns:
        The name of the model.

    Raises:
        ConfigError: The class is not a RecBole recommender, or has the name of another model.

    Example::

        from recbole.model.general_recommender import BPR
        from recbole_samrec import register, run

        class WideBPR(BPR):
            settings = {"embedding_size": 128}

        run(register(WideBPR), "ml-100k", epochs=5).metrics
    """
    name = str(getattr(model_class, "__name__", model_class))
    if not (isinstance(model_class, type) and issubclass(model_class, AbstractRecommender)):
        raise ConfigError(f"{name} is not a model: derive it from one of recbole.model.abstract_recommender")
    if name in model_names():
        raise ConfigError(f"{name}: there is a model of this name already; choose another")
    families = {ModelType.SEQUENTIAL: "sequential", ModelType.CONTEXT: "context_aware"}
    families[ModelType.KNOWLEDGE] = "knowledge_aware"
    where = families.get(getattr(model_class, "type", None), "general")
    alias = ModuleType(f"recbole.model.{where}_recommender.{name.lower()}")
    alias.__spec__ = ModuleSpec(alias.__name__, None)
    setattr(alias, name, model_class)
    model_class.source_sha256 = _source_hash(model_class)
    sys.modules[alias.__name__] = alias
    return name


def model_from(source: str) -> str:
    """Register the model at ``file.py:Name`` or ``package.module:Name``, and return its name.

    Raises:
        ConfigError: The file, module or class does not exist, or is not a model.
    """
    where, _, name = source.rpartition(":")
    if not where or not name:
        raise ConfigError(f"--model={source}: give the file and the class of your model, as file.py:Name")
    try:
        if where.endswith(".py"):
            spec = spec_from_file_location(f"own_model.{Path(where).stem}", where)  # hides no module with that name
            if spec is None or spec.loader is None:
                raise ImportError("it is not a Python file")
            module = module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(where)
    except (ImportError, OSError) as error:
        raise ConfigError(f"--model={source}: {where} cannot be imported ({error})") from error
    if not hasattr(module, name):
        raise ConfigError(f"--model={source}: there is no {name} in {where}")
    return register(getattr(module, name))


def source_hash(model_class: type) -> str | None:
    """Return the sha256 of a user's own model when it was registered: of its file, and of those of its bases.

    None for RecBole's models and ours, and for a class without a file.
    """
    return vars(model_class).get("source_sha256")


def _source_hash(model_class: type) -> str | None:
    theirs = {*sys.stdlib_module_names, "torch", "recbole", "recbole_samrec"}
    own = [base.__module__ for base in model_class.__mro__ if base.__module__.partition(".")[0] not in theirs]
    files = (getattr(sys.modules.get(module), "__file__", None) for module in dict.fromkeys(own))
    sources = [Path(file).read_bytes() for file in files if file]
    return hashlib.sha256(b"".join(sources)).hexdigest() if sources else None


def model_names() -> list[str]:
    """List the names of all models, RecBole's and ours."""
    theirs = {file.stem for file in (RECBOLE / "properties" / "model").glob("*.yaml")}
    theirs = theirs.difference(TREES.values()) | {*TREES, "Random"}  # Random has no settings, so no file either
    return sorted(theirs.union(MODELS), key=str.lower)


def is_model(name: str) -> bool:
    """Return True if a model of this name can be found: RecBole's, ours, or a registered one."""
    return name in model_names() or _is_loaded(name)


def _is_loaded(name: str) -> bool:
    """Return True if a user's own model was added to one of RecBole's families."""
    pattern = re.compile(rf"recbole\.model\.\w+\.{re.escape(name.lower())}")
    return any(pattern.fullmatch(key) and hasattr(module, name) for key, module in list(sys.modules.items()))


def find_module(name: str) -> ModuleType:
    """Import the module of one of our models."""
    return importlib.import_module(f"recbole_samrec.model.{name.lower()}")
