"""Patches of pickled data sets and data loaders: use only trusted ones that match the present files and settings.

Reading a pickle runs whatever code it contains, so RecBole's caches are opened only with ``trust_checkpoint: True``.
When a cache is saved, a small JSON file beside it records the source files and settings it was made from. If these
have changed since, the cache is ignored and the data are prepared again.
"""

from __future__ import annotations

import contextvars
import glob
import inspect
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from logging import getLogger
from pathlib import Path
from typing import Any

import recbole.data.utils as utils_module
from recbole.config import Config
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.dataset import Dataset

from recbole_samrec.compat import ModuleProxy, Patcher, recbole_patch
from recbole_samrec.data.temporal_options import read_options
from recbole_samrec.utils.errors import CheckpointError
from recbole_samrec.utils.files import hash_files

_DATA_SETTINGS = (
    "encoding",
    "eval_args",
    "exact_time_order",
    "keep_na_tokens",
    "numerical_features",
    "discretization",
    "kg_reverse_r",
    "entity_kg_num_interval",
    "relation_kg_num_interval",
    "training",
)
"""Settings that shape a data set and that RecBole does not compare."""

_LOADER_SETTINGS = (
    *_DATA_SETTINGS,
    "sequential_targets",
    "train_fraction",
    "train_neg_sample_args",
    "valid_neg_sample_args",
    "test_neg_sample_args",
    "transform",
    "window_stride",
    "shuffle",
    "worker",
    "single_spec",
)
"""The same for data loaders."""

_reading: contextvars.ContextVar[tuple[Config, str] | None] = contextvars.ContextVar("reading", default=None)
"""Configuration being read, and the key of its cache. It is a context variable because RecBole decides by
``os.path.exists(path)`` inside its functions; the patched ``exists`` does not receive the configuration."""


class _CachePath(ModuleProxy):
    """Proxy of ``os.path`` where RecBole looks for caches: only usable ones exist."""

    def exists(self, path: str) -> bool:
        return os.path.exists(path) and _is_usable(path)


class _OperatingSystem(ModuleProxy):
    """Proxy of ``os`` in the module that reads caches."""

    path = _CachePath(os.path)


def _is_usable(path: str) -> bool:
    """Return True if an existing cache is trusted and matches the run.

    Raises:
        CheckpointError: The user named the file without trusting it.
    """
    config, key = _reading.get() or (None, "")
    if config is None or not config["trust_checkpoint"]:
        reason = "reading it can run any code"
        if config is not None and config[key]:
            raise CheckpointError(
                f"{key}: {path} is a pickle: {reason}. Add --trust_checkpoint=True if you made it, or remove {key}."
            )
        getLogger().warning(f"Ignored {path}: {reason}. Use it with --trust_checkpoint=True, or delete it.")
        return False
    reason = _find_changes(config, path)
    if reason:
        getLogger().warning(f"Ignored {path}: {reason}. The data are prepared again; save them to replace the file.")
    return not reason


def _sidecar(path: str) -> Path:
    return Path(f"{path}.json")


def _content(config: Config, settings: Iterable[str]) -> dict[str, Any]:
    """Describe the sources of a cache: the sha256 of each atomic file, and the settings that shape the data."""
    files = sorted(Path(config["data_path"]).glob(f"{glob.escape(config['dataset'])}.*"))
    content = {
        "files": {file.name: hash_files([file]) for file in files if file.is_file()},
        "settings": {key: config[key] for key in settings},
    }
    return json.loads(json.dumps(content, default=str))


def _find_changes(config: Config, path: str) -> str:
    """Explain why a cache does not match the present run; empty if it does."""
    try:
        saved = json.loads(_sidecar(path).read_text())
        present = _content(config, saved["settings"])
        changed = {kind: _list_differences(saved[kind], now) for kind, now in present.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"it cannot be checked, because {_sidecar(path)} is missing or damaged"
    return "; ".join(f"these {kind} have changed since: {', '.join(names)}" for kind, names in changed.items() if names)


def _list_differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


@contextmanager
def _set_reading(config: Config, key: str) -> Iterator[None]:
    token = _reading.set((config, key))
    try:
        yield
    finally:
        _reading.reset(token)


@recbole_patch(
    "data/utils.py 59, 118",
    "pickled data are loaded without consent, even when outdated, and a saved data set keeps its old settings",
    silent=True,
)
def open_only_trusted_caches(patch: Patcher) -> None:
    create, load = utils_module.create_dataset, utils_module.load_split_dataloaders
    if "pickle.load" not in inspect.getsource(create):
        return

    @wraps(create)
    def create_dataset(config: Config) -> Dataset:
        with _set_reading(config, "dataset_save_path"):
            dataset = create(config)
        dataset.config = config  # a saved one would be split as it was then
        return dataset

    @wraps(load)
    def load_split_dataloaders(config: Config) -> tuple[AbstractDataLoader, ...] | None:
        if read_options(config["eval_args"]):
            return None  # a global temporal split, of which loaders in a file know neither counts nor training
        with _set_reading(config, "dataloaders_save_path"):
            return load(config)

    patch(utils_module, "os", _OperatingSystem(os))
    patch.replace_everywhere(create, create_dataset)
    patch.replace_everywhere(load, load_split_dataloaders)


@recbole_patch(
    "data/dataset/dataset.py 1872; data/utils.py 76", "a saved cache does not record its sources", silent=True
)
def describe_saved_caches(patch: Patcher) -> None:
    save, save_loaders = Dataset.save, utils_module.save_split_dataloaders

    @wraps(save)
    def save_and_describe(self: Dataset) -> None:
        save(self)
        _describe(self.config, f"{self.config['dataset']}-{type(self).__name__}.pth", _DATA_SETTINGS)

    @wraps(save_loaders)
    def save_split_dataloaders(config: Config, dataloaders: Sequence[AbstractDataLoader]) -> None:
        with _keep_generators(dataloaders):
            save_loaders(config, dataloaders)
        _describe(config, f"{config['dataset']}-for-{config['model']}-dataloader.pth", _LOADER_SETTINGS)

    patch(Dataset, "save", save_and_describe)
    patch.replace_everywhere(save_loaders, save_split_dataloaders)


def _describe(config: Config, name: str, settings: Iterable[str]) -> None:
    path = os.path.join(config["checkpoint_dir"], name)
    _sidecar(path).write_text(json.dumps(_content(config, settings), indent=1))


@contextmanager
def _keep_generators(dataloaders: Sequence[AbstractDataLoader]) -> Iterator[None]:
    """Restore the generators that RecBole removes from the loaders to pickle them: the run still needs them."""
    kept = [(loader, loader.generator) for loader in dataloaders]
    try:
        yield
    finally:
        for loader, generator in kept:
            loader.generator = loader.sampler.generator = generator


@recbole_patch(
    "data/dataloader/abstract_dataloader.py 81", "loaders from a cache keep their old batch size", silent=True
)
def renew_batch_size(patch: Patcher) -> None:
    update: Callable[[AbstractDataLoader, Config], None] = AbstractDataLoader.update_config
    if "batch_sampler" in inspect.getsource(update):
        return

    @wraps(update)
    def update_config(self: AbstractDataLoader, config: Config) -> None:
        update(self, config)
        if not config["single_spec"]:
            self.step = max(1, self.step // config["world_size"])
        if self.batch_sampler is not None:
            self.batch_sampler.batch_size = self.step

    patch(AbstractDataLoader, "update_config", update_config)
