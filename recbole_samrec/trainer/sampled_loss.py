"""The training loss of a model on a fixed sample of its training data, as a function that can be differentiated twice.

Sharpness is measured on it: in evaluation mode, with the same batches and the same random draws at every call.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from recbole.utils import init_seed
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader

from recbole_samrec.analysis.hessian import ChunkedLoss, Loss, measure_product_error
from recbole_samrec.data.join_batches import join_batches
from recbole_samrec.layers.item_loss import ItemLoss
from recbole_samrec.model.packed_forward import count_items, make_packed_loss, make_prefix_loss
from recbole_samrec.optim.random_state import RandomState
from recbole_samrec.optim.state_snapshot import ModelState
from recbole_samrec.utils.device_memory import measure_budget
from recbole_samrec.utils.errors import ConfigError, flatten_message

NO_SECOND_DERIVATIVE = "derivative .*not implemented|differentiate twice|differentiated only once|double backward"
"""Messages of errors where there is no second derivative: torch's, and that of our fused loss."""
WRONG = 0.1
"""Relative error, against differences of gradients, above which a Hessian-vector product is wrong, not inaccurate."""
HESSIAN_SHARE = 1 / 8
"""Share of a GPU's memory for a Hessian-vector product of some batches."""
BYTES_PER_LOGIT = 64
"""Memory of a Hessian-vector product for each target and item: some 16 tensors in single precision."""
SAMPLE_SEED = 2020
"""Seed of the sample of training targets; the same for all runs, so that they are compared on the same targets."""


def sampled_loss(trainer: Any, train: Any, targets: int) -> tuple[ChunkedLoss, int, int]:
    """Return the training loss of a model on a few fixed batches, with the same random draws in each call.

    Args:
        trainer: Our trainer of the model.
        train: Its loader of training data.
        targets: Smallest number of targets; whole batches are added until there are as many.

    Returns:
        The loss, the number of its targets, and that of all training targets.
    """
    of_batch = differentiable_loss(trainer)
    batches, draws, weights = [], [], []
    with _restore_generators(train, trainer.device):
        init_seed(SAMPLE_SEED, trainer.config["reproducibility"])
        for generator in find_generators(train):
            generator.manual_seed(SAMPLE_SEED)
        for batch in trainer.move_batches(train):
            batch = batch.to(trainer.device)
            batches.append(batch)
            draws.append(RandomState.get(trainer.device))
            weights.append(count_targets(trainer, batch))
            if sum(weights) >= targets:
                break
    everything = len(train.windows.targets) if trainer.config["training"] == "packed" else len(train._dataset)
    chunks, shares = [], []
    for group in _group_batches(weights, _count_targets_at_once(trainer)):
        batch = batches[group[0]] if len(group) == 1 else join_batches([batches[i] for i in group])
        chunks.append(_chunk(trainer, of_batch, batch, draws[group[0]]))
        shares.append(sum(weights[i] for i in group))
    return ChunkedLoss(chunks, shares), sum(weights), everything


def _group_batches(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Group the indices of consecutive batches so that a group has at most so many targets, but at least one batch."""
    groups: list[list[int]] = []
    for number, size in enumerate(sizes):
        if groups and sum(sizes[i] for i in groups[-1]) + size <= most:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def _count_targets_at_once(trainer: Any) -> int:
    """Return the number of targets whose loss a GPU differentiates twice at once; 0 if batches stay separate.

    Only where the loss is a sum over targets, without random draws, is that of joined batches the same.
    """
    model, config = trainer.model, trainer.config
    budget = measure_budget(trainer.device, HESSIAN_SHARE)
    is_sum = config["loss_type"] == "CE" and isinstance(getattr(model, "item_loss", None), (ItemLoss, type(None)))
    reads_targets = config["training"] == "packed" or trainer.computes_last_positions
    ours = model.calculate_loss.__module__.startswith(("recbole.", "recbole_samrec."))
    if budget is None or not (is_sum and reads_targets and ours) or hasattr(model, "auxiliary_loss"):
        return 0
    return budget // (BYTES_PER_LOGIT * count_items(model))


@contextlib.contextmanager
def _restore_generators(train: Any, device: torch.device) -> Iterator[None]:
    """Restore all random generators after the block, so that it does not affect the draws of training."""
    before, states = RandomState.get(device), [generator.get_state() for generator in find_generators(train)]
    try:
        yield
    finally:
        RandomState.set(before, device)
        for generator, state in zip(find_generators(train), states, strict=True):
            generator.set_state(state)


def find_generators(loader: Any) -> list[torch.Generator]:
    """Return the generators of a loader, and of the loaders inside it."""
    found = [loader.generator] if isinstance(getattr(loader, "generator", None), torch.Generator) else []
    for inner in vars(loader).values():
        found += find_generators(inner) if isinstance(inner, DataLoader) else []
    return found


def count_targets(trainer: Any, batch: Any) -> int:
    """Return the number of targets of a batch of training data."""
    if trainer.config["training"] == "packed":
        return int((batch[trainer.model.POS_ITEM_ID] != 0).sum())
    return len(batch)


def _chunk(trainer: Any, of_batch: Callable[[Any], Any], batch: Any, draws: Mapping[str, Any]) -> Callable[[], Tensor]:
    """The loss of one batch, with the same random numbers in every call and without effect on the model."""

    def loss() -> Tensor:
        kept, before = ModelState(trainer.model), RandomState.get(trainer.device)
        RandomState.set(dict(draws), trainer.device)
        try:
            with allow_second_derivatives():
                value = of_batch(batch)
        finally:
            RandomState.set(before, trainer.device)
            kept.restore()
        total: Any = sum(value) if isinstance(value, tuple) else value
        return total

    return loss


def differentiable_loss(trainer: Any) -> Callable[[Any], Any]:
    """Return the loss that a trainer minimizes, made of operations that can be differentiated twice."""
    model, config = trainer.model, trainer.config
    if config["training"] == "packed":
        return make_packed_loss(model, config, fused=False)
    if trainer.computes_last_positions:
        return make_prefix_loss(model, config, fused=False)
    return model.calculate_loss


def require_second_derivative(loss: Loss, weights: Sequence[Tensor], place: str, model: str) -> None:
    """Check that the Hessian-vector products of a loss exist and are correct.

    Args:
        loss: The loss.
        weights: The weights it is differentiated by.
        place: Setting or run, for the error.
        model: Name of the model, for the error.

    Raises:
        ConfigError: The loss cannot be differentiated twice, or products differ from differences of gradients.
        FloatingPointError: A gradient or product is not finite.
    """
    remedy = "write the model with operations that torch can differentiate twice"
    try:
        off = measure_product_error(loss, weights)
    except (RuntimeError, ValueError) as error:
        if isinstance(error, RuntimeError) and not re.search(NO_SECOND_DERIVATIVE, str(error), re.IGNORECASE):
            raise
        words = flatten_message(error)[:200]
        raise ConfigError(f"{place}: the loss of {model} cannot be differentiated twice ({words}); {remedy}") from error
    if off > WRONG:
        raise ConfigError(
            f"{place}: the second derivative of {model}'s loss is wrong: Hessian times a vector is {100 * off:.0f} % "
            "off the differences of its gradients, so its curvature cannot be measured; the usual reason is a backward "
            f"pass written by hand: {remedy}"
        )


@contextlib.contextmanager
def allow_second_derivatives() -> Iterator[None]:
    """Compute attention and recurrent layers by operations that have a second derivative; the fast ones have none."""
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        yield
