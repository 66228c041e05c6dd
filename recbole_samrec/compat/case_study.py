"""Patch of RecBole's functions for case studies: one row of scores for each requested user, or an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.utils import case_study

from recbole_samrec.compat import Patcher, recbole_patch
from recbole_samrec.data.known_history import scores_histories
from recbole_samrec.utils.errors import ConfigError, DataError
from recbole_samrec.utils.naming import list_some

SHOWN = 5
"""Largest number of users that an error names."""


@recbole_patch(
    "utils/case_study.py full_sort_scores, full_sort_topk",
    "users without a test row are dropped and users with several have several rows, so rows are assigned to the "
    "wrong users",
    silent=True,
)
def return_one_row_per_user(patch: Patcher) -> None:
    """Check that each requested user has one test row before RecBole scores them."""
    original = case_study.full_sort_scores
    patch.replace_everywhere(original, score_each_user_once(original))


def score_each_user_once(score: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Wrap RecBole's ``full_sort_scores``; arguments and result stay the same."""

    @wraps(score)
    def full_sort_scores(uid_series: Any, model: Any, test_data: Any, device: Any = None) -> torch.Tensor:
        if scores_histories(model):
            name = type(model).__name__
            raise ConfigError(f"full_sort_scores, full_sort_topk: {name} scores histories; use recommend for its runs")
        users = _read_users(uid_series, test_data)
        if len(users) == 0:
            return torch.empty((0, test_data.dataset.item_num), device=device)
        _check_rows(users, test_data)
        return score(users, model, test_data, device)

    return full_sort_scores


def _read_users(uid_series: Any, test_data: Any) -> np.ndarray:
    """Return the requested users' internal ids, shape ``[B]``.

    Raises:
        DataError: The loader does not rank all items, or an id is not that of a user.
    """
    if not isinstance(test_data, FullSortEvalDataLoader):
        raise DataError("full_sort_scores, full_sort_topk: needs a test loader with eval_args mode 'full'")
    given = uid_series.cpu() if isinstance(uid_series, torch.Tensor) else uid_series
    users = np.atleast_1d(np.asarray(given))
    if users.size == 0:
        return np.empty(0, dtype=np.int64)
    if users.ndim != 1 or not np.issubdtype(users.dtype, np.integer):
        raise DataError(
            f"full_sort_scores, full_sort_topk: users must be internal ids, not {users.flat[0]!r}; convert them with "
            f"dataset.token2id('{test_data.dataset.uid_field}', users)"
        )
    unknown = users[(users < 1) | (users >= test_data.dataset.user_num)]
    if len(unknown):
        raise DataError(
            f"full_sort_scores, full_sort_topk: no user has the internal id {unknown[0]}; the ids are "
            f"1 to {test_data.dataset.user_num - 1}"
        )
    return users.astype(np.int64)


def _check_rows(users: np.ndarray, test_data: Any) -> None:
    """Check that each user has one test row.

    Raises:
        DataError: Names the users that have none, or several.
    """
    dataset = test_data.dataset
    rows = np.bincount(dataset.inter_feat[dataset.uid_field].numpy(), minlength=dataset.user_num)
    missing, repeated = users[rows[users] == 0], users[rows[users] > 1]
    if len(missing):
        raise DataError(
            f"full_sort_scores, full_sort_topk: no test row for {_name_users(missing, dataset)}; request only users "
            "with a test event, or use recommend, which serves all users"
        )
    if test_data.is_sequential and len(repeated):  # a general model has one row for all test events of a user
        raise DataError(
            f"full_sort_scores, full_sort_topk: several test rows for {_name_users(repeated, dataset)}, one per test "
            "event; use a leave-one-out split (LS), or use recommend, which has one list per user"
        )


def _name_users(users: Sequence[int] | np.ndarray, dataset: Any) -> str:
    """Return some of the users as they are named in the data set."""
    tokens = list(dict.fromkeys(dataset.field2id_token[dataset.uid_field][users]))
    return f"user{'s' if len(tokens) > 1 else ''} {list_some(tokens, SHOWN)}"
