"""Makes RecBole know our models, trainers and defaults, so that its own entry points work with them unchanged.

RecBole finds a model by importing ``recbole.model.<family>.<name>``, a trainer as an attribute of ``recbole.trainer``,
defaults beside its own yaml files, and everything else by the type of the model. These look-ups are all that is
touched here; defects are mended in :mod:`recbole_samrec.compat`.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import re
import sys
from contextvars import ContextVar
from importlib import resources
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import ModelType

from recbole_samrec.compat.config import YamlLoader
from recbole_samrec.utils.errors import ConfigError, in_one_line
from recbole_samrec.utils.paths import PACKAGE, PROPERTIES

MODELS = {
    "SAMRec": "sequential_recommender",
    "BSARec": "sequential_recommender",
    "gSASRec": "sequential_recommender",
    "CL4SRec": "sequential_recommender",
    "DuoRec": "sequential_recommender",
}
"""Our models and the family of RecBole's that each belongs to; the module is ``recbole_samrec.model.<name>``."""

TREES = {"XGBoost": "xgboost", "LightGBM": "lightgbm"}
"""Models whose yaml file RecBole finds only where the case of a file name does not matter."""

COMMAND_DEFAULTS: ContextVar[bool] = ContextVar("command_defaults", default=False)
"""Whether the defaults of our commands (K = 5, 10, 20 and NDCG@10) apply under the user's settings."""

RECBOLE = Path(str(resources.files("recbole")))


def register(model_class: type) -> str:
    """Make a user's own model known to RecBole, and to our commands, by its name.

    Args:
        model_class: A RecBole recommender; its settings may have defaults in a yaml file of the user's.

    Returns:
        The name of the model.

    Raises:
        ConfigError: It is no RecBole recommender, or has the name of another model.
    """
    name = model_class.__name__
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
    """Register the model that ``file.py:Name`` or ``package.module:Name`` names, and return its name.

    Raises:
        ConfigError: The file, module or class is not there, or is no model.
    """
    where, _, name = source.rpartition(":")
    try:
        if where.endswith(".py"):
            spec = spec_from_file_location(f"own_model.{Path(where).stem}", where)  # hides no module of that name
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
    """The sha256 of a user's own model as it was when it was made known: of its file, and of those of its bases.

    None for RecBole's models and ours, and for a class that stands in no file.
    """
    return vars(model_class).get("source_sha256")


def _source_hash(model_class: type) -> str | None:
    theirs = {*sys.stdlib_module_names, "torch", "recbole", "recbole_samrec"}
    own = [base.__module__ for base in model_class.__mro__ if base.__module__.partition(".")[0] not in theirs]
    files = (getattr(sys.modules.get(module), "__file__", None) for module in dict.fromkeys(own))
    sources = [Path(file).read_bytes() for file in files if file]
    return hashlib.sha256(b"".join(sources)).hexdigest() if sources else None


def model_names() -> list[str]:
    """The names of all models, RecBole's and ours."""
    theirs = {file.stem for file in (RECBOLE / "properties" / "model").glob("*.yaml")}
    theirs = theirs.difference(TREES.values()) | {*TREES, "Random"}  # Random has no settings, so no file either
    return sorted(theirs.union(MODELS), key=str.lower)


def is_model(name: str) -> bool:
    """Whether a model of this name can be found: RecBole's, ours, or one that was made known."""
    return name in model_names() or _loaded(name)


def _loaded(name: str) -> bool:
    """Whether a user has put a model of his own under one of RecBole's families."""
    pattern = re.compile(rf"recbole\.model\.\w+\.{re.escape(name.lower())}")
    return any(pattern.fullmatch(key) and hasattr(module, name) for key, module in list(sys.modules.items()))


def settings_files(model: str | None = None, dataset: str | None = None) -> list[Path]:
    """The yaml files of RecBole and ours that explain the settings of a run."""
    names = ["overall.yaml", "dataset/sample.yaml", "command.yaml"]
    names += [f"model/{TREES.get(model, model)}.yaml", f"dataset/{dataset}.yaml"]
    start = [f"quick_start_config/{file.name}" for file in (RECBOLE / "properties/quick_start_config").glob("*.yaml")]
    files = [base / name for name in [*names, *start] for base in (RECBOLE / "properties", PROPERTIES)]
    return [file for file in files if file.is_file()]


def known_keys(model_class: type, model: str, dataset: str) -> set[str]:
    """Every setting that something reads: named in a yaml file, or looked up by RecBole, the model or this package.

    What another model of this package looks up is not among them.
    """
    keys: set[str] = set()
    for file in settings_files(model, dataset):
        keys |= set(read_yaml(file))
    sources = {file for file in RECBOLE.rglob("*.py") if "model" not in file.relative_to(RECBOLE).parts[:1]}
    ours = [getattr(module_of(name), name) for name in MODELS]
    sources |= set(PACKAGE.rglob("*.py")).difference(*map(_files_of, ours))
    return keys.union(*map(_keys_read_in, sources | _files_of(model_class)))


def keys_of_all_models() -> set[str]:
    """Every setting that RecBole's yaml files or ours name for any model, such as one file for several models holds."""
    files = [file for base in (RECBOLE / "properties", PROPERTIES) for file in base.rglob("*.yaml")]
    return set().union(*map(_keys_set_in, files))


def module_of(name: str) -> ModuleType:
    """The module of one of our models."""
    return importlib.import_module(f"recbole_samrec.model.{name.lower()}")


def _files_of(model_class: type) -> set[Path]:
    """The files in which a model and what it derives from are written."""
    names = {base.__module__ for base in model_class.__mro__ if not base.__module__.startswith(("torch", "builtins"))}
    files = (getattr(sys.modules.get(name), "__file__", None) for name in names)
    return {Path(file).resolve() for file in files if file}


@functools.cache
def _keys_read_in(source: Path) -> frozenset[str]:
    pattern = r"""config(?:\.get\(|\[)\s*f?["'](\w+)["']"""
    return frozenset(re.findall(pattern, source.read_text(encoding="utf-8")))


@functools.cache
def _keys_set_in(file: Path) -> frozenset[str]:
    return frozenset(re.findall(r"^(\w+)\s*:", file.read_text(encoding="utf-8"), re.MULTILINE))


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a yaml file of settings, without anything in it being run.

    Raises:
        ConfigError: The file is missing, or is no yaml file of settings.
    """
    try:
        settings = yaml.load(file.read_text(encoding="utf-8"), Loader=YamlLoader)
    except OSError as error:
        raise ConfigError(f"--config_files={file}: {error.strerror}; name a yaml file that can be read") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not a yaml file: {in_one_line(error)}") from error
    if settings is not None and not isinstance(settings, dict):
        raise ConfigError(f"{file}: it holds no settings; write lines such as learning_rate: 0.001")
    return settings or {}


def is_sequential(config: Any) -> bool:
    """Whether the model of a configuration reads sequences, and so needs times."""
    return config["MODEL_TYPE"] == ModelType.SEQUENTIAL
