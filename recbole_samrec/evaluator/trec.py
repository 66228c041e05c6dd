"""Rankings and test items in TREC's formats, which evaluation tools of information retrieval read.

A line of a run file is ``query Q0 item rank score tag``; a line of a qrels file is ``query 0 item 1``. Evaluation tools
sort by score, so equal scores are separated by the smallest steps of float32. Each item then has the same place as in
the lists of our metrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor

from recbole_samrec.evaluator.history_mask import count_earlier

_BLANK = re.compile(r"[\s%]")


def find_best(scores: Tensor, k: int, listed: int) -> tuple[Tensor, Tensor]:
    """Find the best items, in the order that the metrics use, and the items after them.

    Args:
        scores: Scores of all items, shape ``[B, items]``.
        k: Number of items of each sample.
        listed: Length of the metrics' lists, by which the order of equal scores is decided.

    Returns:
        Items and their scores, best first, each of shape ``[B, k]``; items that are not candidates have the score -inf.
    """
    best = torch.topk(scores, min(listed, scores.size(1)), dim=-1)
    items, values = best.indices, best.values
    if k > items.size(1):
        others = scores.scatter(1, items, -torch.inf)
        more = torch.topk(others, min(k, scores.size(1)) - items.size(1), dim=-1)
        items, values = torch.cat((items, more.indices), 1), torch.cat((values, more.values), 1)
    return items[:, :k], values[:, :k]


def separate_scores(scores: np.ndarray) -> np.ndarray:
    """Make scores strictly descending in each row by the smallest steps of float32.

    Args:
        scores: Scores in descending order, shape ``[B, k]``.
    """
    separate = scores.astype(np.float32)
    for place in range(1, separate.shape[1]):
        below = np.nextafter(separate[:, place - 1], np.float32(-np.inf))
        separate[:, place] = np.minimum(separate[:, place], below)
    return separate


def encode_id(token: object) -> str:
    """Write an id as one word: spaces and percent signs become ``%20`` and ``%25``, as in URLs."""
    return _BLANK.sub(lambda found: quote(found[0], safe=""), str(token))


def name_queries(users: np.ndarray, names: np.ndarray) -> list[str]:
    """Name the queries of samples: the user's id, followed by the number of the event if a user has several.

    Args:
        users: User of each sample, in the order of their prediction, shape ``[S]``.
        names: Ids of the users, by number.
    """
    numbers = count_earlier(users)
    several = bool(numbers.any())
    return [
        f"{encode_id(names[user])}/{event}" if several else encode_id(names[user])
        for user, event in zip(users, numbers, strict=True)
    ]


def format_run(queries: list[str], items: np.ndarray, scores: np.ndarray, names: np.ndarray, tag: str) -> Iterator[str]:
    """Format the lines of a run file.

    Args:
        queries: Names of the queries, ``S`` of them.
        items: The best items of each, shape ``[S, k]``.
        scores: Their scores, strictly descending, shape ``[S, k]``; items with -inf are left out.
        names: Ids of the items, by number.
        tag: Name of the run.
    """
    words = [encode_id(name) for name in names]
    for query, row, values in zip(queries, items, scores, strict=True):
        for rank, (item, score) in enumerate(zip(row, values, strict=True), 1):
            if np.isfinite(score):
                yield f"{query} Q0 {words[item]} {rank} {score!s} {tag}\n"


def format_qrels(queries: list[str], samples: np.ndarray, items: np.ndarray, names: np.ndarray) -> Iterator[str]:
    """Format the lines of a qrels file.

    Args:
        queries: Names of the queries.
        samples: Number of the query of each item to be found, shape ``[T]``.
        items: The items to be found, shape ``[T]``; one that occurs twice in a query is written once.
        names: Ids of the items, by number.
    """
    for sample, item in dict.fromkeys(zip(samples.tolist(), items.tolist(), strict=True)):
        yield f"{queries[sample]} 0 {encode_id(names[item])} 1\n"
