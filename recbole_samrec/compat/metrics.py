"""Patches of the metrics of recommended lists. ``recbole_metrics: True`` restores RecBole's values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.evaluator import metrics
from recbole.evaluator.collector import Collector

from recbole_samrec.compat import Patcher, recbole_patch
from recbole_samrec.data.item_counts import count_training_events, find_candidates, find_first_items
from recbole_samrec.evaluator import list_metrics

Lists = np.ndarray
"""The first K items of each list, 0 for places without one, shape ``[B, K]``."""
_CANDIDATES = "data.candidates"


@recbole_patch(
    "evaluator/collector.py 150; metrics.py ItemCoverage, GiniIndex",
    "the padding is counted as an item, and excluded items fill the lists of users with few candidates",
    silent=True,
)
def count_candidates_only(patch: Patcher) -> None:
    """Count neither the padding nor items that are not candidates."""
    collect = Collector.eval_batch_collect

    @wraps(collect)
    def collect_candidates(self: Any, scores_tensor: torch.Tensor, *batch: Any) -> None:
        collect(self, scores_tensor, *batch)
        if self.register.need("rec.items") and not self.config["recbole_metrics"]:
            added = self.data_struct["rec.items"][-len(scores_tensor) :]
            added.copy_(list_metrics.drop_excluded(added, scores_tensor))

    def coverage(self: Any, lists: Lists, data: Any) -> float:
        return list_metrics.compute_coverage(lists, _list_candidates(data))

    def gini(self: Any, lists: Lists, data: Any) -> float:
        return list_metrics.compute_gini(lists, _list_candidates(data))

    patch(Collector, "eval_batch_collect", collect_candidates)
    _compute_by(patch, metrics.ItemCoverage, coverage)
    _compute_by(patch, metrics.GiniIndex, gini)


@recbole_patch(
    "evaluator/collector.py 77; metrics.py AveragePopularity, TailPercentage",
    "the popularity of a sequential model misses each user's first event, and no item without training event is a "
    "tail item",
    silent=True,
)
def count_all_training_events(patch: Patcher) -> None:
    """Count every training event, including those that are not targets, and give every item its count."""
    build, collect = SequentialDataset.build, Collector.data_collect

    @wraps(build)
    def build_with_first_items(self: Any) -> list[Any]:
        users, items = (np.asarray(self.inter_feat[field]) for field in (self.uid_field, self.iid_field))
        parts = build(self)
        if self.benchmark_filename_list is None and not hasattr(parts[0], "first_items"):
            parts[0].first_items = find_first_items(users, items, parts)
        return parts

    @wraps(collect)
    def collect_counts(self: Any, train_data: Any) -> None:
        collect(self, train_data)
        if self.config["recbole_metrics"]:
            return
        if self.register.need("data.num_items") or self.register.need("data.count_items"):
            self.data_struct.set(_CANDIDATES, torch.from_numpy(find_candidates(train_data.dataset)))
        if self.register.need("data.count_items"):
            counts = count_training_events(train_data.dataset).tolist()
            self.data_struct.set("data.count_items", Counter(dict(enumerate(counts[1:], 1))))

    def popularity(self: Any, lists: Lists, data: Any) -> float:
        counts = _make_array(data.get("data.count_items"), int(lists.max(initial=0)))
        return list_metrics.average_over_lists(lists, counts)

    def tail(self: Any, lists: Lists, data: Any) -> float:
        candidates = data.get(_CANDIDATES).numpy()
        counts = _make_array(data.get("data.count_items"), len(candidates) - 1)
        in_tail = list_metrics.find_tail(counts, self.tail, candidates)
        return list_metrics.average_over_lists(lists, in_tail)

    patch(SequentialDataset, "build", build_with_first_items)
    patch(Collector, "data_collect", collect_counts)
    _compute_by(patch, metrics.AveragePopularity, popularity)
    _compute_by(patch, metrics.TailPercentage, tail)


@recbole_patch(
    "evaluator/metrics.py ShannonEntropy", "the entropy is divided by the number of recommended items", silent=True
)
def sum_entropy(patch: Patcher) -> None:
    """Compute the entropy itself, as a sum."""
    _compute_by(patch, metrics.ShannonEntropy, lambda self, lists, data: list_metrics.compute_entropy(lists))


def _compute_by(patch: Patcher, metric: Any, compute: Callable[[Any, Lists, Any], float]) -> None:
    """Replace the values of a metric by those of a function, unless ``recbole_metrics`` is set."""
    init, calculate = metric.__init__, metric.calculate_metric
    name = metric.__name__.lower()

    @wraps(init)
    def init_with_setting(self: Any, config: Any) -> None:
        init(self, config)
        self.recbole_metrics = config["recbole_metrics"]

    @wraps(calculate)
    def calculate_by_setting(self: Any, dataobject: Any) -> dict[str, float]:
        if self.recbole_metrics:
            return calculate(self, dataobject)
        lists = dataobject.get("rec.items").numpy()
        shown = getattr(metrics, "round", round)  # another patch keeps all digits there
        values = {k: compute(self, lists[:, :k], dataobject) for k in self.topk}
        return {f"{name}@{k}": shown(value, self.decimal_place) for k, value in values.items()}

    patch(metric, "__init__", init_with_setting)
    patch(metric, "calculate_metric", calculate_by_setting)


def _list_candidates(data: Any) -> np.ndarray:
    """List the items that may be recommended; without the patch that finds them, all are."""
    if _CANDIDATES in data:
        return np.asarray(data.get(_CANDIDATES))
    return np.arange(data.get("data.num_items")) > 0


def _make_array(counts: Any, last: int) -> np.ndarray:
    """Turn a counter of items into an array by item id; without the patch it lacks items without events."""
    return np.array([counts.get(item, 0) for item in range(max([*counts, last]) + 1)])
