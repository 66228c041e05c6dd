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
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import recbole.config
import recbole.data
import recbole.data.dataset
import recbole.trainer
from recbole.config import Config
from recbole.data import utils as recbole_data
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.model.sequential_recommender.s3rec import S3Rec
from recbole.trainer import trainer as recbole_trainer
from recbole.utils import ModelType
from recbole.utils import utils as recbole_utils

from recbole_samrec.compat import Patcher
from recbole_samrec.config.defaults import add_our_defaults
from recbole_samrec.config.recbole_keys import TREES, recbole_folder
from recbole_samrec.data import attributes
from recbole_samrec.data.packed_dataset import PackedDataset
from recbole_samrec.data.packed_loader import PackedLoader
from recbole_samrec.data.s3rec_loader import PretrainingLoader
from recbole_samrec.data.subsample import of_some_users
from recbole_samrec.model.packed_forward import require_packable
from recbole_samrec.trainer import pretraining
from recbole_samrec.trainer.resume import whole
from recbole_samrec.trainer.trainer import SAMRecTrainer, SAMTrainer, require_gradients
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import nearest

MODELS = {
    "SAMRec": "sequential_recommender",
    "BSARec": "sequential_recommender",
    "gSASRec": "sequential_recommender",
    "CL4SRec": "sequential_recommender",
    "DuoRec": "sequential_recommender",
}
"""Our models and the family of RecBole's that each belongs to; the module is ``recbole_samrec.model.<name>``."""

RECBOLE = recbole_folder()


def install(patch: Patcher) -> None:
    """Put our models, trainers and defaults where RecBole looks; done once when the package is imported."""
    for name, family in MODELS.items():
        sys.modules[f"recbole.model.{family}.{name.lower()}"] = _module_of(name)
    _install_trainers(patch)
    patch(S3Rec, "__init__", pretraining.in_both_stages(S3Rec.__init__))
    patch(Config, "_load_internal_config_dict", with_our_defaults(Config._load_internal_config_dict))
    patch.everywhere(recbole_utils.get_model, with_nearest_names(recbole_utils.get_model))
    patch.everywhere(recbole_data.create_dataset, with_packed_data(recbole_data.create_dataset))
    patch.everywhere(recbole_data.get_dataloader, with_packed_loader(recbole_data.get_dataloader))
    patch.everywhere(recbole.data.data_preparation, with_earlier_data(recbole.data.data_preparation))


def register(model_class: type) -> str:
    """Make a user's own model known to RecBole, and to our commands, by its name.

    Args:
        model_class: A RecBole recommender. Its settings may have defaults in a class attribute ``settings``, a
            dictionary, or in a yaml file.

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


def _install_trainers(patch: Patcher) -> None:
    """Slip our trainer under all that RecBole derives from its own."""
    for trainer in recbole_trainer.Trainer.__subclasses__():
        if trainer is not SAMTrainer:
            patch(trainer, "__bases__", (SAMTrainer,))
    s3rec = recbole_trainer.S3RecTrainer
    patch(s3rec, "fit", pretraining.with_pretraining(s3rec.fit))
    for trainer in vars(recbole_trainer).values():
        if isinstance(trainer, type) and issubclass(trainer, SAMTrainer) and "fit" in vars(trainer):
            if trainer is not SAMTrainer:
                patch(trainer, "fit", whole(trainer.fit))
    patch(recbole.trainer, "Trainer", SAMTrainer)
    patch(recbole.trainer, "SAMRecTrainer", SAMRecTrainer)
    patch(recbole_trainer.DecisionTreeTrainer, "__init__", _without_sam(recbole_trainer.DecisionTreeTrainer.__init__))
    patch(recbole_trainer.NCLTrainer, "_train_epoch", _ncl_epoch(recbole_trainer.NCLTrainer._train_epoch))


def _without_sam(init: Callable) -> Callable:
    """Trees are grown by a trainer that is not derived from the others, and would pass over ``sam_rho`` in silence."""

    @functools.wraps(init)
    def refuse_or_build(self: Any, config: Any, model: Any) -> None:
        if config["sam_rho"]:
            require_gradients(model)
        init(self, config, model)

    return refuse_or_build


def _ncl_epoch(train: Callable) -> Callable:
    """NCL trains by a loop of its own, which leaves the last loss out while it warms up."""

    @functools.wraps(train)
    def epoch(self: Any, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False) -> Any:
        loss_func = loss_func or self.model.calculate_loss
        warm = epoch_idx < self.config["warm_up_step"]
        with self.epoch(train_data, epoch_idx):
            recorded = self.sam_step.recorded(loss_func, lambda batch: loss_func(batch)[: -1 if warm else None])
            losses = train(self, train_data, epoch_idx, recorded, show_progress)
        self._report_training(epoch_idx, losses, len(train_data))
        return losses

    return epoch


def with_our_defaults(load: Callable) -> Callable:
    """Extend RecBole's defaults by ours."""

    @functools.wraps(load)
    def load_all(self: Any, model: str, model_class: type, dataset: str) -> None:
        load(self, model, model_class, dataset)
        add_our_defaults(self, model, model_class, dataset)
        if model == "S3Rec":
            pretraining.complete(self.internal_config_dict, self.external_config_dict, dataset)

    return load_all


def model_names() -> list[str]:
    """The names of all models, RecBole's and ours."""
    theirs = {file.stem for file in (RECBOLE / "properties" / "model").glob("*.yaml")}
    theirs = theirs.difference(TREES.values()) | {*TREES, "Random"}  # Random has no settings, so no file either
    return sorted(theirs.union(MODELS), key=str.lower)


def is_model(name: str) -> bool:
    """Whether a model of this name can be found: RecBole's, ours, or one that was made known."""
    return name in model_names() or _loaded(name)


def with_nearest_names(get_model: Callable) -> Callable:
    """Answer an unknown model name with the nearest ones; RecBole's look-up ends in a missing lightgbm."""

    @functools.wraps(get_model)
    def get_known(model_name: str) -> type:
        if not is_model(model_name):
            raise ConfigError(f"--model={model_name}: there is no such model; {nearest(model_name, model_names())}")
        return get_model(model_name)

    return get_known


def _loaded(name: str) -> bool:
    """Whether a user has put a model of his own under one of RecBole's families."""
    pattern = re.compile(rf"recbole\.model\.\w+\.{re.escape(name.lower())}")
    return any(pattern.fullmatch(key) and hasattr(module, name) for key, module in list(sys.modules.items()))


def with_packed_data(create: Callable) -> Callable:
    """Give RecBole the data set of packed training where it looks for the plain sequential one."""

    @functools.wraps(create)
    def create_dataset(config: Any) -> Any:
        if config["model"] == "S3Rec" and config["item_attribute"] is None:  # its files were not there before
            config.final_config_dict |= attributes.settings_for(config.final_config_dict, Path(config["data_path"]))
        if config["training"] != "packed":
            return create(config)
        require_packable(config.model_class, config)
        if hasattr(recbole.data.dataset, f"{config['model']}Dataset"):
            raise ConfigError(f"training=packed: {config['model']} has a data set of its own; use training=prefix")
        patch = Patcher()
        patch(recbole.data.dataset, "SequentialDataset", PackedDataset)
        try:
            return create(config)
        finally:
            patch.undo()

    return create_dataset


def with_packed_loader(choose: Callable) -> Callable:
    """Answer with the loader of packed training where RecBole asks which one to train with."""

    @functools.wraps(choose)
    def get_dataloader(config: Any, phase: str) -> type:
        if config["training"] != "packed" or phase != "train":
            return choose(config, phase)
        return PretrainingLoader if config["train_stage"] == "pretrain" else PackedLoader

    return get_dataloader


def with_earlier_data(prepare: Callable) -> Callable:
    """Let the loaders for validation and test know those of the earlier parts of the split."""

    @functools.wraps(prepare)
    def prepare_all(config: Any, dataset: Any) -> tuple:
        share = config["train_fraction"]
        if share is not None and share < 1:
            dataset.build = with_share(dataset.build, share, config["seed"])
        train_data, valid_data, test_data = prepare(config, dataset)
        valid_data.earlier_data = [train_data]
        test_data.earlier_data = [train_data, valid_data]
        return train_data, valid_data, test_data

    return prepare_all


def with_share(build: Callable, share: float, seed: int) -> Callable:
    """Let a data set's training part hold a share of its users; the parts for validation and test stay whole."""

    @functools.wraps(build)
    def build_all() -> list[Any]:
        train, *others = build()
        return [of_some_users(train, share, seed), *others]

    return build_all


def _module_of(name: str) -> ModuleType:
    """The module of one of our models."""
    return importlib.import_module(f"recbole_samrec.model.{name.lower()}")
