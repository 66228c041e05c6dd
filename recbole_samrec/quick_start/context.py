"""The parts of a run that precede its model: configuration, data, hashes, callbacks and folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole.data import create_dataset, data_preparation
from recbole.utils import EvaluatorType, init_logger, init_seed

from recbole_samrec.data.files import hash_attributes, hash_interactions
from recbole_samrec.data.row_order import RowOrder
from recbole_samrec.evaluator.test_ranks import Events
from recbole_samrec.quick_start.recbole_warnings import describe_split, list_notes, list_warnings
from recbole_samrec.trainer.callbacks import Callback
from recbole_samrec.utils.error_messages import raise_as_user_error
from recbole_samrec.utils.errors import ConfigError, DataError
from recbole_samrec.utils.processes import is_first_process


@dataclass(frozen=True)
class RunContext:
    """The parts of a run, built once by :func:`prepare_run`.

    Args:
        config: RecBole's configuration.
        dataset: RecBole's data set; after the split, it contains samples instead of events for sequential models.
        train_data: Loader of the training set.
        valid_data: Loader of the validation set.
        test_data: Loader of the test set.
        interactions: Number of events before the split.
        events: Number of events of each user and each item before the split.
        attributes_sha256: Hash of the other files of the data set; None if there are none.
        callbacks: Callbacks of the run.
        rows: Order of the rows before the split; None where no files of a run are written.
        known_sha256: Hash of the interactions, if somebody has computed it already.
    """

    config: Any
    dataset: Any
    train_data: Any
    valid_data: Any
    test_data: Any
    interactions: int
    events: Events
    attributes_sha256: str | None
    callbacks: tuple[Callback, ...] = ()
    rows: RowOrder | None = None
    known_sha256: str | None = None

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return Path(self.config["run_dir"])

    @property
    def loaders(self) -> tuple[Any, Any, Any]:
        """Loaders of the training, validation and test set."""
        return self.train_data, self.valid_data, self.test_data

    @cached_property
    def sha256(self) -> str:
        """Hash of the interactions."""
        return self.known_sha256 or hash_interactions(self.config)

    @property
    def is_first_process(self) -> bool:
        """True in the process that writes the files of the run: the only one, or the first of several."""
        return is_first_process(self.config)


def prepare_run(
    config: Any,
    callbacks: Iterable[Callback] = (),
    sha256: str | None = None,
    *,
    read: Callable[[Any], Any] | None = None,
    log: bool = True,
    note: Callable[[str], None] = lambda line: None,
) -> RunContext:
    """Load and split the data, with the same seeds as RecBole's ``run_recbole``.

    Args:
        config: RecBole's configuration.
        callbacks: Callbacks of the run.
        sha256: Hash of the interactions, if it is known already.
        read: Function that returns the data set for a configuration, in place of RecBole's ``create_dataset``.
        log: Start the log of the run.
        note: Called with each remark on settings and data that the check of the files has not made.

    Raises:
        UserError: RecBole does not take the settings or the data, or there is not enough to train and rank.
    """
    init_seed(config["seed"], config["reproducibility"])
    if log:
        init_logger(config)
    getLogger().info(config)
    context = read_data(config, callbacks, sha256, read=read)
    for line in list_warnings(config, context.dataset, context.loaders):
        getLogger().warning(line)
    for line in [*describe_split(context.dataset), *list_notes(config, context.dataset)]:
        note(line)
    return context


def read_data(
    config: Any,
    callbacks: Iterable[Callback] = (),
    sha256: str | None = None,
    *,
    read: Callable[[Any], Any] | None = None,
) -> RunContext:
    """Load and split the data; arguments and errors are those of :func:`prepare_run`, which also sets the seeds."""
    dataset = _read_dataset(config, read)
    attributes, interactions, events = hash_attributes(config), int(dataset.inter_num), Events.count(dataset)
    rows = None
    if config["run_dir"] and is_first_process(config):
        sha256 = sha256 or hash_interactions(config)
        rows = RowOrder.of(dataset, sha256)
    loaders = _split(config, dataset)
    return RunContext(config, dataset, *loaders, interactions, events, attributes, tuple(callbacks), rows, sha256)


def _read_dataset(config: Any, read: Callable[[Any], Any] | None) -> Any:
    name = config["dataset"]
    with raise_as_user_error(f"{name} cannot be read with these settings", config):
        dataset = (read or create_dataset)(config)
    getLogger().info(dataset)
    if config["eval_type"] == EvaluatorType.RANKING and max(config["topk"]) > dataset.item_num - 1:
        raise ConfigError(f"topk={config['topk']}: {name} has only {dataset.item_num - 1} items; lower --topk")
    if "labeled" in config["eval_args"]["mode"].values() and dataset.label_field not in dataset.inter_feat:
        raise DataError(
            f"{name}: mode labeled needs a column {dataset.label_field}, which is missing; make it from the ratings "
            "with --threshold=\"{'rating': 4}\", and have them loaded by load_col"
        )
    return dataset


def _split(config: Any, dataset: Any) -> tuple[Any, Any, Any]:
    name = config["dataset"]
    with raise_as_user_error(f"{name} cannot be split with these settings", config):
        loaders = data_preparation(config, dataset)
    if len(loaders[0]) == 0:
        raise DataError(f"{name}: the split leaves nothing for training; users need at least 3 events each")
    return loaders
