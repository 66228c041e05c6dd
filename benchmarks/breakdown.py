"""Shares of the time of training steps, measured by torch's profiler."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.cases import GROUPS
from recbole_samrec.data.batches import PackedBatches
from recbole_samrec.layers import transformer as fast
from recbole_samrec.layers.item_loss import ItemLoss
from recbole_samrec.optim import variants
from recbole_samrec.optim.hook import SAMHook

# An operation belongs to the group of the first of these names that occurs in its own name, or else in the name of the
# nearest enclosing range. Ranges made by mark_function below have the names of groups.
NAMES = {
    "aten::addmm": "matrix products",
    "aten::mm": "matrix products",
    "aten::linear": "matrix products",
    "AddmmBackward": "matrix products",
    "MmBackward": "matrix products",
    "aten::bmm": "attention",
    "aten::baddbmm": "attention",
    "BmmBackward": "attention",
    "scaled_dot_product": "attention",
    "ScaledDotProduct": "attention",
    "SoftmaxBackward": "attention",
    "ropout": "dropout",
    "aten::bernoulli": "dropout",
    "NllLoss": "softmax and loss",
    "nll_loss": "softmax and loss",
    "cross_entropy": "softmax and loss",
    "LogSoftmax": "softmax and loss",
    "log_softmax": "softmax and loss",
    "_FusedBackward": "softmax and loss",
    "layer_norm": "normalization",
    "LayerNorm": "normalization",
    "elu": "activation",
    "ErfBackward": "activation",
    "aten::erf": "activation",
    "Optimizer.": "optimizer",
    "zero_grad": "optimizer",
    **{group: group for group in GROUPS},
    "Backward": "rest",
    "AccumulateGrad": "rest",
}

MARKED = (
    (fast, "dropout", "dropout"),
    (fast, "causal_attention", "attention"),
    (ItemLoss, "__call__", "softmax and loss"),
    (SAMHook, "_second_gradient", "rest"),
    (PackedBatches, "_gathered", "data"),
    *product({*variants.CLASSES.values()}, ("displace", "ascend", "settle", "combine"), ("SAM's vector work",)),
)
"""Functions whose time counts for a group, except for operations inside that :data:`NAMES` assigns to another."""


def measure_breakdown(run: Callable[[], Any], device: str = "cpu") -> dict[str, float]:
    """Measure the share of each group in the time of ``run``.

    Args:
        run: Function that trains for some steps.
        device: Device whose time is measured: the thread that calls ``run``, or the GPU.
    """
    gpu = device == "cuda"
    with _mark_functions(), profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * gpu]) as profiler:
        run()
    spent = dict.fromkeys(GROUPS, 0.0)
    for event in profiler.events():
        spent[find_group(event)] += event.self_device_time_total if gpu else event.self_cpu_time_total
    total = sum(spent.values())
    return {group: time / total for group, time in spent.items()}


def find_group(event: Any) -> str:
    """Find the group of one event of a profile, by its name or the names of its parents."""
    while event is not None:
        for part, group in NAMES.items():
            if part in event.name:
                return group
        event = event.cpu_parent
    return "rest"


@contextlib.contextmanager
def _mark_functions() -> Iterator[None]:
    """Mark the functions of :data:`MARKED` in the profile."""
    before = [(owner, name, vars(owner)[name], group) for owner, name, group in MARKED if name in vars(owner)]
    try:
        for owner, name, function, group in before:
            setattr(owner, name, mark_function(function, group))
        yield
    finally:
        for owner, name, function, _ in before:
            setattr(owner, name, function)


def mark_function(function: Callable, group: str) -> Callable:
    """Wrap a function so that it is a range of the profile."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with record_function(group):
            return function(*args, **kwargs)

    return call
