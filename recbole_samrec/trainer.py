"""RecBole's trainer with SAM in its optimizer step, checkpoints that are safe, and resume that is exact.

:class:`SAMTrainer` stands between RecBole's ``Trainer`` and all trainers derived from it (``plugin.py`` puts it
there), so that every model trains through the same few overrides and no loop of RecBole's is copied.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.trainer.trainer import Trainer
from recbole.utils import ModelType
from torch import nn
from torch.utils.data import DataLoader

from recbole_samrec import checkpoint
from recbole_samrec.data.history import HistoryMask
from recbole_samrec.errors import CheckpointError, ConfigError, TrainingError
from recbole_samrec.names import unique_name
from recbole_samrec.settings import plain_config
from recbole_samrec.step import RandomState, SAMSettings, SAMStep, plain_attributes

FORMAT = 1
EXACT_STOPPING: ContextVar[bool] = ContextVar("exact_stopping", default=True)
"""Whether early stopping counts a tie as no gain and stops in time; from ``exact_early_stopping``."""
SCALER: ContextVar[torch.amp.GradScaler | None] = ContextVar("scaler", default=None)
"""The scaler of the trainer whose epoch is running; RecBole's loop would make a new one every epoch."""


class Listener:
    """Is told what happens in training; the base class ignores it all."""

    def epoch_started(self, epoch: int, steps: int) -> None:
        """An epoch of so many optimizer steps begins (a model may start several rounds of steps an epoch)."""

    def stepped(self) -> None:
        """One optimizer step is done."""

    def trained(self, epoch: int, loss: float, seconds: float) -> None:
        """The training part of an epoch is done; ``loss`` is the mean over its steps."""

    def validated(self, epoch: int, score: float, result: dict[str, float], best: bool) -> None:
        """The model was scored on the validation set."""


def whole(fit: Callable[..., Any]) -> Callable[..., Any]:
    """A trainer's ``fit`` that continues a resumed run exactly and leaves one that had stopped early as it is."""

    @functools.wraps(fit)
    def fit_whole(
        self: SAMTrainer,
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

        self._start(train_data, valid_data)
        if self._out_of_patience():
            return self.best_valid_score, self.best_valid_result
        result = fit(self, train_data, valid_data, verbose, saved, show_progress, validated)
        if saved:
            self._end_training()
        return result

    return fit_whole


class SAMTrainer(Trainer):
    """RecBole's trainer, with SAM where ``sam_rho`` is above 0.

    Args:
        config: RecBole's configuration.
        model: Any RecBole model.

    Raises:
        ConfigError: ``sam_rho`` is set for a model that is not trained by gradients, or a setting is wrong.
    """

    def __init__(self, config: Any, model: nn.Module) -> None:
        settings = SAMSettings.from_config(config)
        if settings.rho:
            require_gradients(model)
        self.listener = Listener()
        self.sam_step = SAMStep(
            model,
            settings,
            clip=clip_arguments(config["clip_grad_norm"]),
            autocast=self._autocast,
            rearm=self._rearm,
            patience=config["max_bad_steps"] or 20,
            on_step=lambda: self.listener.stepped(),
        )
        self._started = time.perf_counter()
        super().__init__(config, model)
        self.clip_grad_norm = None  # the step's hook clips: RecBole would clip the scaled gradient
        self.enable_scaler = bool(config["enable_scaler"])  # RecBole's has none without CUDA
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.enable_scaler)
        self.sam_step.watch(self.scaler)
        self.sam_step.scaler = torch.amp.GradScaler(self.device.type, enabled=self.enable_scaler)
        self.run_dir = config["run_dir"]
        self.saved_model_file = shared_name(config, self._checkpoint_path())
        self.best_epoch = -1
        self.seconds: dict[int, float] = {}
        self.elapsed = 0.0
        self._reported = 0
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
        return os.path.join(self.checkpoint_dir, unique_name(self.config["model"]) + ".pth")

    # Training ---------------------------------------------------------------------------------------------------

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        optimizer = super()._build_optimizer(**kwargs)
        self.sam_step.attach(optimizer)
        return optimizer

    def _train_epoch(
        self,
        train_data: DataLoader,
        epoch_idx: int,
        loss_func: Callable[[Any], Any] | None = None,
        show_progress: bool = False,
    ) -> Any:
        """Train for an epoch with RecBole's own loop, whose loss and optimizer step go through SAM."""
        with self.epoch(train_data, epoch_idx):
            loss_func = self.sam_step.recorded(loss_func or self.model.calculate_loss)
            losses = super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)
        self._report_training(epoch_idx, losses, len(train_data))
        return losses

    @contextlib.contextmanager
    def epoch(self, train_data: DataLoader, epoch_idx: int) -> Iterator[None]:
        """What surrounds an epoch: resume and save points, the precision of autocast, the clock."""
        if epoch_idx != self._epoch:
            self._begin_epoch(train_data, epoch_idx)
        self.listener.epoch_started(epoch_idx, len(train_data))
        started = time.perf_counter()
        device, dtype = self.device.type, amp_dtype(self.config["amp_dtype"])
        before, token = torch.get_autocast_dtype(device), SCALER.set(self.scaler)
        try:
            if dtype is not None:
                torch.set_autocast_dtype(device, dtype)
            yield
        finally:
            SCALER.reset(token)
            torch.set_autocast_dtype(device, before)
            self.seconds[epoch_idx] = self.seconds.get(epoch_idx, 0.0) + time.perf_counter() - started

    def _begin_epoch(self, train_data: DataLoader, epoch_idx: int) -> None:
        """Save the state after the epoch before, unless that was done when its validation had ended."""
        self._start(train_data)
        self._end_epoch()
        self._epoch = epoch_idx

    def _start(self, train_data: DataLoader, valid_data: DataLoader | None = None) -> None:
        """Take up what a resumed run draws from, before anything is drawn."""
        if self._untouched is None:
            self._untouched = {key: as_built(value) for key, value in self._model_attributes()}
        self._follow("train", train_data)
        if valid_data:
            self._follow("valid", valid_data)
        if self._resumed is not None:
            self._continue()

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
        """Whether early stopping had ended the run that was resumed."""
        exact = self.config["exact_early_stopping"] is not False
        return self.cur_step >= self.stopping_step + (not exact) and self.start_epoch > 0

    def _report_training(self, epoch_idx: int, losses: Any, steps: int) -> None:
        total = sum(losses) if isinstance(losses, tuple) else losses
        if total is not None:
            self.listener.trained(epoch_idx, total / max(steps, 1), self.seconds[epoch_idx])
        if self.sam_step.skipped > self._reported:
            self.logger.warning(
                f"epoch {epoch_idx}: so far {self.sam_step.skipped} steps were left out, their gradient was inf or nan"
            )
            self._reported = self.sam_step.skipped

    def _check_nan(self, loss: torch.Tensor) -> None:
        """A loss that is nan has a gradient that is nan; the step's hook leaves it out and counts it."""

    def _autocast(self) -> Any:
        return torch.autocast(device_type=self.device.type, enabled=self.enable_amp)

    def _rearm(self) -> Any:
        """Prepare DDP for a second backward pass; without it the ranks' gradients would not be averaged."""
        if self.config["single_spec"]:
            return 0
        self.set_reduce_hook()
        return self.sync_grad_loss()

    fit = whole(Trainer.fit)

    def _valid_epoch(self, valid_data: DataLoader, show_progress: bool = False) -> tuple[float, dict[str, float]]:
        score, result = super()._valid_epoch(valid_data, show_progress)
        if not np.isfinite(score):
            raise TrainingError(f"epoch {self._epoch}: the validation {self.valid_metric} is {score}")
        self._result_now = result
        EXACT_STOPPING.set(self.config["exact_early_stopping"] is not False)
        best = score > self.best_valid_score if self.valid_metric_bigger else score < self.best_valid_score
        self.listener.validated(self._epoch, score, result, best)
        return score, result

    # Evaluation -------------------------------------------------------------------------------------------------

    def evaluate(
        self,
        eval_data: DataLoader,
        load_best_model: bool = True,
        model_file: str | None = None,
        show_progress: bool = False,
    ) -> dict[str, float] | None:
        """Score a data set with RecBole's evaluator; the weights are read without running code.

        Raises:
            CheckpointError: ``load_best_model`` is set and there is no readable checkpoint.
        """
        if not eval_data:
            return None
        if load_best_model:
            self._load_weights(model_file or self.saved_model_file)
        if getattr(eval_data, "earlier_data", None):  # a model that was not trained here has not seen them yet
            self.eval_collector.data_collect(eval_data.earlier_data[0])
        if self.config["mask_history"]:
            self._history = self._history_mask(eval_data)
        return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)

    def _load_weights(self, path: str) -> None:
        self.resume_weights(path)
        self.logger.info(f"Loading model structure and parameters from {path}")

    def _full_sort_batch_eval(self, batched_data: tuple) -> tuple:
        interaction, scores, positive_u, positive_i = super()._full_sort_batch_eval(batched_data)
        self._refuse_nan(scores)
        if self.config["mask_history"]:
            self._history.apply(scores, interaction, positive_u, positive_i)
        return interaction, scores, positive_u, positive_i

    def _neg_sample_batch_eval(self, batched_data: tuple) -> tuple:
        interaction, scores, positive_u, positive_i = super()._neg_sample_batch_eval(batched_data)
        self._refuse_nan(scores)
        return interaction, scores, positive_u, positive_i

    def _refuse_nan(self, scores: torch.Tensor) -> None:
        """RecBole would rank them, and get ordinary metrics; items that are left out have the score -inf."""
        if (scores.isnan().any(dim=-1) & ~scores.isfinite().any(dim=-1)).any():
            raise TrainingError(f"{self.config['model']}: the scores of a whole row are nan; there is nothing to rank")

    def _history_mask(self, eval_data: DataLoader) -> HistoryMask:
        earlier = getattr(eval_data, "earlier_data", None)
        if earlier is None:
            raise ConfigError("mask_history needs the data as data_preparation() of this run split it")
        rank, world = 0, 1
        if not self.config["single_spec"]:
            rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        return HistoryMask([loader._dataset for loader in earlier], eval_data._dataset, rank, world)

    def _map_reduce(self, result: dict[str, float], num_sample: int) -> dict[str, float]:
        """Every rank has evaluated the gathered rows of all, so the result is the whole set's already."""
        return result

    # Checkpoints ------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        """Write the state after the training and validation of ``epoch``.

        RecBole passes -1 when there is nothing left to train; what is there of a resumed run is then left alone.
        """
        if epoch < 0 and self.start_epoch > 0:
            return
        path = kwargs.pop("saved_model_file", self.saved_model_file)
        self.best_epoch = epoch
        if self._result_now is not None:
            self.best_valid_result = self._result_now
        self.write(path, epoch)
        if verbose:
            self.logger.info(f"Saving current: {path}")

    def save_last(self, epoch: int) -> None:
        """Write ``last.pth`` of the run's folder, keeping the one before it as ``previous.pth``."""
        self._last = epoch
        if self.run_dir:
            last, previous = Path(self.run_dir, "last.pth"), Path(self.run_dir, "previous.pth")
            self.write(last, epoch, previous if self._keeps_last else None)
            self._keeps_last = True

    def write(self, path: str | os.PathLike[str], epoch: int, previous: Path | None = None) -> None:
        """Write a checkpoint; all processes take part, since each draws its own random numbers, and find it written."""
        everyones = gathered(self.config, RandomState.get())
        if self._is_first_rank():
            checkpoint.save(path, {**self.state(epoch), "random": everyones}, previous)
        self._wait_for_all()

    def _wait_for_all(self) -> None:
        """Let no process look for a file that the first one may still be writing."""
        if not self.config["single_spec"]:
            torch.distributed.barrier()

    def _is_first_rank(self) -> bool:
        return bool(self.config["single_spec"]) or self.config["local_rank"] == 0

    def state(self, epoch: int) -> dict[str, Any]:
        """Everything a run needs to go on after ``epoch`` as if it had never stopped."""
        built = self._untouched or {}
        changed = {k: v for k, v in self._model_attributes() if k not in built or not unchanged(v, built[k])}
        return {
            "format": FORMAT,
            "config": plain_config(self.config),
            "epoch": epoch,
            "cur_step": self.cur_step,
            "best_valid_score": float(self.best_valid_score),
            "best_valid_result": dict(self.best_valid_result) if self.best_valid_result else None,
            "best_epoch": self.best_epoch,
            "state_dict": self.model.state_dict(),
            "other_parameter": {k: hidden_state(v) for k, v in self.model.other_parameter().items()},
            "optimizer": self.optimizer.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers().items()},
            "scaler": self.scaler.state_dict(),
            "sam": self.sam_step.state_dict(),
            "attributes": changed,
            "random": [RandomState.get()],
            "generators": {name: generator.get_state() for name, generator in self._generators()},
            "train_loss": {int(k): float(v) for k, v in self.train_loss_dict.items() if v is not None},
            "seconds": dict(self.seconds),
            "elapsed": self.elapsed + time.perf_counter() - self._started,
        }

    def resume_checkpoint(self, resume_file: str | os.PathLike[str]) -> None:
        """Take up a checkpoint so that training goes on as if it had never stopped.

        Args:
            resume_file: A checkpoint of a run of the same model and data.

        Raises:
            CheckpointError: The file cannot be read, or does not fit this model, or the best weights are lost.
        """
        resume_file = Path(resume_file)
        state = checkpoint.load(resume_file, trust=bool(self.config["trust_checkpoint"]))
        load_weights(self.model, state, resume_file)
        try:
            self.start_epoch = state["epoch"] + 1
            self.cur_step = state["cur_step"]
            self.best_valid_score = state["best_valid_score"]
            self._load_optimizers(state)
            if state.get("format") == FORMAT:
                self.best_valid_result, self.best_epoch = state["best_valid_result"], state["best_epoch"]
                self.train_loss_dict, self.seconds = dict(state["train_loss"]), dict(state["seconds"])
                self.elapsed = state["elapsed"]
                self._resumed = state
            else:
                self.best_epoch = state["epoch"]  # RecBole saves its best epochs only
        except (ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{resume_file}: it does not fit learner={self.learner}: {reason}") from error
        if not self.run_dir and self.best_epoch == state["epoch"]:
            self.saved_model_file = str(resume_file)
        self._have_best(resume_file, state)
        self._wait_for_all()
        self._epoch, self._last = None, state["epoch"]
        self._keeps_last = bool(self.run_dir) and resume_file.absolute() == Path(self.run_dir, "last.pth").absolute()
        self.logger.info(f"Checkpoint loaded. Resume training from epoch {self.start_epoch}")

    def _have_best(self, resume_file: Path, state: dict[str, Any]) -> None:
        """Make sure that the best weights so far lie where they are looked for when no later epoch is better."""
        if self.best_epoch < 0 or not self._is_first_rank():
            return
        best = Path(self.saved_model_file)
        try:
            if best != resume_file:
                checkpoint.load(best)
            return
        except CheckpointError as error:
            lost = error
        if self.best_epoch != state["epoch"]:
            beside = resume_file.with_name("best.pth")
            if best.exists() or not beside.exists():
                raise CheckpointError(
                    f"{lost}; it held the best weights so far, those of epoch {self.best_epoch}: start the run anew"
                ) from lost
            state = checkpoint.load(beside)
        checkpoint.save(best, state if state.get("format") == FORMAT else self.state(state["epoch"]))

    def resume_weights(self, path: str | os.PathLike[str]) -> None:
        """Put the weights of a checkpoint into the model.

        Raises:
            CheckpointError: It cannot be read, or does not fit.
        """
        load_weights(self.model, checkpoint.load(path, trust=bool(self.config["trust_checkpoint"])), path)

    def _continue(self) -> None:
        """Put back what training draws from, at the moment at which it was saved."""
        state, self._resumed = self._resumed, None
        modules = dict(self.model.named_modules())
        for key, value in state["attributes"].items():
            module, _, name = key.rpartition(".")
            vars(modules[module])[name] = on_device(value, self.device)
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.sam_step.load_state_dict(state["sam"])
        self._pending = dict(state["generators"])
        for name, loader in list(self._loaders.items()):
            self._follow(name, loader)
        rank = 0 if self.config["single_spec"] else torch.distributed.get_rank()
        if rank < len(state["random"]):  # a run may be carried on by more processes than began it
            mine = state["random"][rank]
            if not torch.cuda.is_available():  # and without the GPU on which it began
                mine.pop("cuda", None)
            RandomState.set(mine)

    def _follow(self, name: str, loader: DataLoader) -> None:
        """Keep the generators of a data loader, and of the loaders inside it, in the checkpoint."""
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

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """All optimizers by name; RecVAE has two, between which ``optimizer`` changes."""
        named = {name: value for name, value in vars(self).items() if isinstance(value, torch.optim.Optimizer)}
        main = named.pop("optimizer")
        return named if any(main is one for one in named.values()) else {"optimizer": main, **named}

    def _load_optimizers(self, state: dict[str, Any]) -> None:
        states = state.get("optimizers") or {"optimizer": state["optimizer"]}
        for name, stored in states.items():
            getattr(self, name).load_state_dict(stored)

    def _model_attributes(self) -> Iterator[tuple[str, Any]]:
        """Numbers and tensors outside the ``state_dict``, each under its dotted name, tensors with their version."""
        names = {id(module): name for name, module in self.model.named_modules()}
        for module, name, value in plain_attributes(self.model):
            yield f"{names[id(module)]}.{name}", value


class SAMRecTrainer(SAMTrainer):
    """Trains SAMRec: RecBole's loop, whose optimizer step takes the gradient at the worst neighbour."""


def as_built(value: Any) -> tuple[Any, Any]:
    """What :func:`unchanged` needs to tell whether an attribute was changed: tensors count their changes themselves."""
    return (value.copy(), None) if isinstance(value, np.ndarray) else (value, getattr(value, "_version", None))


def unchanged(value: Any, built: tuple[Any, Any]) -> bool:
    """Whether an attribute of a model is what it was before training."""
    before, version = built
    if isinstance(value, np.ndarray):
        return isinstance(before, np.ndarray) and np.array_equal(value, before)
    if isinstance(value, torch.Tensor):
        return value is before and value._version == version
    return type(value) is type(before) and value == before


def require_gradients(model: nn.Module) -> None:
    """Refuse SAM for a model that no gradient trains.

    Raises:
        ConfigError: Names the model and the reason.
    """
    name, counted = type(model).__name__, "it is computed from counts, not trained by gradients"
    reason = {
        "Random": "it has nothing to learn",
        "NCEPLRec": counted,  # RecBole has it among the models that are trained
        ModelType.TRADITIONAL: counted,
        ModelType.DECISIONTREE: "it grows trees and is not trained by gradients",
    }
    reason = reason.get(name) or reason.get(getattr(model, "type", None))
    if reason is None and not any(p.requires_grad for p in model.parameters()):
        reason = "it has no trainable parameters"
    if reason:
        raise ConfigError(f"sam_rho cannot be used with {name}: {reason}; leave sam_rho out")


def clip_arguments(value: Any) -> dict[str, Any] | None:
    """The arguments of ``clip_grad_norm_`` from RecBole's dictionary or from a plain number.

    Raises:
        ConfigError: It is neither.
    """
    if value is None or value is False:
        return None
    if isinstance(value, dict) and value.get("max_norm", 0) > 0:
        return dict(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return {"max_norm": float(value)}
    raise ConfigError(f"clip_grad_norm={value}: give the largest norm as a number above 0, or {{'max_norm': 5.0}}")


def amp_dtype(name: str | None) -> torch.dtype | None:
    """The type that autocast computes in.

    Raises:
        ConfigError: It is not ``bfloat16`` or ``float16``.
    """
    kinds = {None: None, "bfloat16": torch.bfloat16, "bf16": torch.bfloat16, "float16": torch.float16, "fp16": torch.float16}
    if name not in kinds:
        raise ConfigError(f"amp_dtype={name}: choose bfloat16 or float16")
    return kinds[name]


def shared_name(config: Any, name: str) -> str:
    """The first process's name for a file, on all of them: in DDP each would make up its own."""
    if config["single_spec"] or not torch.distributed.is_initialized():
        return name
    box = [name]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


def gathered(config: Any, value: Any) -> list[Any]:
    """The values of all processes, in their order."""
    if config["single_spec"] or not torch.distributed.is_initialized():
        return [value]
    values = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def load_weights(model: nn.Module, state: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Put a checkpoint's weights, and what RecBole keeps of a model beside them, into a model.

    Raises:
        CheckpointError: They are of another model or other data.
    """
    try:
        model.load_state_dict(state["state_dict"])
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        others = {k: show_hidden(v, getattr(model, k, None)) for k, v in (state["other_parameter"] or {}).items()}
        model.load_other_parameter(on_device(others, device))
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        name, reason = type(model).__name__, " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: its weights do not fit {name} on this data: {reason}") from error


def on_device(value: Any, device: torch.device) -> Any:
    """A value whose tensors, also those in lists and dictionaries, are on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if type(value) in (list, tuple):
        return type(value)(on_device(entry, device) for entry in value)
    if type(value) is dict:
        return {key: on_device(entry, device) for key, entry in value.items()}
    return value


def hidden_state(value: Any) -> Any:
    """A module that RecBole saves whole, as plain tensors, with the layers it hides in dictionaries from torch."""
    if not isinstance(value, nn.Module):
        return value
    layers = {name: layer.state_dict() for name, layer in hidden_layers(value)}
    return {"__module__": value.state_dict(), "layers": layers}


def show_hidden(stored: Any, module: Any) -> Any:
    """Undo :func:`hidden_state`: load the tensors into the module that is there."""
    if not (isinstance(stored, dict) and "__module__" in stored):
        return stored
    module.load_state_dict(stored["__module__"])
    for name, layer in hidden_layers(module):
        layer.load_state_dict(stored["layers"][name])
    return module


def hidden_layers(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers that a module keeps in plain dictionaries, where ``state_dict`` does not see them."""
    for attribute, table in vars(module).items():
        if isinstance(table, dict) and not attribute.startswith("_"):
            for key, layer in table.items():
                if isinstance(layer, nn.Module):
                    yield f"{attribute}.{key}", layer
