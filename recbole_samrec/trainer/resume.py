"""Checkpoints of the complete training state, from which a resumed run ends with identical bits."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from recbole_samrec.optim.random_state import RandomState
from recbole_samrec.optim.state_snapshot import (
    is_unchanged,
    load_weights,
    move_to_device,
    pack_hidden,
    plain_attributes,
    snapshot_attribute,
)
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.cpu_time import read_cpu_seconds
from recbole_samrec.utils.errors import CheckpointError, flatten_message
from recbole_samrec.utils.naming import make_unique_name
from recbole_samrec.utils.processes import gather_values, is_first_process, share_name, wait_for_all
from recbole_samrec.utils.settings import serialize_config

FORMAT = 1


def make_resumable(fit: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a trainer's ``fit`` so that resumed runs continue exactly, and runs that stopped early return at once.

    The callbacks' ``on_train_start``, ``on_train_end`` and ``on_exception`` are called here.
    """

    @functools.wraps(fit)
    def fit_resumable(
        self: Resumable,
        train_data: DataLoader,
        valid_data: DataLoader | None = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict[str, float] | None]:
        def validated(epoch: int, score: float) -> None:
            if callback_fn:
                callback_fn(epoch, score)
            if saved:
                self._end_epoch()

        with self.callbacks.surround_training(self):
            self._start(train_data, valid_data)
            if self._out_of_patience():
                return self.best_valid_score, self.best_valid_result
            result = fit(self, train_data, valid_data, verbose, saved, show_progress, validated)
            if saved:
                self._end_training()
            return result

    return fit_resumable


class Resumable:
    """The methods of a trainer that write and read checkpoints, mixed into RecBole's ``Trainer``.

    The state after an epoch is saved when its validation has ended: always as the newest of the run, and as the best if
    it is. It includes every random generator and counter of training.
    """

    # Attributes of RecBole's trainer and of SAMTrainer.
    callbacks: Any
    checkpoint_dir: str
    config: Any
    device: Any
    learner: str
    logger: Any
    model: Any
    optimizer: Any
    sam_step: Any
    average: Any
    scaler: Any
    stopping_step: int
    tracker: Any
    _started: Any
    _cpu_started: Any

    def _init_state(self) -> None:
        """Start with the state of a new run; called at the end of a trainer's ``__init__``."""
        self.run_dir = self.config["run_dir"]
        self.saved_model_file = share_name(self.config, self._checkpoint_path())
        self.best_epoch = -1
        self.seconds: dict[int, float] = {}
        self.elapsed = 0.0
        self.cpu_elapsed: float | None = 0.0
        self.pretraining: dict[str, Any] | None = None
        self._epoch: int | None = None
        self._last: int | None = None
        self._keeps_last = True
        self._result_now: dict[str, float] | None = None
        self._loaders: dict[str, DataLoader] = {}
        self._pending: dict[str, torch.Tensor] = {}
        self._resumed: dict[str, Any] | None = None
        self._untouched: dict[str, Any] | None = None

    def _checkpoint_path(self) -> str:
        if self.run_dir:
            return os.path.join(self.run_dir, "best.pth")
        return os.path.join(self.checkpoint_dir, make_unique_name(self.config["model"]) + ".pth")

    def _start(self, train_data: DataLoader, valid_data: DataLoader | None = None) -> None:
        """Restore the random generators of a resumed run, before anything is drawn."""
        if self._untouched is None:
            self._untouched = {key: snapshot_attribute(value) for key, value in self._model_attributes()}
        self._follow("train", train_data)
        if valid_data:
            self._follow("valid", valid_data)
        if self._resumed is not None:
            self._continue()

    def _begin_epoch(self, train_data: DataLoader, epoch_idx: int) -> None:
        """Save the state after the previous epoch, unless it was saved at the end of its validation."""
        self._start(train_data)
        self._end_epoch()
        self._epoch = epoch_idx

    def _end_epoch(self) -> None:
        """Save the state after the last epoch if it is not saved yet."""
        if self._epoch is not None and self._epoch != self._last and self._epoch in self.train_loss_dict:
            self.save_last(self._epoch)

    def _end_training(self) -> None:
        self._end_epoch()
        if self.run_dir and self.best_epoch < 0 and self.train_loss_dict:  # pre-training is never validated
            self.saved_model_file = self._checkpoint_path()
            self._save_checkpoint(max(self.train_loss_dict), verbose=False)

    def _out_of_patience(self) -> bool:
        """Return True if early stopping had ended the resumed run."""
        exact = self.config["exact_early_stopping"] is not False
        return self.cur_step >= self.stopping_step + (not exact) and self.start_epoch > 0

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        """Write the state after the training and validation of ``epoch``.

        RecBole passes -1 when there is nothing left to train; the files of a resumed run then stay as they are.
        """
        if epoch < 0 and self.start_epoch > 0:
            return
        path = kwargs.pop("saved_model_file", self.saved_model_file)
        self.best_epoch = epoch
        if self._result_now is not None:
            self.best_valid_result = self._result_now
        self.write_checkpoint(path, epoch)
        if verbose:
            self.logger.info(f"Saving current: {path}")

    def save_last(self, epoch: int) -> None:
        """Write ``last.pth`` of the run's folder, keeping the one before it as ``previous.pth``."""
        self._last = epoch
        if self.run_dir:
            last, previous = Path(self.run_dir, "last.pth"), Path(self.run_dir, "previous.pth")
            self.write_checkpoint(last, epoch, previous if self._keeps_last else None)
            self._keeps_last = True
            self.callbacks.call("on_save_checkpoint", self, epoch)

    def write_checkpoint(self, path: str | os.PathLike[str], epoch: int, previous: Path | None = None) -> None:
        """Write a checkpoint; all processes take part, since each has its own random numbers, and wait for the file."""
        everyones = gather_values(self.config, RandomState.get(self.device))
        of_all = {"random": everyones, "cpu_elapsed": self.sum_cpu_seconds(self._cpu_started)}
        if is_first_process(self.config):
            with self.average.applied():
                checkpoint_io.save(path, {**self.state(epoch), **of_all}, previous)
        wait_for_all(self.config)

    def sum_cpu_seconds(self, started: float) -> float | None:
        """Sum the CPU time of all processes of the run, and of its earlier parts.

        Args:
            started: CPU time of this process when the run, or this part of it, started.

        Returns:
            Seconds; None if those of an earlier part are unknown.
        """
        own = None if self.cpu_elapsed is None else self.cpu_elapsed + read_cpu_seconds() - started
        return add_known(gather_values(self.config, own))

    def state(self, epoch: int) -> dict[str, Any]:
        """Return the state after an epoch, from which a run is resumed exactly."""
        built = self._untouched or {}
        changed = {k: v for k, v in self._model_attributes() if k not in built or not is_unchanged(v, built[k])}
        return {
            "format": FORMAT,
            "config": serialize_config(self.config),
            "epoch": epoch,
            "device": _name_device(self.device),
            "cur_step": self.cur_step,
            "best_valid_score": float(self.best_valid_score),
            "best_valid_result": dict(self.best_valid_result) if self.best_valid_result else None,
            "best_epoch": self.best_epoch,
            "state_dict": self.model.state_dict(),
            "average": self.average.state_dict(),
            "other_parameter": {k: pack_hidden(v) for k, v in self.model.other_parameter().items()},
            "optimizer": self.optimizer.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers().items()},
            "scaler": self.scaler.state_dict(),
            "sam": self.sam_step.state_dict(),
            "attributes": changed,
            "random": [RandomState.get(self.device)],
            "generators": {name: generator.get_state() for name, generator in self._generators()},
            "train_loss": {int(k): float(v) for k, v in self.train_loss_dict.items() if v is not None},
            "seconds": dict(self.seconds),
            "pretraining": self.pretraining,
            "sharpness": self.tracker.history,
            "elapsed": self.elapsed + time.perf_counter() - self._started,
        }

    def resume_checkpoint(self, resume_file: str | os.PathLike[str]) -> None:
        """Restore the state of a checkpoint, so that ``fit`` continues exactly.

        Args:
            resume_file: A checkpoint of a run of the same model and data.

        Raises:
            CheckpointError: The file cannot be read, or does not fit this model, or the best weights are lost.
        """
        resume_file = Path(resume_file)
        state = checkpoint_io.load(resume_file, trust=bool(self.config["trust_checkpoint"]))
        load_weights(self.model, state, resume_file)
        self._load_average(state, resume_file)
        try:
            self.start_epoch = state["epoch"] + 1
            self.cur_step = state["cur_step"]
            self.best_valid_score = state["best_valid_score"]
            self._load_optimizers(state)
            if state.get("format") == FORMAT:
                self.best_valid_result, self.best_epoch = state["best_valid_result"], state["best_epoch"]
                self.train_loss_dict, self.seconds = dict(state["train_loss"]), dict(state["seconds"])
                self.elapsed, self.pretraining = state["elapsed"], state.get("pretraining")
                self.cpu_elapsed = state.get("cpu_elapsed") if is_first_process(self.config) else 0.0
                self.tracker.history = list(state.get("sharpness") or [])
                self._resumed = state
            else:
                self.best_epoch = state["epoch"]  # RecBole saves its best epochs only
                self.sam_step.passes.total = None  # nor does it save the costs so far
                self.cpu_elapsed = None
        except (ValueError, KeyError, TypeError) as error:
            reason = flatten_message(error)[:200]
            raise CheckpointError(f"{resume_file}: it does not fit learner={self.learner}: {reason}") from error
        if not self.run_dir and self.best_epoch == state["epoch"]:
            self.saved_model_file = str(resume_file)
        self._have_best(resume_file, state)
        wait_for_all(self.config)
        self._epoch, self._last = None, state["epoch"]
        self._keeps_last = bool(self.run_dir) and resume_file.absolute() == Path(self.run_dir, "last.pth").absolute()
        here, before = _name_device(self.device), state.get("device")
        if before not in (None, here):
            words = "it continues up to rounding, not to the last bit"
            self.logger.warning(f"resumed on {here}, trained on {before} before: {words}")
        self.logger.info(f"Checkpoint loaded. Resume training from epoch {self.start_epoch}")

    def _load_average(self, state: dict[str, Any], file: Path) -> None:
        """Restore the average of weights of a checkpoint, and the weights that train."""
        try:
            self.average.load_state_dict(state.get("average") or {})
        except ValueError as error:
            wanted = self.config["weight_average"]
            raise CheckpointError(f"{file}: {error}, and weight_average={wanted} is set; start a new run") from error

    def _have_best(self, resume_file: Path, state: dict[str, Any]) -> None:
        """Make sure that the best weights so far are in ``saved_model_file``, in case no later epoch is better."""
        if self.best_epoch < 0 or not is_first_process(self.config):
            return
        best = Path(self.saved_model_file)
        try:
            if best != resume_file:
                checkpoint_io.load(best)
            return
        except CheckpointError as error:
            lost = error
        if self.best_epoch != state["epoch"]:
            beside = resume_file.with_name("best.pth")
            if best.exists() or not beside.exists():
                raise CheckpointError(
                    f"{lost}; it contained the best weights so far, those of epoch {self.best_epoch}: start a new run"
                ) from lost
            state = checkpoint_io.load(beside)
        checkpoint_io.save(best, state if state.get("format") == FORMAT else self.state(state["epoch"]))

    def resume_weights(self, path: str | os.PathLike[str]) -> None:
        """Load the weights of a checkpoint into the model.

        Raises:
            CheckpointError: It cannot be read, or does not fit.
        """
        load_weights(self.model, checkpoint_io.load(path, trust=bool(self.config["trust_checkpoint"])), path)

    def _continue(self) -> None:
        """Restore the random generators and counters of training."""
        state, self._resumed = self._resumed, None
        assert state is not None, "called where a checkpoint was read"
        modules: dict[str, Any] = dict(self.model.named_modules())
        for key, value in state["attributes"].items():
            module, _, name = key.rpartition(".")
            vars(modules[module])[name] = move_to_device(value, self.device)
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.sam_step.load_state_dict(state["sam"])
        self._pending = dict(state["generators"])
        for name, loader in list(self._loaders.items()):
            self._follow(name, loader)
        rank = 0 if self.config["single_spec"] else torch.distributed.get_rank()
        if rank < len(state["random"]):  # a run may be resumed by more processes than started it
            RandomState.set(state["random"][rank], self.device)

    def _load_optimizers(self, state: dict[str, Any]) -> None:
        states = state.get("optimizers") or {"optimizer": state["optimizer"]}
        for name, stored in states.items():
            getattr(self, name).load_state_dict(stored)
        rate = self.config["learning_rate"]
        # A search changes it between two epochs.
        if state.get("format") == FORMAT and state["config"]["learning_rate"] != rate:
            for group in (group for optimizer in self._optimizers().values() for group in optimizer.param_groups):
                group["lr"] = rate

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return all optimizers by name; RecVAE has two, between which ``optimizer`` alternates."""
        named = {name: value for name, value in vars(self).items() if isinstance(value, torch.optim.Optimizer)}
        main = named.pop("optimizer")
        return named if any(main is one for one in named.values()) else {"optimizer": main, **named}

    def _model_attributes(self) -> Iterator[tuple[str, Any]]:
        """Yield numbers and tensors outside the ``state_dict`` with their dotted names, and versions of tensors."""
        names = {id(module): name for name, module in self.model.named_modules()}
        for module, name, value in plain_attributes(self.model):
            yield f"{names[id(module)]}.{name}", value

    def _follow(self, name: str, loader: DataLoader) -> None:
        """Add the generators of a data loader, and of the loaders inside it, to the checkpoint."""
        self._loaders[name] = loader
        if isinstance(getattr(loader, "generator", None), torch.Generator) and name in self._pending:
            loader.generator.set_state(self._pending.pop(name))
        for inner, value in list(vars(loader).items()):
            if isinstance(value, DataLoader):
                self._follow(f"{name}.{inner}", value)

    def _generators(self) -> Iterator[tuple[str, torch.Generator]]:
        for name, loader in self._loaders.items():
            if isinstance(getattr(loader, "generator", None), torch.Generator):
                yield name, loader.generator


def add_known(values: Iterable[float | None]) -> float | None:
    """Return the sum of values; None if one of them is unknown."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _name_device(device: torch.device) -> str:
    """Return the name of a GPU, or the type of another device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
