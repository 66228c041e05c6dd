"""RecBole's trainer with SAM in its optimizer step, safe checkpoints and exact resuming.

:class:`SAMTrainer` is inserted between RecBole's ``Trainer`` and all trainers derived from it, by
:mod:`integration.hooks`. Every model therefore trains through the same few overrides, and no loop of RecBole is copied.
The trainer consists of

* this module: the loss, the optimizer, an epoch, validation and test;
* ``resume.py``: :class:`Resumable`, the content of a checkpoint, and :func:`make_resumable` around ``fit``;
* ``callbacks.py``: callbacks of progress, records and users;
* ``pretraining.py`` and ``recbole_trainers.py``: additions for S3Rec, NCL and boosted trees.

``integration/overrides.py`` lists the methods of RecBole that are overridden, and why.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from logging import INFO, WARNING
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.trainer.trainer import Trainer
from recbole.utils import ModelType
from torch import nn
from torch.utils.data import DataLoader

from recbole_samrec.data.device_batches import DeviceBatches
from recbole_samrec.data.item_counts import count_training_items
from recbole_samrec.data.known_history import HISTORY, add_histories, scores_histories
from recbole_samrec.data.subsample import full_training_part
from recbole_samrec.data.temporal_held import find_held
from recbole_samrec.evaluator import full_ranking
from recbole_samrec.evaluator.history_mask import HistoryMask, earlier_loaders, mask_items
from recbole_samrec.layers.transformer import draw_dropout_in_bulk
from recbole_samrec.model.packed_forward import cut_to_longest, is_packable, make_packed_loss, make_prefix_loss
from recbole_samrec.model.s3rec_objectives import make_pretraining_loss
from recbole_samrec.optim.hook import SAMHook
from recbole_samrec.optim.row_adam import RowAdam
from recbole_samrec.optim.weight_average import make_average
from recbole_samrec.trainer.callbacks import CallbackList, RankedBatch
from recbole_samrec.trainer.determinism import use_deterministic_algorithms
from recbole_samrec.trainer.missing_fields import report_missing_field
from recbole_samrec.trainer.precision import choose_precision
from recbole_samrec.trainer.resume import Resumable, add_known, make_resumable
from recbole_samrec.trainer.sam_settings import read_sam_settings
from recbole_samrec.trainer.sharpness_tracker import SharpnessTracker
from recbole_samrec.utils.cpu_time import read_cpu_seconds
from recbole_samrec.utils.errors import ConfigError, TrainingError
from recbole_samrec.utils.malloc import keep_freed_memory, release_freed_memory

EXACT_STOPPING: ContextVar[bool] = ContextVar("exact_stopping", default=True)
"""The setting ``exact_early_stopping`` of the trainer that validated last.

A context variable, because RecBole's loops call the function ``early_stopping`` with numbers only; the trainer sets it
at the end of each validation, right before its loop calls the function (patched in ``compat/training.py``).
"""
SCALER: ContextVar[torch.amp.GradScaler | None] = ContextVar("scaler", default=None)
"""The scaler of the trainer whose epoch is running.

A context variable, because RecBole's loop makes a new scaler every epoch by calling ``amp.GradScaler(enabled=...)``;
the call returns this one instead (patched in ``compat/stack.py``).
"""


class SAMTrainer(Resumable, Trainer):
    """RecBole's trainer, with SAM where ``sam_rho`` is above 0.

    Args:
        config: RecBole's configuration.
        model: Any RecBole model.

    Raises:
        ConfigError: ``sam_rho`` is set for a model that is not trained by gradients, or a setting is wrong.

    Once this package is imported, ``recbole.trainer.Trainer`` is this class, and all trainers of RecBole derive from
    it.

    Example::

        from recbole.config import Config
        from recbole.data import create_dataset, data_preparation
        from recbole.utils import get_model
        from recbole_samrec import SAMTrainer

        config = Config(model="BPR", dataset="ml-100k", config_dict={"sam_rho": 0.1, "epochs": 5})
        train_data, valid_data, test_data = data_preparation(config, create_dataset(config))
        model = get_model(config["model"])(config, train_data.dataset).to(config["device"])
        SAMTrainer(config, model).fit(train_data, valid_data)
    """

    read_fields: frozenset[str] = frozenset()
    """Fields that the model has weights for."""

    def __init__(self, config: Any, model: nn.Module) -> None:
        settings = read_sam_settings(config)
        if settings.rho:
            require_gradients(model)
        if config["weight_average"]:
            require_gradients(model, "weight_average")
            if config["train_stage"] == "pretrain":
                raise ConfigError("weight_average: pre-training is not averaged; leave it out for train_stage=pretrain")
        if config["fast_dropout"] is not False:
            draw_dropout_in_bulk(model)
            if config["training"] != "packed" and config["device"].type == "cpu":
                keep_freed_memory()
        self.tracker = SharpnessTracker(int(config["track_sharpness"] or 0))
        self.callbacks = CallbackList([self.tracker])
        self.train_data: DataLoader | None = None
        self._step_epoch = self._step = 0
        self._fields_read: set[str] = set()
        self._shows_scores = False
        self.excluded_items: torch.Tensor | None = None
        self.sam_step = SAMHook(
            model,
            settings,
            clip=clip_arguments(config["clip_grad_norm"]),
            autocast=self._autocast,
            rearm=self._rearm,
            patience=config["max_bad_steps"] or 20,
            on_step=self._end_step,
        )
        self.average = make_average(model, config["weight_average"] or None)
        self._started, self._cpu_started = time.perf_counter(), read_cpu_seconds()
        super().__init__(config, model)
        self.clip_grad_norm = None  # the step's hook clips: RecBole would clip the scaled gradient
        self.precision = choose_precision(config, self.device)
        if self.precision.remark:
            self.logger.log(WARNING if self.precision.is_risky else INFO, self.precision.remark)
        self.enable_scaler = self.precision.is_scaled  # RecBole's has none without CUDA
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.enable_scaler)
        self.sam_step.watch(self.scaler)
        self.sam_step.scaler = torch.amp.GradScaler(self.device.type, enabled=self.enable_scaler)
        self.eval_collector = full_ranking.RankingCollector(config)
        self._reported = 0
        self._init_state()

    # Training ---------------------------------------------------------------------------------------------------

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        if self.config["embedding_update"] == "sparse":
            optimizer = self._row_wise_adam(**kwargs)
        else:
            optimizer = super()._build_optimizer(**kwargs)
        self.sam_step.attach(optimizer)
        self.average.attach(optimizer)
        return optimizer

    def _row_wise_adam(self, params: Any = None) -> RowAdam:
        """Return an Adam that updates only the embedding rows that have a gradient.

        Raises:
            ConfigError: A setting needs all embedding rows.
        """
        if not any(getattr(module, "sparse", False) for module in self.model.modules()):
            name = type(self.model).__name__
            raise ConfigError(f"embedding_update=sparse: {name} has no table with sparse gradients; SAMRec has one")
        others = {"learner": (self.learner.lower(), "adam"), "weight_decay": (self.weight_decay or 0, 0)}
        others["nproc"] = (1 if self.config["single_spec"] else self.config["world_size"], 1)
        for key, (value, possible) in others.items():
            if value != possible:
                raise ConfigError(f"embedding_update=sparse: it works with {key}={possible} only, not {value}")
        return RowAdam(self.model.parameters() if params is None else params, lr=self.learning_rate)

    def _train_epoch(
        self,
        train_data: DataLoader,
        epoch_idx: int,
        loss_func: Callable[[Any], Any] | None = None,
        show_progress: bool = False,
    ) -> Any:
        """Train for an epoch with RecBole's own loop, whose loss and optimizer step go through SAM."""
        with self.epoch(train_data, epoch_idx):
            loss_func = self.sam_step.recorded(loss_func or self.training_loss())
            losses = super()._train_epoch(self.move_batches(train_data), epoch_idx, loss_func, show_progress)
        self.report_epoch(epoch_idx, losses, len(train_data))
        return losses

    def move_batches(self, train_data: Any) -> Any:
        """Return a loader whose batches are copied to the device, cut and without unread fields; unchanged on a CPU."""
        if self.device.type == "cpu":
            return train_data
        cut = functools.partial(cut_to_longest, self.model) if self.computes_last_positions else None
        return DeviceBatches(train_data, self.device, self._fields_read, cut)

    def training_loss(self) -> Callable[[Any], Any]:
        """Return the loss of a batch: of packed sequences, of prefixes cut to the longest of them, or RecBole's."""
        pretrains = self.config["train_stage"] == "pretrain"
        if self.config["training"] == "packed":
            return make_pretraining_loss(self.model) if pretrains else make_packed_loss(self.model, self.config)
        if self.computes_last_positions:
            return make_prefix_loss(self.model, self.config)
        return self.model.calculate_loss

    @property
    def computes_last_positions(self) -> bool:
        """True if prefixes are cut to the longest of a batch, and only their last position is computed."""
        pretrains = self.config["train_stage"] == "pretrain"
        return self.config["fast_dropout"] is not False and is_packable(type(self.model)) and not pretrains

    @contextlib.contextmanager
    def epoch(self, train_data: Any, epoch_idx: int) -> Iterator[None]:
        """Surround an epoch with what RecBole's loop lacks: saving, callbacks, SAM's schedule, autocast, timing.

        Args:
            train_data: Loader of the training data.
            epoch_idx: Number of the epoch, from 0.
        """
        if epoch_idx != self._epoch:
            self._begin_epoch(train_data, epoch_idx)
        self.train_data, self._step_epoch, self._step = train_data, epoch_idx, 0
        self.callbacks.call("on_train_epoch_start", self, epoch_idx, len(train_data))
        self.sam_step.begin_epoch(epoch_idx, len(train_data), lambda: count_training_items(train_data._dataset))
        started = time.perf_counter()
        device, dtype = self.device.type, self.precision.dtype
        before, token = torch.get_autocast_dtype(device), SCALER.set(self.scaler)
        try:
            if dtype is not None:
                torch.set_autocast_dtype(device, dtype)
            with report_missing_field(self.config), use_deterministic_algorithms(self.config):
                yield
        finally:
            self.sam_step.settle()
            SCALER.reset(token)
            torch.set_autocast_dtype(device, before)
            release_freed_memory()
            self.seconds[epoch_idx] = self.seconds.get(epoch_idx, 0.0) + time.perf_counter() - started
        self.sam_step.passes.end_epoch()
        self.average.end_epoch(epoch_idx)

    def report_epoch(self, epoch_idx: int, losses: Any, steps: int) -> None:
        """Log skipped steps, and call the callbacks after the training part of an epoch.

        Args:
            epoch_idx: Number of the epoch, from 0.
            losses: Sum of the loss over the steps, or a tuple of several; None if there were no steps.
            steps: Number of steps.
        """
        total = sum(losses) if isinstance(losses, tuple) else losses
        if self.sam_step.skipped > self._reported:
            self.logger.warning(
                f"epoch {epoch_idx}: so far {self.sam_step.skipped} steps were skipped, their gradient was inf or nan"
            )
            self._reported = self.sam_step.skipped
        if total is not None:
            loss, seconds = total / max(steps, 1), self.seconds[epoch_idx]
            self.callbacks.call("on_train_epoch_end", self, epoch_idx, loss, seconds)

    @property
    def gradient_passes(self) -> float | None:
        """Gradient passes of all stages and epochs so far; None if those of an earlier part of the run are unknown."""
        if find_lack_of_gradients(self.model):
            return 0.0
        before = [self.pretraining.get("gradient_passes")] if self.pretraining else []
        return add_known([*before, self.sam_step.passes.total])

    def _end_step(self) -> None:
        self._step += 1
        self.callbacks.call("on_train_batch_end", self, self._step_epoch, self._step)

    def _check_nan(self, loss: torch.Tensor) -> None:
        """Accept a nan loss: its gradient is nan too, and SAM's hook skips such a step and counts it."""

    def _autocast(self) -> Any:
        return torch.autocast(device_type=self.device.type, enabled=self.enable_amp)

    def _rearm(self) -> Any:
        """Prepare DDP for a second backward pass; without it the ranks' gradients would not be averaged."""
        if self.config["single_spec"]:
            return 0
        self.set_reduce_hook()
        return self.sync_grad_loss()

    fit = make_resumable(Trainer.fit)

    def _valid_epoch(self, valid_data: DataLoader, show_progress: bool = False) -> tuple[float, dict[str, float]]:
        """Validate the weights, or their average, with RecBole's evaluator, and reject nan scores."""
        with self.average.applied():
            score, result = super()._valid_epoch(valid_data, show_progress)
        if not np.isfinite(score):
            raise TrainingError(
                f"epoch {self._epoch}: the validation {self.valid_metric} is {score}; lower learning_rate or sam_rho"
            )
        self._result_now = result
        EXACT_STOPPING.set(self.config["exact_early_stopping"] is not False)
        best = score > self.best_valid_score if self.valid_metric_bigger else score < self.best_valid_score
        self.callbacks.call("on_validation_end", self, self._epoch, score, result, best)
        return score, result

    # Evaluation -------------------------------------------------------------------------------------------------

    def evaluate(
        self,
        eval_data: DataLoader,
        load_best_model: bool = True,
        model_file: str | None = None,
        show_progress: bool = False,
    ) -> dict[str, float] | None:
        """Score a data set with RecBole's evaluator, after reading the weights without running code.

        Args:
            eval_data: Loader of the validation or the test set.
            load_best_model: True to read the weights of the best epoch first.
            model_file: Checkpoint to read them from; None for that of this run.
            show_progress: True to show a progress bar.

        Returns:
            The metrics under RecBole's names; None if there is nothing to score.

        Raises:
            CheckpointError: ``load_best_model`` is set and there is no readable checkpoint.
        """
        if not eval_data:
            return None
        if load_best_model:
            self._load_weights(model_file or self.saved_model_file)
        if earlier := earlier_loaders(eval_data):  # the collector of a model that was not trained here is empty
            self.eval_collector.data_collect(earlier[0])
        held = find_held(getattr(eval_data, "_dataset", None))
        self.excluded_items = None if held is None else torch.from_numpy(~held.candidates).to(self.device)
        if self.config["mask_history"] or self._shows_scores or scores_histories(self.model):
            self._history = self._history_mask(eval_data)
        with use_deterministic_algorithms(self.config):
            return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)

    def test(self, test_data: DataLoader) -> dict[str, float] | None:
        """Score the test set with the best weights, and pass the scores of a full ranking to the callbacks.

        Args:
            test_data: RecBole's loader of the test set.

        Returns:
            The metrics under RecBole's names; None if there is no test set.
        """
        self.callbacks.call("on_test_start", self)
        full = isinstance(test_data, FullSortEvalDataLoader)
        self._shows_scores = full and self.callbacks.handles("on_test_batch_end")
        try:
            metrics = self.evaluate(test_data, load_best_model=True)
        finally:
            self._shows_scores = False
        self.callbacks.call("on_test_end", self, metrics)
        return metrics

    def _load_weights(self, path: str) -> None:
        self.resume_weights(path)
        self.logger.info(f"Loading model structure and parameters from {path}")

    def _full_sort_batch_eval(self, batched_data: tuple) -> tuple:
        """Score a batch in parts that fit in ``eval_memory``; RecBole collects the last one itself."""
        *parts, last = full_ranking.split_batch(batched_data, self._samples_at_once(batched_data[0]))
        for part in parts:
            self._collect(*self.full_scores(part))
        return self.full_scores(last)

    def _samples_at_once(self, interaction: Any) -> int:
        inputs, sorts_samples = (interaction, self.item_tensor), self.eval_collector.sorts_samples
        return full_ranking.fit_batch_size(self.config, self.model, self.tot_item_num, inputs, sorts_samples)

    def _collect(self, interaction: Any, scores: torch.Tensor, positive_u: Any, positive_i: Any) -> None:
        self.eval_collector.eval_batch_collect(scores, interaction, positive_u, positive_i)

    def full_scores(self, batch: tuple) -> tuple:
        """Score a batch of a full ranking at once; arguments and result are those of RecBole's method."""
        if is_packable(type(self.model)):
            batch = (cut_to_longest(self.model, batch[0]), *batch[1:])
        masks = self.config["mask_history"] or self._shows_scores
        needed = scores_histories(self.model) and HISTORY not in batch[0]
        histories = self._history.find(batch[0]) if masks or needed else []
        if needed:
            batch = (add_histories(batch[0], histories), *batch[1:])
        interaction, scores, positive_u, positive_i = super()._full_sort_batch_eval(batch)
        self._reject_nan(scores)
        if self.excluded_items is not None:
            scores.masked_fill_(self.excluded_items, -torch.inf)
        if masks:
            masked = scores.clone() if self._shows_scores else scores
            mask_items(masked, histories, positive_u.cpu().numpy(), positive_i.cpu().numpy())
            if self._shows_scores:
                users = interaction[self.config["USER_ID_FIELD"]]  # models of context have no USER_ID
                shown = RankedBatch(users, scores, masked, positive_u, positive_i)
                self.callbacks.call("on_test_batch_end", self, shown)
            scores = masked if self.config["mask_history"] else scores
        return interaction, scores, positive_u, positive_i

    def _neg_sample_batch_eval(self, batched_data: tuple) -> tuple:
        interaction, scores, positive_u, positive_i = super()._neg_sample_batch_eval(batched_data)
        self._reject_nan(scores)
        return interaction, scores, positive_u, positive_i

    def _reject_nan(self, scores: torch.Tensor) -> None:
        """Reject nan scores, which RecBole would rank; masked items have the score -inf."""
        suspect = scores.amax(dim=-1).isnan()  # nan is the largest; checking each score would double the memory
        if suspect.any() and not scores[suspect].isfinite().any(dim=-1).all():
            name = self.config["model"]
            raise TrainingError(
                f"{name}: all scores of a sample are nan, and cannot be ranked; lower learning_rate or sam_rho"
            )

    def _history_mask(self, eval_data: Any) -> HistoryMask:
        earlier = earlier_loaders(eval_data)
        if not earlier:
            reason = self.config["model"] if scores_histories(self.model) else "mask_history"
            raise ConfigError(f"{reason} needs the data as data_preparation() of this run split it")
        parts = [full_training_part(loader._dataset) for loader in earlier]
        rank, world = 0, 1
        if not self.config["single_spec"]:
            rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        return HistoryMask(parts, eval_data._dataset, rank, world)

    def _map_reduce(self, result: dict[str, float], num_sample: int) -> dict[str, float]:
        """Return the result as it is: every process has evaluated the gathered samples of all."""
        return result


class SAMRecTrainer(SAMTrainer):
    """Trainer of SAMRec, which RecBole looks up by this name."""


GROWS_TREES = "it grows trees and is not trained by gradients"


def require_gradients(model: nn.Module, key: str = "sam_rho") -> None:
    """Check that a model is trained by gradients, as SAM and averages of weights need.

    Args:
        model: The model.
        key: The setting that needs gradients.

    Raises:
        ConfigError: Names the setting, the model and the reason.
    """
    if reason := find_lack_of_gradients(model):
        raise make_gradient_error(type(model).__name__, reason, key)


def find_lack_of_gradients(model: nn.Module) -> str:
    """Return the reason why a model is not trained by gradients; empty if it is."""
    reason = explain_model_kind(type(model))
    if not reason and not any(p.requires_grad for p in model.parameters()):
        reason = "it has no trainable parameters"
    return reason


def explain_model_kind(model_class: type) -> str:
    """Return the reason why models of a class are not trained by gradients; empty for other classes."""
    counted = "it is computed from counts, not trained by gradients"
    reasons = {
        "Random": "it has nothing to learn",
        "NCEPLRec": counted,  # RecBole lists it among trained models
        ModelType.TRADITIONAL: counted,
        ModelType.DECISIONTREE: GROWS_TREES,
    }
    return reasons.get(model_class.__name__) or reasons.get(getattr(model_class, "type", None)) or ""


def make_gradient_error(name: str, reason: str, key: str = "sam_rho") -> ConfigError:
    """Return the error that names the reason why a setting that needs gradients cannot be used with a model."""
    return ConfigError(f"{key} cannot be used with {name}: {reason}; leave {key} out")


def clip_arguments(value: Any) -> dict[str, Any] | None:
    """Return the arguments of ``clip_grad_norm_`` for a dictionary as RecBole takes, or for a number.

    Raises:
        ConfigError: It is neither.
    """
    if value is None or value is False:
        return None
    largest = value.get("max_norm") if isinstance(value, dict) else value
    if isinstance(largest, (int, float)) and not isinstance(largest, bool) and largest > 0:
        return dict(value) if isinstance(value, dict) else {"max_norm": float(value)}
    raise ConfigError(f"clip_grad_norm={value}: give the largest norm as a number above 0, or {{'max_norm': 5.0}}")
