"""One run: train a model, score it, and leave everything about it in one folder.

The folder holds ``best.pth`` and ``last.pth``, ``config.yaml``, ``run.log``, ``tensorboard/`` and ``result.json``.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from logging import getLogger
from pathlib import Path
from typing import Any

import yaml
from recbole.data import create_dataset, data_preparation
from recbole.utils import EvaluatorType, ModelType, get_model, get_trainer, init_logger, init_seed

from recbole_samrec.config.fingerprint import fingerprint
from recbole_samrec.evaluator.test_ranks import Events
from recbole_samrec.quick_start.recbole_warnings import warnings_about
from recbole_samrec.quick_start.record import attributes_hash, data_hash, describe, renamed, settings_of
from recbole_samrec.quick_start.writers import RankWriter
from recbole_samrec.trainer.callbacks import Callback, CallbackList
from recbole_samrec.trainer.trainer import SAMTrainer
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.error_messages import told_as_user_error
from recbole_samrec.utils.errors import CheckpointError, ConfigError, DataError

RESULT, CONFIG = "result.json", "config.yaml"
BEST_TREES = "best.ubj"
"""The model itself of boosted trees, which write no tensors."""
CHECKPOINTS = ("last.pth", "previous.pth", "best.pth")


def train(
    config: Any,
    resume: Path | None = None,
    callbacks: Iterable[Callback] = (),
    sha256: str | None = None,
    *,
    read: Callable[[Any], Any] | None = None,
    test: bool = True,
) -> dict[str, Any]:
    """Carry out one run, from the data to ``result.json``.

    Args:
        config: RecBole's configuration; ``run_dir`` names the folder of the run.
        resume: Checkpoint to go on from.
        callbacks: Callbacks, called in this order after those of the trainer itself.
        sha256: Hash of the interactions, if it is known already.
        read: Gives RecBole's data set for the configuration, before it is split; ``create_dataset`` if it is None.
        test: Score the test set at the end; a search does not, since it must not choose by it.

    Returns:
        What was written to ``result.json``.

    Raises:
        UserError: Settings, data or checkpoint cannot be used, or training failed for good.
    """
    started = time.perf_counter()
    folder = Path(config["run_dir"])
    dataset, loaders, trainer = prepare(config, read=read)
    if resume is not None:
        if not isinstance(trainer, SAMTrainer):
            raise ConfigError(f"--resume={resume}: {config['model']} is not trained in epochs; start a new run")
        trainer.resume_checkpoint(resume)
    if _is_first(config) and resume is None:
        write_atomically(folder / CONFIG, yaml.safe_dump(settings_of(config), sort_keys=True))
    all_callbacks = _add_callbacks(trainer, callbacks)
    if config["eval_args"]["mode"]["test"] == "full" and loaders[2]:
        held_out = [loader._dataset for loader in loaders[1:]]
        all_callbacks.add(RankWriter(dataset, dataset.all_events, held_out, folder))
    with all_callbacks.around_training(trainer):
        trainer.fit(loaders[0], loaders[1], saved=True, show_progress=False)
    scored = test and bool(loaders[2]) and Path(trainer.saved_model_file).exists()  # pre-training may save nothing
    metrics = _score_test_set(trainer, loaders[2]) if scored else None
    seconds = getattr(trainer, "elapsed", 0.0) + time.perf_counter() - started
    result = describe(config, dataset, trainer, metrics, seconds, sha256 or data_hash(config))
    if _is_first(config):
        write_atomically(folder / RESULT, json.dumps(result, indent=2) + "\n")
    return result


def _add_callbacks(trainer: Any, callbacks: Iterable[Callback]) -> CallbackList:
    """Add callbacks to a trainer; one of boosted trees has no list of its own, and calls none during training."""
    if not isinstance(trainer, SAMTrainer):
        return CallbackList(callbacks)
    trainer.callbacks.add(*callbacks)
    return trainer.callbacks


def _score_test_set(trainer: Any, test_data: Any) -> dict[str, float]:
    """Score the test set with the best weights."""
    if isinstance(trainer, SAMTrainer):
        return trainer.test(test_data)
    return trainer.evaluate(test_data, load_best_model=True)


def prepare(config: Any, log: bool = True, read: Callable[[Any], Any] | None = None) -> tuple[Any, tuple, Any]:
    """Load and split the data, build the model and its trainer, with the same seeds as RecBole's ``run_recbole``.

    Raises:
        UserError: RecBole or the model does not take the settings or the data.
    """
    init_seed(config["seed"], config["reproducibility"])
    if log:
        init_logger(config)
    logger = getLogger()
    logger.info(config)
    dataset, loaders = read_data(config, read)
    for line in warnings_about(config, dataset, loaders):
        logger.warning(line)
    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    with told_as_user_error(f"{config['model']} cannot be built with these settings", config):
        model = get_model(config["model"])(config, loaders[0]._dataset).to(config["device"])
        logger.info(model)
        if config["train_fraction"] < 1:
            require_no_users(config, model, dataset.user_num)
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    if not isinstance(trainer, SAMTrainer):
        _of_trees(trainer, config)
    return dataset, loaders, trainer


def require_no_users(config: Any, model: Any, users: int) -> None:
    """Refuse to train on some users only what knows others by their training data alone.

    Raises:
        ConfigError: Names the reason.
    """
    known = [
        f"it learns a vector for each user ({name})"
        for name, parameter in model.named_parameters()
        if parameter.dim() > 1 and parameter.size(0) == users and "item" not in name
    ]
    if config["MODEL_TYPE"] != ModelType.SEQUENTIAL and config["model"] != "Pop":
        known.append("it knows users by their training data")
    if known:
        raise ConfigError(
            f"train_fraction cannot be used with {config['model']}: {known[0]}, and would know nothing of those left "
            "out; use a model that reads sequences, or leave train_fraction out"
        )


def _of_trees(trainer: Any, config: Any) -> None:
    """Let a trainer of boosted trees, which is not one of ours, name its files as the others do."""
    folder = Path(config["checkpoint_dir"])
    trainer.saved_model_file = str(folder / "best.pth")
    trainer.temp_best_file, trainer.temp_file = str(folder / BEST_TREES), str(folder / "last.ubj")


def read_data(config: Any, read: Callable[[Any], Any] | None = None) -> tuple[Any, tuple]:
    """Load and split the data, and check that there is enough to train and rank.

    Raises:
        UserError: RecBole does not take the settings or the data, or there is not enough.
    """
    name = config["dataset"]
    with told_as_user_error(f"{name} cannot be read with these settings", config):
        dataset = (read or create_dataset)(config)
    getLogger().info(dataset)
    if config["eval_type"] == EvaluatorType.RANKING and max(config["topk"]) > dataset.item_num - 1:
        raise ConfigError(f"topk={config['topk']}: {name} has only {dataset.item_num - 1} items; lower --topk")
    if "labeled" in config["eval_args"]["mode"].values() and dataset.label_field not in dataset.inter_feat:
        raise DataError(
            f"{name}: mode labeled needs a column {dataset.label_field}, and there is none; make it of the ratings "
            "with --threshold=\"{'rating': 4}\", and have them loaded by load_col"
        )
    dataset.attributes = attributes_hash(config)
    interactions, events = int(dataset.inter_num), Events.of(dataset)
    with told_as_user_error(f"{name} cannot be split with these settings", config):
        loaders = data_preparation(config, dataset)
    dataset.interactions, dataset.all_events = interactions, events  # sequential data sets replace them by prefixes
    if len(loaders[0]) == 0:
        raise DataError(f"{name}: the split leaves nothing for training; users need at least 3 events each")
    return dataset, loaders


def evaluate(config: Any, weights: Path, masks: Sequence[bool] = (False,)) -> dict[bool, dict[str, Any]]:
    """Score the weights of a checkpoint again.

    Args:
        config: The run's configuration.
        weights: The checkpoint.
        masks: For each, whether what a user had before is left out of the ranking.

    Returns:
        For each mask the ``valid`` and ``test`` metrics, unrounded.
    """
    _, loaders, trainer = prepare(config, log=False)
    options: dict[str, Any] = {"load_best_model": False}
    if isinstance(trainer, SAMTrainer):
        trainer.resume_weights(weights)
    else:
        options = {"load_best_model": True, "model_file": str(weights.with_name(BEST_TREES))}
    scores = {}
    for mask in masks:
        config["mask_history"] = mask
        parts = zip(("valid", "test"), loaders[1:], strict=True)
        scores[mask] = {
            part: renamed(trainer.evaluate(loader, **options)) if loader else None for part, loader in parts
        }
    return scores


def newest_checkpoint(folder: Path, warn: Callable[[str], None] = lambda line: None) -> Path:
    """The newest readable checkpoint to go on from.

    Args:
        folder: Folder of a run, or a checkpoint file.
        warn: Is told of damaged files that were passed over.

    Raises:
        CheckpointError: There is none.
    """
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise CheckpointError(f"--resume={folder}: there is no such run; see what lies in runs/")
    states = [(file, _epoch_of(file, warn)) for file in map(folder.joinpath, CHECKPOINTS) if file.exists()]
    readable = [(epoch, file) for file, epoch in states if epoch is not None]
    if readable:
        return max(readable, key=lambda pair: pair[0])[1]  # the first of several, which is last.pth
    if states:
        raise CheckpointError(f"--resume={folder}: none of its checkpoints can be read; start the run anew")
    raise CheckpointError(f"--resume={folder}: no checkpoint in it, the run ended in its first epoch; start it anew")


def checkpoint_if_any(folder: Path) -> Path | None:
    """The newest readable checkpoint of a run's folder, or None where there is none that can be read."""
    try:
        return newest_checkpoint(folder)
    except CheckpointError:
        return None


def _epoch_of(file: Path, warn: Callable[[str], None]) -> int | None:
    """The epoch after which a checkpoint was written, or None if it is damaged."""
    try:
        return int(checkpoint_io.load(file).get("epoch", -1))
    except CheckpointError as error:
        warn(f"passed over: {error}")
        return None


def newest_run_like(runs: Path, settings: Mapping[str, Any]) -> Path | None:
    """The newest folder under ``runs`` whose run has the same settings, or None."""
    wanted = fingerprint(settings)
    folders = [file.parent for file in runs.glob(f"*/{CONFIG}")]
    for folder in sorted(folders, key=lambda f: (f / CONFIG).stat().st_mtime, reverse=True):
        try:
            stored = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            continue
        if isinstance(stored, dict) and fingerprint(stored) == wanted:
            if any((folder / name).exists() for name in CHECKPOINTS):
                return folder
    return None


def new_folder(path: Path) -> None:
    """Make the folder of a new run.

    Raises:
        ConfigError: It holds a run already, or cannot be written.
    """
    taken = [name for name in (*CHECKPOINTS, RESULT) if (path / name).exists()]
    if taken:
        raise ConfigError(
            f"--run_dir={path}: it holds a run already ({taken[0]}); go on with --resume={path} or name another"
        )
    require_writable(path, "--run_dir")


def require_writable(path: Path, flag: str) -> None:
    """Make a folder, and see that files can be written in it.

    Raises:
        ConfigError: They cannot; names the flag that chooses the folder.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{os.getpid()}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = f"the folder cannot be written ({error.strerror})"
        raise ConfigError(f"{flag}={path}: {reason}; choose another") from error


def newest_weights(folder: Path) -> Path | None:
    """The file of pre-trained weights that was written last to a run's folder."""
    others = [file for file in folder.glob("*.pth") if file.name not in CHECKPOINTS]
    return max(others, key=lambda file: file.stat().st_mtime, default=None)


def forget_unstarted(path: Path) -> None:
    """Remove what a run that ended before its training began has left in its folder, and the folder if it is empty."""
    if (path / CONFIG).exists():
        return
    (path / "run.log").unlink(missing_ok=True)
    shutil.rmtree(path / "tensorboard", ignore_errors=True)
    with suppress(OSError):  # there is more in it, which is not ours
        path.rmdir()
        path.parent.rmdir()


def write_atomically(path: Path, text: str, folder: str = "--run_dir") -> None:
    """Write a text file so that it is at every moment either the old one or the new one.

    Args:
        path: The file.
        text: What it is to hold.
        folder: The setting that says where files go.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        with checkpoint_io.writing(path) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        reason = f"cannot be written ({error.strerror})"
        raise ConfigError(f"{path}: {reason}; free some space or choose another {folder}") from error


def _is_first(config: Any) -> bool:
    return bool(config["single_spec"]) or config["local_rank"] == 0
