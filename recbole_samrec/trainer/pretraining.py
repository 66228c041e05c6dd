"""Both stages of S3Rec in one run: pre-train, or take the weights of an equal pre-training, then fine-tune.

Pre-training is a small run inside the run: RecBole's loop with ``train_stage: pretrain`` on separate data.
It depends only on the seed and the settings, so that later runs with equal settings read its weights from a file.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from recbole.model.loss import BPRLoss

from recbole_samrec.data.attributes import find_attribute_settings, name_joined
from recbole_samrec.data.find import find_dataset
from recbole_samrec.optim.random_state import RandomState
from recbole_samrec.optim.state_snapshot import load_weights
from recbole_samrec.trainer.callbacks import PRETRAINING, Callback, CallbackList
from recbole_samrec.trainer.resume import add_known
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError, ConfigError, DataError
from recbole_samrec.utils.files import hash_files
from recbole_samrec.utils.processes import is_first_process, share_name, wait_for_all
from recbole_samrec.utils.settings import DERIVED, OF_ONE_RUN, serialize_config

BOTH = "both"
FORMAT = 1
"""Version of our pre-training; weights of another version are not reused."""

RECBOLE_DEFAULTS = {"pretrain_epochs": 500}
"""RecBole's own defaults, which apply to ``pretraining: recbole``."""

LATER = frozenset(
    "epochs stopping_step eval_step eval_batch_size eval_memory metrics topk valid_metric metric_decimal_place "
    "weight_average mask_history recbole_metrics exact_early_stopping repeatable pre_model_path pretrain_batch_size "
    "pretrain_learning_rate save_step quiet_terminal max_bad_steps".split()
)
"""Settings that act after pre-training only, or that :func:`stage_config` has put under another name."""
OF_SAM = ("sam_", "gsam_", "fsam_", "looksam_")


def complete_settings(defaults: dict[str, Any], given: dict[str, Any], dataset: str) -> None:
    """Complete S3Rec's settings: the items' attribute is found and loaded; RecBole's own pre-training has its length.

    Args:
        defaults: RecBole's and our defaults, which are changed.
        given: What the user has given; only a ``load_col`` that lacks the attribute is changed.
        dataset: Name of the data set, which may not be on this machine yet.

    Raises:
        DataError: It is, and the column of the attribute is unclear.
    """
    if given.get("pretraining") == "recbole":
        defaults.update(RECBOLE_DEFAULTS)
    settings = defaults | given
    try:
        folder = find_dataset(dataset, settings["data_path"], fetch=False)
    except DataError:
        return
    for name, value in find_attribute_settings(settings, folder).items():
        (defaults if given.get(name) is None else given)[name] = value


def build_for_both_stages(init: Callable) -> Callable:
    """Wrap S3Rec's constructor so that ``train_stage: both`` builds a fine-tuning model without a file of weights.

    The weights are loaded later, when :func:`pretrain_first` has computed them. Several attributes are read from the
    column in which they are joined.
    """

    @functools.wraps(init)
    def build(self: Any, config: Any, dataset: Any) -> None:
        stage, attributes = config["train_stage"], config["item_attribute"]
        config["train_stage"] = "pretrain" if stage == BOTH else stage
        config["item_attribute"] = name_joined(attributes)
        try:
            init(self, config, dataset)
        finally:
            config["train_stage"], config["item_attribute"] = stage, attributes
        if stage != BOTH:
            return
        self.train_stage = "finetune"
        self.loss_fct = BPRLoss() if self.loss_type == "BPR" else torch.nn.CrossEntropyLoss()

    return build


def pretrain_first(fit: Callable) -> Callable:
    """Wrap S3Rec's ``fit`` so that ``train_stage: both`` pre-trains first.

    The newest checkpoint of the run is written before and after pre-training, so that a run that is killed in either
    stage can be resumed. Fine-tuning draws the same random numbers whether the weights were computed or read.
    """

    @functools.wraps(fit)
    def fit_both(
        self: Any,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable | None = None,
    ) -> Any:
        if self.config["train_stage"] == BOTH and self.pretraining is None:
            before = RandomState.get(self.device)
            if saved:
                self.save_last(-1)
            self.pretraining = _pretrain(self, verbose)
            RandomState.set(before, self.device)
            if saved:
                self.save_last(-1)
            if self.run_dir and is_first_process(self.config):
                shutil.rmtree(_progress_folder(self.config), ignore_errors=True)
        return fit(self, train_data, valid_data, verbose, saved, show_progress, callback_fn)

    return fit_both


def _pretrain(trainer: Any, verbose: bool) -> dict[str, Any]:
    """Load pre-trained weights into a trainer's model, and return the field ``pretraining`` of ``result.json``."""
    config = trainer.config
    stage = stage_config(config)
    file = Path(share_name(config, str(weights_file(config, stage))))
    with FileLock(f"{file}.lock") if config["single_spec"] else nullcontext():  # equal runs wait for the first one
        state = _read_weights(file)
        reused = bool(share_name(config, "yes" if state else ""))  # the first of several processes decides
        if not reused:
            trainer.callbacks.call("on_stage_start", trainer, PRETRAINING, stage["pretrain_epochs"])
            others = [callback for callback in trainer.callbacks if callback is not trainer.tracker]
            seconds, cpu = _pretrain_from_data(stage, file, others, verbose)
            trainer.elapsed, trainer.cpu_elapsed = trainer.elapsed + seconds, add_known([trainer.cpu_elapsed, cpu])
    state = state if reused and state else checkpoint_io.load(file)
    load_weights(trainer.model, state, file)
    words = f"takes the pre-trained weights {file}" if reused else f"pre-trained weights are in {file}"
    getLogger().info(f"S3Rec {words}")
    trainer.callbacks.call("on_stage_start", trainer, f"fine-tuning ({words})", trainer.epochs)
    digest = hash_files([file])
    from_elsewhere = (
        reused and state["config"].get("run_dir") != stage["run_dir"]
    )  # otherwise those of this run, which was stopped since
    if reused and not from_elsewhere:
        trainer.elapsed += state["pretraining"]["seconds"]
        trainer.cpu_elapsed = add_known([trainer.cpu_elapsed, state["pretraining"].get("cpu_seconds")])
    return {**state["pretraining"], "reused": from_elsewhere, "file": file.name, "sha256": digest}


def _read_weights(file: Path) -> dict[str, Any] | None:
    """Return the weights of an earlier pre-training with the same settings; None if there are none."""
    if not file.exists():
        return None
    try:
        state = checkpoint_io.load(file)
        return state if "pretraining" in state else None
    except CheckpointError as error:
        getLogger().warning(f"pre-training again: {error}")
        return None


def _pretrain_from_data(
    stage: Any, file: Path, callbacks: Iterable[Callback], verbose: bool
) -> tuple[float, float | None]:
    """Pre-train, or resume a pre-training of this run that was stopped, and write the weights.

    Returns:
        Seconds, and CPU seconds of this process, that it took until it was stopped.
    """
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    init_seed(stage["seed"], stage["reproducibility"])
    train_data = data_preparation(stage, create_dataset(stage))[0]
    init_seed(stage["seed"] + (stage["local_rank"] or 0), stage["reproducibility"])
    model = get_model("S3Rec")(stage, train_data._dataset).to(stage["device"])
    trainer = get_trainer(stage["MODEL_TYPE"], "S3Rec")(stage, model)
    trainer.callbacks = CallbackList([trainer.tracker, *callbacks], announces_training=False)
    trainer.tensorboard = _PretrainingTensorboard(trainer.tensorboard)
    if (begun := _newest(stage)) is not None:
        trainer.resume_checkpoint(begun)
    before = trainer.elapsed, trainer.cpu_elapsed
    trainer.fit(train_data, verbose=verbose, saved=bool(stage["run_dir"]))
    seconds = sum(trainer.seconds.values())
    epochs = len(trainer.seconds)
    record = {"epochs": epochs, "seconds": seconds, "seconds_per_epoch": seconds / max(epochs, 1)}
    costs = {
        "gradient_passes": trainer.sam_step.passes.total,
        "cpu_seconds": trainer.sum_cpu_seconds(trainer._cpu_started),
    }
    record |= {name: value for name, value in costs.items() if value is not None}
    state = {"config": serialize_config(stage), "epoch": stage["pretrain_epochs"] - 1, "pretraining": record}
    state |= {"state_dict": model.state_dict(), "other_parameter": None}
    if is_first_process(trainer.config):
        checkpoint_io.save(file, state)
    wait_for_all(trainer.config)
    return before


def _newest(stage: Any) -> Path | None:
    """Return the newest readable checkpoint of a pre-training that was stopped."""
    folder = Path(stage["run_dir"] or "")
    for file in (folder / "last.pth", folder / "previous.pth") if stage["run_dir"] else ():
        try:
            checkpoint_io.load(file)
            return file
        except CheckpointError:
            continue
    return None


class _PretrainingTensorboard:
    """A tensorboard writer that marks the figures of pre-training."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def add_scalar(self, tag: str, value: Any, step: int) -> None:
        self._writer.add_scalar(f"Pretraining/{tag}", value, step)


def stage_config(config: Any) -> Any:
    """Return the configuration of a run's pre-training.

    Args:
        config: RecBole's configuration of the run, whose own settings stay. SAM is left to fine-tuning unless
            ``sam_stage`` says otherwise.
    """
    folder = str(_progress_folder(config)) if config["run_dir"] else None
    stage = copy.copy(config)
    stage.final_config_dict = {
        **config.final_config_dict,
        "train_stage": "pretrain",
        "training": "packed" if config["pretraining"] == "users" else "prefix",
        "loss_type": "CE",
        "weight_average": None,
        "train_neg_sample_args": {"distribution": "none", "sample_num": "none", "alpha": "none"}
        | {"dynamic": False, "candidate_num": 0},
        "sam_rho": config["sam_rho"] if config["sam_stage"] in ("pretraining", "both") else 0.0,
        "save_step": config["pretrain_epochs"] + 1,
        "run_dir": folder,
        "checkpoint_dir": folder or config["checkpoint_dir"],
        **dict.fromkeys(("save_dataset", "save_dataloaders"), False),
        **dict.fromkeys(("dataset_save_path", "dataloaders_save_path")),
    }
    if config["pretraining"] == "users":
        stage["train_batch_size"] = config["pretrain_batch_size"]
        stage["learning_rate"] = config["pretrain_learning_rate"]
    return stage


def _progress_folder(config: Any) -> Path:
    return Path(config["run_dir"], "pretraining")


def weights_file(config: Any, stage: Any) -> Path:
    """Return the file of the weights of a pre-training, named by a hash of everything that determines them.

    Raises:
        ConfigError: The folder cannot be made.
    """
    runs = Path(config["run_dir"]).parent if config["run_dir"] else Path(config["checkpoint_dir"] or "saved")
    folder = Path(config["pretrained_dir"] or runs / "pretrained")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"pretrained_dir={folder}: it cannot be made ({error.strerror}); choose another") from error
    return folder / f"S3Rec-{config['dataset']}-{pretraining_key(stage)}.pth"


def pretraining_key(stage: Any) -> str:
    """Return a short hash of the settings and data of a pre-training, without settings that only fine-tuning reads.

    Args:
        stage: What :func:`stage_config` returns. A setting that is not known to act later counts.
    """
    settings = serialize_config(stage)
    unread = ("sam_stage",) if settings.get("sam_rho") else OF_SAM
    for name in list(settings):
        if name in LATER | OF_ONE_RUN | DERIVED or name.startswith(unread):
            del settings[name]
    evaluation = settings.get("eval_args") or {}
    settings["eval_args"] = {part: value for part, value in evaluation.items() if part != "mode"}
    whole = [FORMAT, settings, _data_hash(stage)]
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _data_hash(stage: Any) -> str:
    """Return the sha256 of the interactions and of the items' attributes."""
    folder = Path(stage["data_path"])
    of_suffixes = (sorted(folder.glob(f"{stage['dataset']}*.{suffix}")) for suffix in ("inter", "item"))
    return hash_files(file for files in of_suffixes for file in files)
