"""Hooks that make RecBole find our models, trainers, data sets and defaults, so that its entry points work unchanged.

RecBole finds a model by importing ``recbole.model.<family>.<name>``, a trainer as an attribute of ``recbole.trainer``,
defaults next to its own yaml files, and everything else by the type of the model. These look-ups are wrapped here,
once, when the package is imported. ``get_trainer("SAMRec")`` therefore returns our trainer, and every trainer of
RecBole is derived from it. Defects are patched in :mod:`recbole_samrec.compat`; the methods that our classes override
are listed in :mod:`recbole_samrec.integration.overrides`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import recbole.config
import recbole.data
import recbole.data.dataset
import recbole.trainer
from recbole.config import Config
from recbole.data import utils as recbole_data
from recbole.data.dataset import Dataset
from recbole.model.sequential_recommender.s3rec import S3Rec
from recbole.trainer import trainer as recbole_trainer
from recbole.utils import ModelType
from recbole.utils import utils as recbole_utils

from recbole_samrec.compat import Patcher
from recbole_samrec.config.defaults import add_our_defaults
from recbole_samrec.data import attributes
from recbole_samrec.data.event_loader import EventLoader
from recbole_samrec.data.features import check_features
from recbole_samrec.data.leave_one_out import keep_first_events
from recbole_samrec.data.packed_dataset import PackedDataset
from recbole_samrec.data.packed_loader import PackedLoader
from recbole_samrec.data.s3rec_loader import PretrainingLoader
from recbole_samrec.data.subsample import sample_users
from recbole_samrec.data.temporal_options import read_options
from recbole_samrec.data.temporal_parts import build_temporal_parts
from recbole_samrec.evaluator.history_mask import remember_split
from recbole_samrec.integration import known_data
from recbole_samrec.integration.registry import MODELS, find_module, is_model, model_names
from recbole_samrec.model.packed_forward import require_packable, score_faster
from recbole_samrec.trainer import pretraining
from recbole_samrec.trainer.recbole_trainers import reject_sam, train_ncl_with_sam
from recbole_samrec.trainer.resume import make_resumable
from recbole_samrec.trainer.trainer import SAMRecTrainer, SAMTrainer
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import suggest_nearest


def install_hooks(patch: Patcher) -> None:
    """Put our models, trainers and defaults where RecBole looks for its own."""
    for name, family in MODELS.items():
        sys.modules[f"recbole.model.{family}.{name.lower()}"] = find_module(name)
    _install_trainers(patch)
    patch(S3Rec, "__init__", pretraining.build_for_both_stages(S3Rec.__init__))
    patch(S3Rec, "full_sort_predict", score_faster(S3Rec.full_sort_predict))
    patch(Config, "_load_internal_config_dict", load_our_defaults(Config._load_internal_config_dict))
    patch.replace_everywhere(recbole_utils.get_model, suggest_nearest_models(recbole_utils.get_model))
    create = known_data.read_known_data(choose_packed_data(recbole_data.create_dataset))
    patch.replace_everywhere(recbole_data.create_dataset, create)
    patch(Dataset, "_remap_ID_all", known_data.remap_all_known(Dataset._remap_ID_all))
    patch(Dataset, "_remap", known_data.remap_known(Dataset._remap))
    patch(Dataset, "build", split_globally(Dataset.build))
    split = Dataset._split_index_by_leave_one_out
    patch(Dataset, "_split_index_by_leave_one_out", keep_first_events(split))
    patch.replace_everywhere(recbole_data.get_dataloader, choose_loader(recbole_data.get_dataloader))
    patch.replace_everywhere(recbole.data.data_preparation, connect_split(recbole.data.data_preparation))


def _install_trainers(patch: Patcher) -> None:
    """Derive every trainer of RecBole from ours."""
    for trainer in recbole_trainer.Trainer.__subclasses__():
        if trainer is not SAMTrainer:
            patch(trainer, "__bases__", (SAMTrainer,))
    s3rec = recbole_trainer.S3RecTrainer
    patch(s3rec, "fit", pretraining.pretrain_first(s3rec.fit))
    for trainer in vars(recbole_trainer).values():
        if isinstance(trainer, type) and issubclass(trainer, SAMTrainer) and "fit" in vars(trainer):
            if trainer is not SAMTrainer:
                patch(trainer, "fit", make_resumable(trainer.fit))
    patch(recbole.trainer, "Trainer", SAMTrainer)
    patch(recbole.trainer, "SAMRecTrainer", SAMRecTrainer)
    patch(recbole_trainer.DecisionTreeTrainer, "__init__", reject_sam(recbole_trainer.DecisionTreeTrainer.__init__))
    patch(recbole_trainer.NCLTrainer, "_train_epoch", train_ncl_with_sam(recbole_trainer.NCLTrainer._train_epoch))


def load_our_defaults(load: Callable) -> Callable:
    """Extend RecBole's defaults with ours."""

    @functools.wraps(load)
    def load_all(self: Any, model: str, model_class: type, dataset: str) -> None:
        load(self, model, model_class, dataset)
        add_our_defaults(self, model, model_class, dataset)
        if model == "S3Rec":
            pretraining.complete_settings(self.internal_config_dict, self.external_config_dict, dataset)

    return load_all


def suggest_nearest_models(get_model: Callable) -> Callable:
    """Suggest the nearest names for an unknown model; RecBole's look-up fails on a missing lightgbm."""

    @functools.wraps(get_model)
    def get_known(model_name: str) -> type:
        if not is_model(model_name):
            raise ConfigError(f"--model={model_name}: unknown model; {suggest_nearest(model_name, model_names())}")
        return get_model(model_name)

    return get_known


def choose_packed_data(create: Callable) -> Callable:
    """Return the data set of packed training where RecBole looks for the plain sequential one."""

    @functools.wraps(create)
    def create_dataset(config: Any) -> Any:
        if config["model"] == "S3Rec" and not isinstance(config["item_attribute"], str):  # files may have been missing
            config.final_config_dict |= attributes.find_attribute_settings(
                config.final_config_dict, Path(config["data_path"])
            )
        dataset = create_chosen(config)
        check_features(config, dataset)
        if config["model"] == "S3Rec" and not isinstance(config["item_attribute"], str):
            attributes.join_attributes(dataset, config["item_attribute"])
        return dataset

    def create_chosen(config: Any) -> Any:
        if config["training"] != "packed":
            return create(config)
        require_packable(config.model_class, config)
        if hasattr(recbole.data.dataset, f"{config['model']}Dataset"):
            raise ConfigError(
                f"training=packed does not support {config['model']}: it has its own data set; use training=prefix"
            )
        patch = Patcher()
        patch(recbole.data.dataset, "SequentialDataset", PackedDataset)
        try:
            return create(config)
        finally:
            patch.undo()

    return create_dataset


def split_globally(build: Callable) -> Callable:
    """Let a data set split itself by a global temporal split, which RecBole does not have."""

    @functools.wraps(build)
    def build_parts(self: Any) -> list[Any]:
        return build_temporal_parts(self) if read_options(self.config["eval_args"]) else build(self)

    return build_parts


def choose_loader(choose: Callable) -> Callable:
    """Return the loaders of packed training, and of targets that are predicted one by one, where RecBole chooses."""

    @functools.wraps(choose)
    def get_dataloader(config: Any, phase: str) -> type:
        if phase != "train" and read_options(config["eval_args"]) and config["MODEL_TYPE"] != ModelType.SEQUENTIAL:
            return EventLoader
        if config["training"] != "packed" or phase != "train":
            return choose(config, phase)
        return PretrainingLoader if config["train_stage"] == "pretrain" else PackedLoader

    return get_dataloader


def connect_split(prepare: Callable) -> Callable:
    """Link the validation and test loaders to the loaders of the earlier parts of the split."""

    @functools.wraps(prepare)
    def prepare_all(config: Any, dataset: Any) -> tuple:
        share = config["train_fraction"]
        if share is not None and share < 1:
            dataset.build = sample_training_users(dataset.build, share, config["seed"])
        train_data, valid_data, test_data = prepare(config, dataset)
        remember_split(train_data, valid_data, test_data)
        return train_data, valid_data, test_data

    return prepare_all


def sample_training_users(build: Callable, share: float, seed: int) -> Callable:
    """Restrict a data set's training part to a share of its users; the parts for validation and test keep all users."""

    @functools.wraps(build)
    def build_all() -> list[Any]:
        train, *others = build()
        return [sample_users(train, share, seed), *others]

    return build_all
