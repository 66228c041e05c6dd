"""Test metrics of a run under noise on its weights and under changed test histories."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.data.interaction import Interaction
from recbole.utils import ModelType
from torch import Tensor, nn

from recbole_samrec.optim.random_state import RandomState
from recbole_samrec.quick_start.record import rename_metrics
from recbole_samrec.sharpness.finished_run import Solution
from recbole_samrec.sharpness.perturbations import CHANGES, replace_items

Progress = Callable[[int, int], None]
KINDS = ("dropped", "replaced", "swapped", "cut off")
"""Kinds of changes of the events of test histories."""
EVALUATION_SEED = 0
"""Seed of the sampled candidates of each evaluation, so that levels are comparable."""


def show_nothing(done: int, total: int) -> None:
    """Ignore the progress."""


def score_test_set(solution: Solution) -> dict[str, float]:
    """Score the test set with the current weights; where candidates are sampled, they are the same in each call."""
    with use_seed(EVALUATION_SEED, solution.trainer.device):
        return rename_metrics(solution.trainer.evaluate(solution.loaders[2], load_best_model=False)) or {}


@contextlib.contextmanager
def use_seed(seed: int, *devices: torch.device) -> Iterator[None]:
    """Seed all random generators, and restore the states of the CPU's and the devices' generators at the end."""
    before = RandomState.get(*devices)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        RandomState.set(before, *devices)


def measure_under_noise(
    solution: Solution, levels: Sequence[float], draws: int, seed: int = 0, progress: Progress = show_nothing
) -> pd.DataFrame:
    """Measure test metrics with Gaussian noise on all weights.

    The noise of a tensor has the tensor's own root mean square times the level as its standard deviation, so that it
    is the same share of small and of large weights. Embedding rows of padding stay as they are.

    Args:
        solution: The run.
        levels: The noise, as shares of the weights; 0 gives the recorded metrics where all items are ranked.
        draws: How often each level above 0 is drawn.
        seed: Decides the draws, which are the same for all runs of a model.
        progress: Called with the numbers of finished and of all evaluations.

    Returns:
        Columns ``level``, ``draw`` and the metrics.
    """
    todo = [(level, draw) for level in levels for draw in range(draws if level else 1)]
    lines = []
    for done, (level, draw) in enumerate(todo):
        generator = torch.Generator().manual_seed(seed + draw)
        with add_noise(solution.trainer.model, solution.weights, level, generator):
            lines.append({"level": level, "draw": draw, **score_test_set(solution)})
        progress(done + 1, len(todo))
    return pd.DataFrame(lines)


@contextlib.contextmanager
def add_noise(model: nn.Module, weights: Sequence[Tensor], level: float, generator: torch.Generator) -> Iterator[None]:
    """Add noise to weights, and restore them bit for bit at the end."""
    kept = [weight.detach().clone() for weight in weights]
    padding = {id(part.weight): part.padding_idx for part in model.modules() if isinstance(part, nn.Embedding)}
    try:
        with torch.no_grad():
            for weight in weights if level else ():
                noise = torch.randn(weight.shape, generator=generator, dtype=torch.float32).to(weight)
                if (row := padding.get(id(weight))) is not None:
                    noise[row] = 0
                weight.add_(noise, alpha=level * float(weight.square().mean().sqrt()))
        yield
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)


def reads_histories(solution: Solution) -> bool:
    """Return True if a model recommends from the history in its input rather than from the user's id."""
    return solution.trainer.config["MODEL_TYPE"] == ModelType.SEQUENTIAL


def measure_under_changes(
    solution: Solution,
    levels: Mapping[str, Sequence[float]],
    draws: int,
    seed: int = 0,
    progress: Progress = show_nothing,
) -> pd.DataFrame:
    """Measure test metrics with changed test histories.

    Args:
        solution: The run of a model that reads histories.
        levels: Shares of the events that are ``dropped``, ``replaced``, ``swapped`` or ``cut off``; 0 gives the
            recorded metrics where all items are ranked.
        draws: How often each share above 0 is drawn; cutting draws nothing and is done once.
        seed: Decides the draws, which are the same for all runs on a data set.
        progress: Called with the numbers of finished and of all evaluations.

    Returns:
        Columns ``change``, ``level``, ``draw`` and the metrics.
    """
    once = {0.0}
    todo = [
        (change, level, draw)
        for change, shares in levels.items()
        for level in shares
        for draw in range(1 if level in once or change == "cut off" else draws)
    ]
    lines = []
    for done, (change, level, draw) in enumerate(todo):
        generator = torch.Generator().manual_seed(seed + draw)
        with change_histories(solution, change, level, generator):
            lines.append({"change": change, "level": level, "draw": draw, **score_test_set(solution)})
        progress(done + 1, len(todo))
    return pd.DataFrame(lines)


@contextlib.contextmanager
def change_histories(solution: Solution, change: str, level: float, generator: torch.Generator) -> Iterator[None]:
    """Change the histories of the test set, and restore them at the end."""
    data = solution.loaders[2]._dataset
    kept = data.inter_feat
    try:
        if level:
            data.inter_feat = _change_events(solution, kept, change, level, generator)
        yield
    finally:
        data.inter_feat = kept


def _change_events(solution: Solution, test: Any, change: str, level: float, generator: torch.Generator) -> Interaction:
    model = solution.trainer.model
    items, lengths = test[model.ITEM_SEQ], test[model.ITEM_SEQ_LEN]
    fields = dict(test.interaction)
    if change == "replaced":
        fields[model.ITEM_SEQ] = replace_items(items, lengths, level, model.n_items, generator)
        return Interaction(fields)
    order, left = CHANGES[change](lengths, items.size(1), level, generator)
    there = torch.arange(items.size(1)) < left.unsqueeze(1)
    suffix = solution.trainer.config["LIST_SUFFIX"]
    for name, values in fields.items():
        if name.endswith(suffix) and values.shape[:2] == items.shape:
            mask, index = there, order
            for _ in range(values.dim() - 2):
                mask, index = mask.unsqueeze(-1), index.unsqueeze(-1)
            moved = values.gather(1, index.expand_as(values))
            fields[name] = torch.where(mask, moved, torch.zeros_like(moved))
    fields[model.ITEM_SEQ_LEN] = left
    return Interaction(fields)
