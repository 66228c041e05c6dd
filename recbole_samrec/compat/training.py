"""Mends for early stopping, metrics, logs, checkpoints and training on several processes."""

from __future__ import annotations

import builtins
import logging
import os
import re
import sys
from collections.abc import Iterator
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
from recbole.quick_start.quick_start import run_recboles as recboles_own
from recbole.trainer import trainer as recbole_trainer
from recbole.utils import logger as recbole_logger
from recbole.utils import utils as recbole_utils

from recbole_samrec.compat import Patcher, applied, mend
from recbole_samrec.config.recbole_config import build_config
from recbole_samrec.optim.state_snapshot import load_weights
from recbole_samrec.trainer.trainer import EXACT_STOPPING
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.naming import unique_name
from recbole_samrec.utils.processes import gather_values
from recbole_samrec.utils.settings import plain_config
from recbole_samrec.version import __version__


@mend("evaluator/base_metric.py 81, 124; metrics.py", "early stopping sees metrics rounded to 4 places", True)
def unrounded_metrics(patch: Patcher) -> None:
    """Keep metrics as plain, unrounded numbers; what is shown is rounded where it is shown."""
    from recbole.evaluator import base_metric, metrics

    for module in (base_metric, metrics):
        patch(module, "round", lambda value, places=None: float(value))

    def dict2str(result: dict[str, float]) -> str:
        shown = {k: builtins.round(v, 4) if isinstance(v, float) else v for k, v in result.items()}
        return "    ".join(f"{metric} : {value}" for metric, value in shown.items())

    patch.everywhere(recbole_utils.dict2str, dict2str)


@mend("evaluator/collector.py 227", "metrics that need the training data, such as ItemCoverage, crash")
def metrics_of_training_data(patch: Patcher) -> None:
    """Move only tensors to the CPU; counts of users and items are none."""
    from recbole.evaluator.collector import Collector

    collect = Collector.get_data_struct

    def collect_all(self: Any) -> Any:
        rows, counts = self.data_struct._data_dict, {}
        for name in [name for name, value in rows.items() if not isinstance(value, torch.Tensor)]:
            counts[name] = rows.pop(name)
        struct = collect(self)
        for name, value in counts.items():
            self.data_struct.set(name, value)
            struct.set(name, value)
        return struct

    patch(Collector, "get_data_struct", collect_all)


@mend("utils/utils.py early_stopping", "a tie counts as better, and training stops one evaluation late", True)
def early_stopping(patch: Patcher) -> None:
    """Count a tie as no gain and stop after ``stopping_step`` evaluations without one."""

    def stop_exactly(
        value: float, best: float, cur_step: int, max_step: int, bigger: bool = True
    ) -> tuple[float, int, bool, bool]:
        if value > best if bigger else value < best:
            return value, 0, False, True
        return best, cur_step + 1, cur_step + 1 >= max_step, False

    as_recbole = recbole_utils.early_stopping

    def by_setting(value: float, best: float, cur_step: int, max_step: int, bigger: bool = True) -> tuple:
        rule = stop_exactly if EXACT_STOPPING.get() else as_recbole
        return rule(value, best, cur_step, max_step, bigger)

    patch.everywhere(as_recbole, by_setting)


@mend("utils/logger.py, utils/utils.py get_tensorboard", "logs litter the working folder; a second run has none", True)
def logs_of_each_run(patch: Patcher) -> None:
    """Give every run its own log file and tensorboard folder, in the run's folder or under ``checkpoint_dir``."""
    patch.everywhere(recbole_logger.init_logger, init_logger)
    patch.everywhere(recbole_utils.get_tensorboard, get_tensorboard)


def init_logger(config: Any) -> None:
    """Send messages to the terminal and to the log file of this run, which replaces the one of a run before.

    Args:
        config: RecBole's configuration; ``run_dir`` is where ``run.log`` is written. Without it the file goes to
            ``log/`` under ``checkpoint_dir``.
    """
    root = getLogger()
    for handler in [h for h in root.handlers if getattr(h, "of_a_run", False)]:
        root.removeHandler(handler)
        handler.close()
    level = getattr(logging, str(config["state"] or "info").upper(), logging.INFO)
    if config["run_dir"]:
        path = Path(config["run_dir"], "run.log")
    else:
        name = unique_name(config["model"], config["dataset"]) + ".log"
        path = Path(config["checkpoint_dir"] or "saved", "log", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = []
    if config["single_spec"] or config["local_rank"] == 0:
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
    if not config["quiet_terminal"]:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setLevel(level)
        handler.of_a_run = True  # type: ignore[attr-defined]  # known by it when the next run begins
        handler.setFormatter(_Plain("%(asctime)s %(levelname)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
        root.addHandler(handler)
    root.setLevel(level)
    mended = ", ".join(one.name for one in applied())
    root.info(f"recbole_samrec {__version__}; mended in RecBole: {mended}")


class _Plain(logging.Formatter):
    """Formats messages without the colours that RecBole writes into them."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a message; RaCT hands over a path as if it were to be printed."""
        if record.args and "%" not in str(record.msg):
            record.msg, record.args = " ".join(map(str, (record.msg, *record.args))), None
        return re.sub(r"\x1B(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])", "", super().format(record))


def get_tensorboard(logger: logging.Logger) -> Any:
    """A tensorboard writer beside the log file of the run.

    Args:
        logger: The logger that :func:`init_logger` set up.
    """
    from torch.utils.tensorboard import SummaryWriter

    for handler in logger.handlers:
        if getattr(handler, "of_a_run", False) and isinstance(handler, logging.FileHandler):
            log = Path(handler.baseFilename)
            folder = log.parent / "tensorboard" if log.name == "run.log" else log.with_suffix("")
            return SummaryWriter(str(folder))
    return _NoTensorboard()


class _NoTensorboard:
    """Takes what a writer takes where there is no log of a run beside which it could be written."""

    def add_scalar(self, *args: Any, **kwargs: Any) -> None:
        """Ignore a figure."""

    def add_hparams(self, *args: Any, **kwargs: Any) -> None:
        """Ignore the settings."""


@mend("trainer/trainer.py 57-63", "DistributedDataParallel is given GPU numbers on a CPU", False)
def several_processes(patch: Patcher) -> None:
    """Wrap the model for several processes on the device that it is on."""
    from torch.nn.parallel import DistributedDataParallel

    def init(self: Any, config: Any, model: torch.nn.Module) -> None:
        self.config, self.model = config, model
        if config["single_spec"]:
            return
        if config["device"].type == "cuda":  # synchronised batch norm exists on GPUs only
            self.model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
        ids = [config["local_rank"]] if config["device"].type == "cuda" else None
        self.distributed_model = DistributedDataParallel(self.model, device_ids=ids)

    patch(recbole_trainer.AbstractTrainer, "__init__", init)


@mend("utils/utils.py 51", "processes, and trials of a search, that make the same folder at once fail")
def folders_of_several_processes(patch: Patcher) -> None:
    """Let the folder be there by the time it is made."""
    patch.everywhere(recbole_utils.ensure_dir, lambda path: os.makedirs(path, exist_ok=True))


@mend("trainer/trainer.py _map_reduce, evaluation", "processes score users twice and weigh their shares wrongly", True)
def evaluation_of_several_processes(patch: Patcher) -> None:
    """Give each process its own rows, none twice, and let all evaluate the rows of all."""
    from recbole.data.dataloader import abstract_dataloader
    from recbole.evaluator.collector import Collector

    build = abstract_dataloader.AbstractDataLoader.__init__

    def build_unpadded(self: Any, config: Any, dataset: Any, sampler: Any, shuffle: bool = False) -> None:
        build(self, config, dataset, sampler, shuffle)
        if not config["single_spec"] and not shuffle:
            self.sampler.__class__ = _Unpadded

    def gather(self: Any, model: torch.nn.Module) -> None:  # RecBole calls it when all rows are collected, for nothing
        if not self.config["single_spec"]:
            _gather_rows(self.config, self.data_struct)

    patch(abstract_dataloader.AbstractDataLoader, "__init__", build_unpadded)
    # A process whose share is empty must evaluate with the others all the same; RecBole asks "if not eval_data".
    patch(abstract_dataloader.AbstractDataLoader, "__bool__", lambda self: self.sample_size > 0)
    patch(Collector, "model_collect", gather)


@mend("quick_start/quick_start.py 54, 178", "the processes that run() starts know neither our models nor the mends")
def mended_processes(patch: Patcher) -> None:
    """Start them with a function of ours: to find it, a fresh process imports this package."""
    patch.everywhere(recboles_own, run_recboles)


def run_recboles(rank: int, *args: Any) -> None:
    """RecBole's ``run_recboles``, carried out in a process that knows our models.

    Args:
        rank: Number of the process on this machine.
        args: What RecBole's function takes.
    """
    recboles_own(rank, *args)


class _Unpadded(torch.utils.data.distributed.DistributedSampler):
    """Every ``num_replicas``-th row, without the repeated ones that make shares equal."""

    dataset: Any  # torch's own annotation has no length

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, len(self.dataset), self.num_replicas))

    def __len__(self) -> int:
        return len(range(self.rank, len(self.dataset), self.num_replicas))


ROWS = ("rec.items", "rec.topk", "rec.meanrank", "rec.score", "data.label")


def _gather_rows(config: Any, struct: Any) -> None:
    """Replace each process's rows by those of all, in the order of one process where shares are row for row."""
    everyones = gather_values(config, {name: struct[name].cpu() for name in ROWS if name in struct})
    for name in ROWS:
        shares = [share[name] for share in everyones if name in share]
        if shares:
            struct[name] = _interleaved(shares)


def _interleaved(shares: list[torch.Tensor]) -> torch.Tensor:
    lengths = [len(share) for share in shares]
    if max(lengths) - min(lengths) > 1 or sorted(lengths, reverse=True) != lengths:
        return torch.cat(shares)  # rows of a sampled evaluation: their order does not matter to a mean
    whole = torch.empty((sum(lengths), *shares[0].shape[1:]), dtype=shares[0].dtype)
    for rank, share in enumerate(shares):
        whole[rank :: len(shares)] = share
    return whole


@mend("trainer/trainer.py 764, 985", "pre-trained models and boosted trees are saved with a pickled configuration")
def plain_checkpoints(patch: Patcher) -> None:
    """Save these checkpoints too as plain data."""

    def save_pretrained(self: Any, epoch: int, saved_model_file: str) -> None:
        self.write_checkpoint(saved_model_file, epoch)
        self.saved_model_file = saved_model_file

    def save_trees(self: Any, epoch: int) -> None:
        state = {
            "config": plain_config(self.config),
            "epoch": epoch,
            "cur_step": self.cur_step,
            "best_valid_score": self.best_valid_score,
            "state_dict": self.temp_best_file,
            "other_parameter": None,
        }
        checkpoint_io.save(self.saved_model_file, state)

    patch(recbole_trainer.PretrainTrainer, "save_pretrained_model", save_pretrained)
    patch(recbole_trainer.DecisionTreeTrainer, "_save_checkpoint", save_trees)


@mend("quick_start/quick_start.py 225-233", "Ray is given test metrics, by a lost call, and a second result", True)
def objective(patch: Patcher) -> None:
    """Report the validation metrics, once, to the search that is running."""
    from recbole.quick_start import quick_start

    patch.everywhere(quick_start.objective_function, objective_function)


def objective_function(
    config_dict: dict[str, Any] | None = None, config_file_list: list[str] | None = None, saved: bool = True
) -> dict[str, Any] | None:
    """Train and test one configuration of a search.

    In a Ray Tune trial the *validation* metrics are reported under RecBole's names (``ndcg@10``) and those of the
    test set under ``test_ndcg@10``; a search must not choose by the test set. Elsewhere they are returned.

    Args:
        config_dict: Settings.
        config_file_list: Files of settings.
        saved: Whether to save the model.
    """
    from recbole.config import Config
    from recbole.quick_start import run_recbole

    result = run_recbole(config_dict=config_dict, config_file_list=config_file_list, saved=saved)
    if in_ray_trial():
        from ray import tune

        test = {f"test_{name}": value for name, value in (result["test_result"] or {}).items()}
        tune.report({**(result["best_valid_result"] or {}), **test})
        return None
    return {"model": Config(config_dict=config_dict, config_file_list=config_file_list)["model"], **result}


def in_ray_trial() -> bool:
    """Whether this process carries out a trial of Ray Tune."""
    if "ray" not in sys.modules:
        return False
    try:
        from ray import tune

        return tune.get_context().get_trial_id() is not None
    except (ImportError, RuntimeError, AttributeError):
        return False


@mend("quick_start/quick_start.py 236-266", "configurations are unpickled; a fresh process cannot evaluate then")
def load_safely(patch: Patcher) -> None:
    """Rebuild configuration, data and model from a checkpoint's plain data."""
    from recbole.quick_start import quick_start

    patch.everywhere(quick_start.load_data_and_model, load_data_and_model)


def load_data_and_model(model_file: str, trust_checkpoint: bool = False) -> tuple:
    """Load a checkpoint and what it was trained on.

    Args:
        model_file: Path of the checkpoint.
        trust_checkpoint: Also read a pickled checkpoint, such as RecBole writes, which may run code.

    Returns:
        Configuration, model, data set, and the loaders for training, validation and test.

    Raises:
        CheckpointError: The file is missing, damaged, or pickled and not trusted.
    """
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, init_seed

    state = checkpoint_io.load(model_file, trust=trust_checkpoint)
    settings = checkpoint_io.settings_in(state, model_file)
    settings.update(trust_checkpoint=trust_checkpoint, run_dir=None)
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
