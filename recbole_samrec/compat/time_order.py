"""Patches of the time order: exact values, ties in file order.

RecBole converts timestamps to float32, whose steps at today's Unix seconds are 128 seconds, and sorts afterwards. Here
the exact values are stored beside the interactions, by row label, when they are read, and the frame is sorted by them
before it becomes tensors. All later sorts are stable and rounding is monotone, so this order is kept. The stored
timestamps do not change. ``exact_time_order: False`` restores RecBole's order.
"""

from __future__ import annotations

import inspect
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.utils import FeatureType

from recbole_samrec.compat import Patcher, recbole_patch
from recbole_samrec.data.exact_times import as_floats, read_exact_times
from recbole_samrec.data.temporal_options import GTS

_STORED = "stored_time_before_split"


@recbole_patch(
    "data/dataset/dataset.py 1220, 1820", "timestamps are rounded to float32 before they are sorted", silent=True
)
def sort_by_exact_time(patch: Patcher) -> None:
    load, reset_index = Dataset._load_data, Dataset._reset_index
    to_tensors, augment = Dataset._change_feat_format, SequentialDataset._change_feat_format

    @wraps(load)
    def load_and_keep_times(self: Dataset, token: str, dataset_path: str) -> None:
        load(self, token, dataset_path)
        if _wants_exact_order(self):
            self._exact_times = _read_times(self, Path(dataset_path) / f"{token}.inter")

    @wraps(reset_index)
    def reset_index_and_follow(self: Dataset) -> None:
        times = _look_up_times(self)
        reset_index(self)
        if times is not None:
            self._exact_times = times.reset_index(drop=True)

    @wraps(to_tensors)
    def order_and_to_tensors(self: Dataset) -> None:
        _order_frame(self)
        to_tensors(self)

    @wraps(augment)
    def augment_and_order(self: SequentialDataset) -> None:
        augment(self)
        _order_augmented(self)

    patch(Dataset, "_load_data", load_and_keep_times)
    patch(Dataset, "_reset_index", reset_index_and_follow)
    patch(Dataset, "_change_feat_format", order_and_to_tensors)
    patch(SequentialDataset, "_change_feat_format", augment_and_order)


def _wants_exact_order(dataset: Dataset) -> bool:
    """Return True if the interactions will be sorted by a numerical time."""
    return (
        dataset.config["exact_time_order"] is not False
        and dataset.config["eval_args"]["order"] == "TO"
        and dataset.benchmark_filename_list is None
        and dataset.time_field in dataset.inter_feat
        and dataset.field2type[dataset.time_field] == FeatureType.FLOAT
    )


def _read_times(dataset: Dataset, path: Path) -> pd.Series:
    """Read the interactions' times by row label."""
    config, times = dataset.config, dataset.inter_feat[dataset.time_field].copy()
    column = f"{dataset.time_field}:float"
    return read_exact_times(path, column, times, config["field_separator"], config["encoding"])


def _look_up_times(dataset: Dataset) -> pd.Series | None:
    """Return the exact times of the remaining interactions, before any value was changed; None if none were stored.

    If a user's own data set class has changed rows or times, its column is the exact time.
    """
    times = getattr(dataset, "_exact_times", None)
    if times is None or dataset.time_field not in dataset.inter_feat:
        return None
    column = dataset.inter_feat[dataset.time_field]
    if column.index.is_unique and column.index.isin(times.index).all():
        kept = times.loc[column.index]
        if np.array_equal(as_floats(kept), as_floats(column), equal_nan=True):
            return kept
    return column.copy()


def _order_frame(dataset: Dataset) -> None:
    """Sort the interactions stably by exact time, and store each row's user and time in that order."""
    times = dataset.__dict__.pop("_exact_times", None)
    if times is None or dataset.time_field not in dataset.inter_feat:
        return
    frame = dataset.inter_feat
    if not frame.index.is_unique or not frame.index.isin(times.index).all():
        dataset.logger.warning(
            f"Data set [{dataset.dataset_name}]: {type(dataset).__name__} added rows after filtering, so their "
            f"exact times are unknown and float32 decides their order. Add the rows before `_reset_index`."
        )
        return
    times = times.loc[frame.index]
    mean = np.nanmean(as_floats(times)) if times.notna().any() else 0
    if times.dtype == "Int64":
        times = times.fillna(round(mean)).to_numpy(dtype=np.int64)
    else:
        times = times.fillna(mean).to_numpy()
    order = np.argsort(times, kind="stable")
    dataset.inter_feat = frame.iloc[order].reset_index(drop=True)
    if isinstance(dataset, SequentialDataset) or _splits_by_time(dataset):
        users = dataset.inter_feat.get(dataset.uid_field)
        dataset._exact_order = pd.DataFrame({"time": times[order], "user": users})


def _splits_by_time(dataset: Dataset) -> bool:
    return not {"TS", GTS}.isdisjoint(dataset.config["eval_args"]["split"] or {})


def _order_augmented(dataset: SequentialDataset) -> None:
    """Sort the samples of a sequential data set, one for each event but a user's first, by exact time."""
    events = dataset.__dict__.pop("_exact_order", None)
    if events is None:
        return
    events = events.sort_values("user", kind="stable")
    events = events[events["user"].duplicated()]
    if not np.array_equal(events["user"], dataset.inter_feat[dataset.uid_field].numpy()):
        dataset.logger.warning(
            f"Data set [{dataset.dataset_name}]: {type(dataset).__name__} does not make one sample for each event but "
            f"a user's first, so float32 times decide the order of different users' samples, and a time split (TS). "
            f"Make one sample per event to keep the exact order."
        )
        return
    order = np.argsort(events.index, kind="stable")
    if not np.array_equal(order, np.arange(order.size)):
        dataset.inter_feat._reindex(torch.from_numpy(order))
    if _splits_by_time(dataset):
        dataset._exact_order = events.iloc[order]


@recbole_patch(
    "data/dataset/dataset.py 1740-1777", "the boundary and comparison of a time split are in float32", silent=True
)
def split_by_exact_time(patch: Patcher) -> None:
    split = Dataset.time_based_split

    @wraps(split)
    def split_by_exact_times(self: Dataset, ratios: list[float], group_by: str) -> list[Dataset]:
        events = self.__dict__.pop("_exact_order", None)
        time = self.time_field
        if events is None or time not in self.inter_feat:
            return split(self, ratios, group_by)
        if not np.array_equal(events["user"], self.inter_feat[self.uid_field].numpy()):
            self.logger.warning(
                f"Data set [{self.dataset_name}]: {type(self).__name__} changed the order of its samples, so the time "
                f"split (TS) uses float32 times. Keep the samples in time order."
            )
            return split(self, ratios, group_by)
        # The stored column is kept under another name during the split, and restored in every part.
        self.inter_feat[_STORED] = self.inter_feat[time]
        self.inter_feat[time] = torch.from_numpy(events["time"].to_numpy(dtype=np.float64, copy=True))
        parts = split(self, ratios, group_by)
        for part in [self, *parts]:
            stored = part.inter_feat[_STORED]
            del part.inter_feat[_STORED]
            if time in part.inter_feat:
                part.inter_feat[time] = stored
        return parts

    patch(Dataset, "time_based_split", split_by_exact_times)


@recbole_patch(
    "data/dataset/dataset.py 853", "rm_dup_inter sorts unstably: which duplicate stays is arbitrary", silent=True
)
def remove_duplicates_stably(patch: Patcher) -> None:
    if 'kind="stable"' not in inspect.getsource(Dataset._remove_duplication):
        patch(Dataset, "_remove_duplication", _remove_duplication)


def _remove_duplication(self: Dataset) -> None:
    """Keep a user's first or last interaction with an item, by exact time, ties in file order."""
    keep: Any = self.config["rm_dup_inter"]
    if keep is None:
        return
    self._check_field("uid_field", "iid_field")
    feat = self.inter_feat
    if self.time_field in feat:
        times = _look_up_times(self)
        times = feat[self.time_field] if times is None else times
        feat = feat.iloc[times.reset_index(drop=True).sort_values(kind="stable").index]
        self.logger.info(f"Sorted the interactions by [{self.time_field}] to remove duplicates.")
    else:
        self.logger.warning(
            f"rm_dup_inter: {keep} uses the order of the lines, because [{self.time_field}] is not loaded. "
            f"Name the column of times in TIME_FIELD, or add it to load_col."
        )
    self.inter_feat = feat.drop_duplicates(subset=[self.uid_field, self.iid_field], keep=keep)
