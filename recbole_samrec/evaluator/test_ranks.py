"""The rank of every test item in its full ranking, which a run writes next to its record.

Other metrics, cut-offs, groups and significance tests are computed from the ranks, without training again. The file
contains no ids of users or items, as data sets may not be redistributed. Runs with equal ``test`` ranked the same items
for the same users, in the same order.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recbole_samrec.data.temporal_held import find_held
from recbole_samrec.evaluator.history_mask import count_earlier
from recbole_samrec.evaluator.user_metrics import AT_ONCE, ONE_BY_ONE
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import DataError

RANKS = "ranks.npz"
COLUMNS = ("rank", "masked_rank", "history", "popularity")
INDEX = ("user", "event")
"""Columns that files of earlier versions do not have."""


@dataclass(frozen=True)
class Ranks:
    """The rank of the item of each test event in its full ranking.

    Args:
        frame: One line per event, in the order of the users' names. ``rank`` counts from 1; ``masked_rank`` is the
            rank with the items masked that the user had before; ``history`` is the number of events before it;
            ``popularity`` is how often the item occurs before validation and test, or, of a global temporal split,
            among the training events; ``user`` is the number of the user
            and ``event`` that of the event among the user's test events in the order of their prediction, both from 0.
            A file of an earlier version has no ``user`` and ``event``.
        test: Hash of the users and items that were ranked.
        prediction: Whether the test events of a user were predicted one by one, each from the events before it, or at
            once; see :mod:`recbole_samrec.evaluator.user_metrics`.
    """

    frame: pd.DataFrame
    test: str
    prediction: str = ONE_BY_ONE

    def save(self, path: Path) -> None:
        """Write the ranks as a compressed ``.npz`` file."""
        with checkpoint_io.open_atomically(path) as file:
            texts = {"test": np.array(self.test), "prediction": np.array(self.prediction)}
            columns = {name: self.frame[name].to_numpy(np.int32) for name in (*COLUMNS, *INDEX)}
            arrays: dict[str, Any] = texts | columns
            np.savez_compressed(file, **arrays)


def load_ranks(path: Path) -> Ranks:
    """Read the ranks of a run, without running code.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = COLUMNS + INDEX if "user" in arrays else COLUMNS
            frame = pd.DataFrame({name: arrays[name] for name in names})
            return Ranks(frame, str(arrays["test"]), str(arrays.get("prediction", ONE_BY_ONE)))
    except Exception as error:  # zip, zlib and numpy each raise their own error for a damaged file
        raise DataError(
            f"{path}: these are no ranks of a run ({type(error).__name__}: {error}); remove it, and compare trains the "
            f"run again: rm {shlex.quote(str(path))}"
        ) from error


class RankRecorder:
    """Collects ranks while a test set is scored batch by batch.

    Args:
        best: Length of the lists that the metrics look at. Where items have the same score, an item on such a list has
            the place that it has there, so that the ranks give the very metrics that were reported.
    """

    def __init__(self, best: int) -> None:
        self._best = best
        self._columns: list[tuple[Tensor, ...]] = []
        self._samples = 0

    def record(self, users: Tensor, scores: Tensor, masked: Tensor, rows: Tensor, items: Tensor) -> None:
        """Store the ranks of the items of a batch.

        Args:
            users: User of each sample, shape ``[B]``.
            scores: Scores of all items, shape ``[B, items]``.
            masked: The same, with minus infinity for the items that the user had before.
            rows: Index in ``scores`` of the sample of each item to be found, shape ``[T]``.
            items: The items to be found, shape ``[T]``.
        """
        both = (find_ranks(kind, rows, items, self._best) for kind in (scores, masked))
        columns = (self._samples + rows.cpu(), users.cpu()[rows.cpu()], items, *both)
        self._columns.append(tuple(column.cpu() for column in columns))
        self._samples += len(users)

    def gather(self) -> None:
        """Gather the ranks of all processes of a run; each of ``n`` processes has every ``n``-th sample."""
        world = torch.distributed.get_world_size()
        shares: list[Any] = [None] * world
        torch.distributed.all_gather_object(shares, self._columns)
        self._columns = [
            (sample * world + rank, *columns) for rank, share in enumerate(shares) for sample, *columns in share
        ]

    def ranks(self, dataset: Any, events: Events, held_out: list[Any], prediction: str) -> Ranks:
        """Return the collected ranks.

        Args:
            dataset: RecBole's data set, with the names of users and items.
            events: All events of the data set.
            held_out: RecBole's data sets of validation and test.
            prediction: Whether the test events of a user were predicted one by one or at once.
        """
        collected = (torch.cat(column).numpy() for column in zip(*self._columns, strict=True))
        sample, users, items, rank, masked = collected
        names, titles = (dataset.field2id_token[field] for field in (dataset.uid_field, dataset.iid_field))
        order = np.lexsort((sample, titles[items].astype(str), names[users].astype(str)))
        sample, users, items, rank, masked = (column[order] for column in (sample, users, items, rank, masked))
        event = np.empty(len(users), dtype=np.int64)
        in_time = np.argsort(sample, kind="stable")
        event[in_time] = count_earlier(users[in_time])
        held = find_held(held_out[-1])
        if held is not None:
            before, popularity = held.lengths[sample], held.training_counts
        else:
            test = [part.inter_feat[dataset.uid_field].numpy() for part in held_out[-1:]]
            of_held = [part.inter_feat[dataset.iid_field].numpy() for part in held_out]
            history = events.of_users - np.bincount(np.concatenate(test), minlength=len(events.of_users))
            popularity = events.of_items - np.bincount(np.concatenate(of_held), minlength=len(events.of_items))
            before = history[users] + (0 if prediction == AT_ONCE else event)
        number = np.cumsum(np.diff(users, prepend=users[:1]) != 0)
        columns = (rank, masked, before, popularity[items], number, event)
        frame = pd.DataFrame(dict(zip((*COLUMNS, *INDEX), columns, strict=True)))
        digest = hashlib.sha256()
        for user, item in zip(names[users], titles[items], strict=True):
            digest.update(f"{user}\t{item}\n".encode())
        return Ranks(frame, digest.hexdigest(), prediction)


@dataclass(frozen=True)
class Events:
    """Number of events of each user and each item of a data set.

    Args:
        of_users: Shape ``[users]``, by RecBole's ids.
        of_items: Shape ``[items]``.
    """

    of_users: np.ndarray
    of_items: np.ndarray

    @classmethod
    def count(cls, dataset: Any) -> Events:
        """Count the events of a RecBole data set that is not split yet."""
        counts = []
        for field, number in ((dataset.uid_field, dataset.user_num), (dataset.iid_field, dataset.item_num)):
            counts.append(np.bincount(np.asarray(dataset.inter_feat[field]), minlength=number))
        return cls(*counts)


def find_ranks(scores: Tensor, rows: Tensor, items: Tensor, best: int) -> Tensor:
    """Return the ranks of items in full rankings, counted from 1.

    Args:
        scores: Scores of all items, shape ``[B, items]``.
        rows: Index in ``scores`` of the sample of each item to be found, shape ``[T]``.
        items: The items to be found, shape ``[T]``.
        best: Length of the list of best items that metrics look at. An item on it has its place there; of the others
            with the same score half are taken to come before it.

    Returns:
        Integers ``[T]``.
    """
    rows, items = rows.to(scores.device), items.to(scores.device)
    listed = torch.topk(scores, min(best, scores.size(1)), dim=-1).indices[rows] == items.unsqueeze(1)
    own = scores[rows, items].unsqueeze(1)
    ahead = (scores[rows] > own).sum(1) + (scores[rows] == own).sum(1).sub(1).div(2, rounding_mode="floor")
    behind_list = torch.clamp(ahead, min=listed.size(1)) + 1
    return torch.where(listed.any(1), listed.long().argmax(1) + 1, behind_list)
