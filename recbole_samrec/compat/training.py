"""Patches of early stopping, metrics, logs, checkpoints and training on several processes."""

from __future__ import annotations

import builtins
import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
from recbole.quick_start.quick_start import run_recboles as original_run_recboles
from recbole.trainer import trainer as recbole_trainer
from recbole.utils import logger as recbole_logger
from recbole.utils import utils as recbole_utils

from recbole_samrec.compat import Patcher, list_applied, recbole_patch
from recbole_samrec.config.recbole_config import build_config
from recbole_samrec.optim.state_snapshot import load_weights
from recbole_samrec.trainer.trainer import EXACT_STOPPING
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.naming import make_unique_name
from recbole_samrec.utils.processes import gather_values
from recbole_samrec.utils.run_log import RunLog
from recbole_samrec.utils.settings import serialize_config
from recbole_samrec.version import __version__


@recbole_patch(
    "evaluator/base_metric.py 81, 124; metrics.py", "early stopping compares metrics rounded to 4 digits", True
)
def keep_metrics_unrounded(patch: Patcher) -> None:
    """Keep metrics as plain, unrounded numbers, and round them for display only."""
    from recbole.evaluator import base_metric, metrics

    for module in (base_metric, metrics):
        patch(module, "round", lambda value, places=None: float(value))

    def dict2str(result: dict[str, float]) -> str:
        shown = {k: builtins.round(v, 4) if isinstance(v, float) else v for k, v in result.items()}
        return "    ".join(f"{metric} : {value}" for metric, value in shown.items())

    patch.replace_everywhere(recbole_utils.dict2str, dict2str)


@recbole_patch("evaluator/collector.py 227", "metrics that need the training data, such as ItemCoverage, crash")
def compute_metrics_of_training_data(patch: Patcher) -> None:
    """Move only tensors to the CPU; counts of users and items are plain numbers."""
    from recbole.evaluator.collector import Collector

    collect = Collector.get_data_struct

    def collect_all(self: Any) -> Any:
        tensors, counts = self.data_struct._data_dict, {}
        for name in [name for name, value in tensors.items() if not isinstance(value, torch.Tensor)]:
            counts[name] = tensors.pop(name)
        struct = collect(self)
        for name, value in counts.items():
            self.data_struct.set(name, value)
            struct.set(name, value)
        return struct

    patch(Collector, "get_data_struct", collect_all)


@recbole_patch(
    "utils/utils.py early_stopping", "a tie counts as an improvement, and training stops one evaluation late", True
)
def stop_exactly(patch: Patcher) -> None:
    """Count a tie as no improvement and stop after ``stopping_step`` evaluations without one."""

    def decide(
        value: float, best: float, cur_step: int, max_step: int, bigger: bool = True
    ) -> tuple[float, int, bool, bool]:
        if value > best if bigger else value < best:
            return value, 0, False, True
        return best, cur_step + 1, cur_step + 1 >= max_step, False

    original = recbole_utils.early_stopping

    def decide_by_setting(value: float, best: float, cur_step: int, max_step: int, bigger: bool = True) -> tuple:
        rule = decide if EXACT_STOPPING.get() else original
        return rule(value, best, cur_step, max_step, bigger)

    patch.replace_everywhere(original, decide_by_setting)


@recbole_patch(
    "utils/logger.py, utils/utils.py get_tensorboard",
    "logs are written to the working folder; a second run gets none",
    True,
)
def separate_logs_of_runs(patch: Patcher) -> None:
    """Write a separate log file and tensorboard folder for every run, in its folder or under ``checkpoint_dir``."""
    patch.replace_everywhere(recbole_logger.init_logger, init_logger)
    patch.replace_everywhere(recbole_utils.get_tensorboard, get_tensorboard)


def init_logger(config: Any) -> None:
    """Log to the terminal and to the log file of this run instead of that of the previous run.

    Args:
        config: RecBole's configuration; ``run.log`` is written to ``run_dir`` or, without it, a file to ``log/`` under
            ``checkpoint_dir``.
    """
    root = getLogger()
    for handler in [h for h in root.handlers if getattr(h, "of_a_run", False)]:
        root.removeHandler(handler)
        handler.close()
    level = getattr(logging, str(config["state"] or "info").upper(), logging.INFO)
    if config["run_dir"]:
        path = Path(config["run_dir"], "run.log")
    else:
        name = make_unique_name(config["model"], config["dataset"]) + ".log"
        path = Path(config["checkpoint_dir"] or "saved", "log", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = []
    if config["single_spec"] or config["local_rank"] == 0:
        handlers.append(RunLog(path, encoding="utf-8"))
    if not config["quiet_terminal"]:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setLevel(level)
        handler.of_a_run = True  # type: ignore[attr-defined]  # identifies it at the start of the next run
        handler.setFormatter(_Plain("%(asctime)s %(levelname)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
        root.addHandler(handler)
    root.setLevel(level)
    patched = ", ".join(one.name for one in list_applied())
    root.info(f"recbole_samrec {__version__}; patched in RecBole: {patched}")


class _Plain(logging.Formatter):
    """Formatter that removes the colors that RecBole writes into messages."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a message; RaCT passes a path as if to ``print``."""
        if record.args and "%" not in str(record.msg):
            record.msg, record.args = " ".join(map(str, (record.msg, *record.args))), None
        return re.sub(r"\x1B(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])", "", super().format(record))


def get_tensorboard(logger: logging.Logger) -> Any:
    """Return a tensorboard writer beside the log file of the run.

    Args:
        logger: The logger that :func:`init_logger` set up.
    """
    from recbole_samrec.utils.curves import CurveWriter

    for handler in logger.handlers:
        if getattr(handler, "of_a_run", False) and isinstance(handler, logging.FileHandler):
            log = Path(handler.baseFilename)
            folder = log.parent / "tensorboard" if log.name == "run.log" else log.with_suffix("")
            with contextlib.suppress(OSError):
                return CurveWriter(str(folder))
    return _NoTensorboard()


class _NoTensorboard:
    """Writer that ignores everything, for use where no log file of a run exists."""

    def add_scalar(self, *args: Any, **kwargs: Any) -> None:
        """Ignore a value."""

    def add_hparams(self, *args: Any, **kwargs: Any) -> None:
        """Ignore the settings."""


@recbole_patch("trainer/trainer.py 57-63", "DistributedDataParallel receives GPU numbers on a CPU", False)
def wrap_models_on_cpus(patch: Patcher) -> None:
    """Wrap the model for several processes on its own device."""
    from torch.nn.parallel import DistributedDataParallel

    def init(self: Any, config: Any, model: torch.nn.Module) -> None:
        self.config, self.model = config, model
        if config["single_spec"]:
            return
        if config["device"].type == "cuda":  # synchronized batch norm exists only on GPUs
            self.model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
        ids = [config["local_rank"]] if config["device"].type == "cuda" else None
        self.distributed_model = DistributedDataParallel(self.model, device_ids=ids)

    patch(recbole_trainer.AbstractTrainer, "__init__", init)


@recbole_patch("utils/utils.py 51", "processes and trials of a search fail when they create the same folder at once")
def tolerate_existing_folders(patch: Patcher) -> None:
    """Accept a folder that another process has created in the meantime."""
    patch.replace_everywhere(recbole_utils.ensure_dir, lambda path: os.makedirs(path, exist_ok=True))


@recbole_patch(
    "trainer/trainer.py _map_reduce, evaluation", "processes score users twice and weight their shares wrongly", True
)
def evaluate_each_user_once(patch: Patcher) -> None:
    """Give each process its own samples without duplicates, and evaluate the results of all processes."""
    from recbole.data.dataloader import abstract_dataloader
    from recbole.evaluator.collector import Collector

    build = abstract_dataloader.AbstractDataLoader.__init__

    def build_unpadded(self: Any, config: Any, dataset: Any, sampler: Any, shuffle: bool = False) -> None:
        build(self, config, dataset, sampler, shuffle)
        if not config["single_spec"] and not shuffle:
            self.sampler.__class__ = _Unpadded

    def gather(self: Any, model: torch.nn.Module) -> None:  # RecBole's version does nothing after the last batch
        if not self.config["single_spec"]:
            _gather_results(self.config, self.data_struct)

    patch(abstract_dataloader.AbstractDataLoader, "__init__", build_unpadded)
    # A process whose share is empty must still evaluate with the others; RecBole tests "if not eval_data".
    patch(abstract_dataloader.AbstractDataLoader, "__bool__", lambda self: self.sample_size > 0)
    patch(Collector, "model_collect", gather)


@recbole_patch(
    "quick_start/quick_start.py 54, 178", "the processes that run() starts have neither our models nor the patches"
)
def patch_started_processes(patch: Patcher) -> None:
    """Start the processes with our function: to find it, a fresh process imports this package."""
    patch.replace_everywhere(original_run_recboles, run_recboles)


def run_recboles(rank: int, *args: Any) -> None:
    """Call RecBole's ``run_recboles`` in a process that has imported this package.

    Args:
        rank: Number of the process on this machine.
        args: Further arguments of RecBole's function.
    """
    original_run_recboles(rank, *args)


class _Unpadded(torch.utils.data.distributed.DistributedSampler):
    """Sampler of every ``num_replicas``-th sample, without the duplicates that make shares equal."""

    dataset: Any  # torch's annotation has no length

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, len(self.dataset), self.num_replicas))

    def __len__(self) -> int:
        return len(range(self.rank, len(self.dataset), self.num_replicas))


RESULTS = ("rec.items", "rec.topk", "rec.meanrank", "rec.score", "data.label")


def _gather_results(config: Any, struct: Any) -> None:
    """Replace each process's results by those of all, in the order of a single process if there is one per sample."""
    gathered = gather_values(config, {name: struct[name].cpu() for name in RESULTS if name in struct})
    for name in RESULTS:
        shares = [share[name] for share in gathered if name in share]
        if shares:
            struct[name] = _interleave(shares)


def _interleave(shares: list[torch.Tensor]) -> torch.Tensor:
    lengths = [len(share) for share in shares]
    if max(lengths) - min(lengths) > 1 or sorted(lengths, reverse=True) != lengths:
        return torch.cat(shares)  # results of a sampled evaluation: their order does not matter to a mean
    whole = torch.empty((sum(lengths), *shares[0].shape[1:]), dtype=shares[0].dtype)
    for rank, share in enumerate(shares):
        whole[rank :: len(shares)] = share
    return whole


@recbole_patch(
    "trainer/trainer.py 764, 985", "pre-trained models and boosted trees are saved with a pickled configuration"
)
def save_plain_checkpoints(patch: Patcher) -> None:
    """Save the checkpoints of pre-training and of boosted trees as plain data, too."""

    def save_pretrained(self: Any, epoch: int, saved_model_file: str) -> None:
        self.write_checkpoint(saved_model_file, epoch)
        self.saved_model_file = saved_model_file

    def save_trees(self: Any, epoch: int) -> None:
        state = {
            "config": serialize_config(self.config),
            "epoch": epoch,
            "cur_step": self.cur_step,
            "best_valid_score": self.best_valid_score,
            "state_dict": self.temp_best_file,
            "other_parameter": None,
        }
        checkpoint_io.save(self.saved_model_file, state)

    patch(recbole_trainer.PretrainTrainer, "save_pretrained_model", save_pretrained)
    patch(recbole_trainer.DecisionTreeTrainer, "_save_checkpoint", save_trees)


@recbole_patch(
    "quick_start/quick_start.py 225-233", "Ray receives test metrics, by a removed call, and a second result", True
)
def report_validation_metrics(patch: Patcher) -> None:
    """Report the validation metrics, once, to the running search."""
    from recbole.quick_start import quick_start

    patch.replace_everywhere(quick_start.objective_function, objective_function)


def objective_function(
    config_dict: dict[str, Any] | None = None, config_file_list: list[str] | None = None, saved: bool = True
) -> dict[str, Any] | None:
    """Train and test one configuration of a search.

    In a Ray Tune trial the *validation* metrics are reported under RecBole's names (``ndcg@10``) and those of the
    test set under ``test_ndcg@10``; a search must not choose by the test set.

    Args:
        config_dict: Settings.
        config_file_list: Files of settings.
        saved: Whether to save the model.

    Returns:
        The model's name and RecBole's result; None in a trial.
    """
    from recbole.config import Config
    from recbole.quick_start import run_recbole

    result = run_recbole(config_dict=config_dict, config_file_list=config_file_list, saved=saved)
    if is_ray_trial():
        from ray import tune

        test = {f"test_{name}": value for name, value in (result["test_result"] or {}).items()}
        tune.report({**(result["best_valid_result"] or {}), **test})
        return None
    return {"model": Config(config_dict=config_dict, config_file_list=config_file_list)["model"], **result}


def is_ray_trial() -> bool:
    """Return True in a process that executes a trial of Ray Tune."""
    if "ray" not in sys.modules:
        return False
    try:
        from ray import tune

        return tune.get_context().get_trial_id() is not None
    except (ImportError, RuntimeError, AttributeError):
        return False


@recbole_patch("quick_start/quick_start.py 236-266", "configurations are unpickled, which fails in a fresh process")
def load_safely(patch: Patcher) -> None:
    """Rebuild configuration, data and model from the plain data of a checkpoint."""
    from recbole.quick_start import quick_start

    patch.replace_everywhere(quick_start.load_data_and_model, load_data_and_model)


def load_data_and_model(model_file: str, trust_checkpoint: bool = False) -> tuple:
    """Load a checkpoint and the data it was trained on.

    Args:
        model_file: Path of the checkpoint.
        trust_checkpoint: Also read a pickled checkpoint such as RecBole writes, which may run code.

    Returns:
        Configuration, model, data set, and the loaders for training, validation and test.

    Raises:
        CheckpointError: The file is missing, damaged, or pickled and not trusted.

    Example::

        from recbole.quick_start import load_data_and_model
        from recbole_samrec import run

        result = run("SAMRec", "ml-100k", epochs=5)
        config, model, dataset, train_data, valid_data, test_data = load_data_and_model(result.folder / "best.pth")
    """
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, init_seed

    state = checkpoint_io.load(model_file, trust=trust_checkpoint)
    settings = checkpoint_io.extract_run_settings(state, model_file)
    settings.update(trust_checkpoint=trust_checkpoint, run_dir=None, known_data=str(Path(model_file).parent))
    config = build_config(settings)
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    getLogger().info(config)
    dataset = create_dataset(config)
    getLogger().info(dataset)
    loaders = data_preparation(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, loaders[0]._dataset).to(config["device"])
    load_weights(model, state, model_file)
    return config, model, dataset, *loaders
