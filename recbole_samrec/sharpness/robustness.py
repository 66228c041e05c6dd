"""How the test metrics of a run fall when its weights or the test histories are disturbed."""

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

from recbole_samrec.optim.state_snapshot import RandomState
from recbole_samrec.quick_start.record import rename_metrics
from recbole_samrec.sharpness.finished_run import Solution
from recbole_samrec.sharpness.perturbations import CHANGES, replaced

Progress = Callable[[int, int], None]
KINDS = ("dropped", "replaced", "swapped", "cut off")
"""What may happen to the events of test histories."""
EVALUATION_SEED = 0
"""From it the items are drawn that a test item is ranked among, before each evaluation, so that levels compare."""


def silent(done: int, total: int) -> None:
    """Nobody listens."""


def test_metrics(solution: Solution) -> dict[str, float]:
    """The metrics of the test set with the weights as they are; items that are sampled to rank among are the same."""
    with drawing_from(EVALUATION_SEED):
        return rename_metrics(solution.trainer.evaluate(solution.loaders[2], load_best_model=False)) or {}


@contextlib.contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Random numbers from a seed, after which all generators go on where they were."""
    before = RandomState.get()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        RandomState.set(before)


def under_noise(
    solution: Solution, levels: Sequence[float], draws: int, seed: int = 0, progress: Progress = silent
) -> pd.DataFrame:
    """Test metrics with Gaussian noise on all weights.

    The noise of a tensor has the tensor's own root mean square times the level as its standard deviation, so that it
    is the same share of small and of large weights. Rows of padding stay as they are.

    Args:
        solution: The run.
        levels: The noise, as shares of the weights; 0 gives the recorded metrics where all items are ranked.
        draws: How often each level above 0 is drawn.
        seed: Decides the draws, which are the same for all runs of a model.
        progress: Is told how many evaluations of how many are done.

    Returns:
        Columns ``level``, ``draw`` and the metrics.
    """
    todo = [(level, draw) for level in levels for draw in range(draws if level else 1)]
    lines = []
    for done, (level, draw) in enumerate(todo):
        generator = torch.Generator().manual_seed(seed + draw)
        with noisy(solution.trainer.model, solution.weights, level, generator):
            lines.append({"level": level, "draw": draw, **test_metrics(solution)})
        progress(done + 1, len(todo))
    return pd.DataFrame(lines)


@contextlib.contextmanager
def noisy(model: nn.Module, weights: Sequence[Tensor], level: float, generator: torch.Generator) -> Iterator[None]:
    """Weights with noise, put back bit for bit at the end."""
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
    """Whether a model recommends by the history that it is given, rather than by what it knows of a user."""
    return solution.trainer.config["MODEL_TYPE"] == ModelType.SEQUENTIAL


def under_changes(
    solution: Solution,
    levels: Mapping[str, Sequence[float]],
    draws: int,
    seed: int = 0,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Test metrics with test histories that are disturbed.

    Args:
        solution: The run of a model that reads histories.
        levels: Shares of the events that are ``dropped``, ``replaced``, ``swapped`` or ``cut off``; 0 gives the
            recorded metrics where all items are ranked.
        draws: How often each share above 0 is drawn; cutting draws nothing and is done once.
        seed: Decides the draws, which are the same for all runs on a data set.
        progress: Is told how many evaluations of how many are done.

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
        with disturbed(solution, change, level, generator):
            lines.append({"change": change, "level": level, "draw": draw, **test_metrics(solution)})
        progress(done + 1, len(todo))
    return pd.DataFrame(lines)


@contextlib.contextmanager
def disturbed(solution: Solution, change: str, level: float, generator: torch.Generator) -> Iterator[None]:
    """A test set whose histories are changed, put back at the end."""
    data = solution.loaders[2]._dataset
    kept = data.inter_feat
    try:
        if level:
            data.inter_feat = _changed(solution, kept, change, level, generator)
        yield
    finally:
        data.inter_feat = kept


def _changed(solution: Solution, test: Any, change: str, level: float, generator: torch.Generator) -> Interaction:
    model = solution.trainer.model
    items, lengths = test[model.ITEM_SEQ], test[model.ITEM_SEQ_LEN]
    fields = dict(test.interaction)
    if change == "replaced":
        fields[model.ITEM_SEQ] = replaced(items, lengths, level, model.n_items, generator)
        return Interaction(fields)
    order, left = CHANGES[change](lengths, items.size(1), level, generator)
    there = torch.arange(items.size(1)) < left.unsqueeze(1)
    suffix = solution.trainer.config["LIST_SUFFIX"]
    for name, rows in fields.items():
        if name.endswith(suffix) and rows.shape[:2] == items.shape:
            mask, index = there, order
            for _ in range(rows.dim() - 2):
                mask, index = mask.unsqueeze(-1), index.unsqueeze(-1)
            moved = rows.gather(1, index.expand_as(rows))
            fields[name] = torch.where(mask, moved, torch.zeros_like(moved))
    fields[model.ITEM_SEQ_LEN] = left
    return Interaction(fields)
