"""Comparison of the files of two runs."""

from pathlib import Path

import numpy as np
import scipy.sparse
import torch

from recbole_samrec.utils import checkpoint_io

TIMES = ("config", "elapsed", "cpu_elapsed", "seconds", "pretraining")


def same(one, other) -> bool:
    """Return True if two values, which may be nested, are equal to the last bit."""
    if isinstance(one, torch.Tensor):
        if one.is_sparse:
            one, other = one.coalesce(), other.coalesce()
            return same(one.indices(), other.indices()) and same(one.values(), other.values())
        return one.dtype == other.dtype and torch.equal(one, other)
    if scipy.sparse.issparse(one):
        return (one != other).nnz == 0
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


def state_in(file: Path) -> dict:
    """Return the content of a checkpoint without times and folders."""
    state = checkpoint_io.load(file)
    return {key: value for key, value in state.items() if key not in TIMES}


def assert_same_end(one: Path, other: Path, result: dict, other_result: dict) -> None:
    for name in ("last.pth", "best.pth"):
        mine, theirs = state_in(one / name), state_in(other / name)
        assert mine.keys() == theirs.keys()
        assert [key for key in mine if not same(mine[key], theirs[key])] == []
    for key in ("valid", "test", "best_epoch", "epochs_run", "skipped_steps", "gradient_passes"):
        assert result[key] == other_result[key]
