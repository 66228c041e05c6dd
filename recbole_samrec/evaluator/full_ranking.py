"""Full rankings within a memory budget: batches are scored in parts, and only the input of the metrics is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from recbole.evaluator.collector import Collector
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import ModelType

from recbole_samrec.evaluator.list_metrics import drop_excluded
from recbole_samrec.utils.device_memory import measure_budget

ALL_SCORES = ("rec.meanrank", "rec.score", "data.label")
"""Fields of RecBole's collector that need all scores of a sample, or labels, and not only its best items."""

MEGABYTE = 2**20
CPU_BUDGET = 256
"""Megabytes of a full ranking on a CPU, if ``eval_memory`` is not set."""
GPU_SHARE = 1 / 32
"""Share of a GPU's memory, likewise: 256 MB on one of 8 GB."""
SCORE, SORTED = 4, 100
"""Bytes for each score: of the score itself, and of all that RecBole makes to rank every item of a sample."""
ALIVE = 8
"""Number of tensors of a model's widest layer that exist at the same time; parts that fit a cache are also faster."""


class RankingCollector(Collector):
    """RecBole's collector, which finds the best items of each sample once, without further tensors of the scores' size.

    Metrics that need more than the best items, such as GAUC, are computed as RecBole does.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._counted: Any = None

    @property
    def sorts_samples(self) -> bool:
        """True if a metric needs more of a sample than its best items."""
        return any(map(self.register.need, ALL_SCORES))

    def data_collect(self, train_data: Any) -> None:
        """Count what the metrics require of the training data, once for all evaluations."""
        if train_data is not self._counted:
            super().data_collect(train_data)
            self._counted = train_data

    def eval_batch_collect(
        self, scores_tensor: torch.Tensor, interaction: Any, positive_u: torch.Tensor, positive_i: torch.Tensor
    ) -> None:
        """Collect what the metrics need of a batch.

        Args:
            scores_tensor: Scores of all items, shape ``[B, items]``.
            interaction: The batch.
            positive_u: Index of the sample of each item to be found, shape ``[T]``.
            positive_i: The items to be found, shape ``[T]``.
        """
        if self.sorts_samples:
            super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
            return
        best = torch.topk(scores_tensor, max(self.topk), dim=-1).indices
        if self.register.need("rec.items"):
            items = best if self.config["recbole_metrics"] else drop_excluded(best, scores_tensor)
            self.data_struct.update_tensor("rec.items", items)
        if self.register.need("rec.topk"):
            self.data_struct.update_tensor("rec.topk", mark_hits(best, positive_u, positive_i, scores_tensor.size(-1)))


def mark_hits(best: torch.Tensor, positive_u: torch.Tensor, positive_i: torch.Tensor, n_items: int) -> torch.Tensor:
    """Mark the targets among the best items of each sample, and count the targets.

    Args:
        best: The best items of each sample, shape ``[B, K]``.
        positive_u: Index of the sample of each item to be found, shape ``[T]``.
        positive_i: The items to be found, shape ``[T]``; one that occurs twice in a sample counts once.
        n_items: Number of items, with the padding item.

    Returns:
        Shape ``[B, K + 1]``: 1 where an item is to be found, else 0; then the sample's number of items to find.
    """
    samples = torch.arange(len(best), device=best.device).unsqueeze(1)
    wanted = torch.unique(positive_u.to(best.device) * n_items + positive_i.to(best.device))
    found = torch.isin(samples * n_items + best, wanted).long()
    number = torch.bincount(wanted // n_items, minlength=len(best))
    return torch.cat((found, number.unsqueeze(1)), dim=1)


def split_batch(batch: tuple, size: int) -> Iterator[tuple]:
    """Split a batch of a full ranking into smaller ones.

    Args:
        batch: A batch of RecBole's loader: the interaction; samples and items that are masked, or None; samples and
            items to be found.
        size: Largest number of samples of a part.

    Yields:
        Batches of the same form, in order.
    """
    interaction, masked, positive_u, positive_i = batch
    if len(interaction) <= size:
        yield batch
        return
    for start in range(0, len(interaction), size):
        part = slice(start, start + size)
        past = None if masked is None else _select_part(part, *masked)
        yield (interaction[part], past, *_select_part(part, positive_u, positive_i))


def _select_part(part: slice, rows: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    chosen = (rows >= part.start) & (rows < part.stop)
    return rows[chosen] - part.start, items[chosen]


def fit_batch_size(
    config: Any, model: AbstractRecommender, n_items: int, inputs: Sequence[Any] = (), sorts_samples: bool = False
) -> int:
    """Return the largest number of samples whose scores and intermediate tensors fit in ``eval_memory``.

    The tensors are estimated: for a sequence, the widest layer or the attention of the model a few times; for a model
    that only scores pairs of user and item, all its inputs, once for each item.

    Args:
        config: RecBole's configuration.
        model: The model.
        n_items: Number of items, with the padding item.
        inputs: RecBole interactions that are repeated for each item where the model only scores pairs.
        sorts_samples: Whether metrics need all items of each sample sorted.

    Returns:
        At least 1, whatever the budget.
    """
    size = n_items * (SORTED if sorts_samples else SCORE)
    if type(model).full_sort_predict is AbstractRecommender.full_sort_predict:
        size = max(size, n_items * sum(_sample_bytes(one) for one in inputs))
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        length = config["MAX_ITEM_LIST_LENGTH"]
        sizes = [config[key] for key in ("hidden_size", "inner_size", "embedding_size")]
        widths = [size for size in sizes if isinstance(size, int)] + [length * (config["n_heads"] or 0)]
        size = max(size, ALIVE * 4 * length * max(widths))
    return max(1, int(_find_budget(config) / size))


def _find_budget(config: Any) -> float:
    """Return the bytes that the scores of a full ranking may take at a time."""
    if config["eval_memory"] is not None:
        return float(config["eval_memory"] * MEGABYTE)
    return measure_budget(torch.device(config["device"]), GPU_SHARE) or CPU_BUDGET * MEGABYTE


def _sample_bytes(interaction: Any) -> int:
    return sum(column[:1].numel() * column.element_size() for column in interaction.interaction.values())
