"""Checkpoints that hold plain weights and plain data only, and are written so that none is ever half there.

Reading never runs code: files are opened with torch's restricted loader, and anything it refuses, such as RecBole's
own pickled checkpoints, is refused here with an explanation unless the caller trusts the file.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from contextvars import ContextVar
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch

from recbole_samrec.errors import CheckpointError

_KIND = "__kind__"
_PLAIN = (str, int, float, bool, type(None), bytes, torch.Tensor)
_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


def save(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write a state to a file so that the file is at every moment either the old one or the new one.

    Args:
        path: Where to write; its folder must exist.
        state: Tensors, numbers, strings, arrays and sparse matrices in dictionaries, lists and tuples.

    Raises:
        CheckpointError: The file could not be written; what was there before is untouched.
        TypeError: The state holds something that could not be read again safely.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    plain_state = plain(state)
    try:
        with open(temporary, "wb") as file:
            torch.save(plain_state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path}: the checkpoint could not be written ({_reason(error)}); free some space or choose another "
            "folder with --run_dir, the last good checkpoint is kept"
        ) from error


def load(path: str | os.PathLike[str], trust: bool | None = None) -> dict[str, Any]:
    """Read a checkpoint onto the CPU without running any code from it.

    Args:
        path: A file written by :func:`save`, or any file that torch's restricted loader reads.
        trust: Read pickled files too, which may run code; by default as set by :func:`trusting`.

    Raises:
        CheckpointError: The file is missing, damaged, or pickled and not trusted.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint file")
    try:
        return unpacked(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        if not (_trusted.get() if trust is None else trust):
            raise CheckpointError(
                f"{path}: this checkpoint is pickled (RecBole's own are) and could run code when it is read; "
                "if you know where it comes from, say --trust_checkpoint=True"
            ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: the checkpoint is damaged or not a checkpoint ({_reason(error)})") from error
    try:
        return unpacked(torch.load(path, map_location="cpu", weights_only=False))
    except Exception as error:  # unpickling may raise anything
        raise CheckpointError(f"{path}: the pickled checkpoint cannot be read here ({_reason(error)})") from error


@contextlib.contextmanager
def trusting(trust: bool) -> Iterator[None]:
    """Let :func:`load` read pickled files for the duration of a ``with`` block, if ``trust`` is true."""
    token = _trusted.set(bool(trust))
    try:
        yield
    finally:
        _trusted.reset(token)


def plain(value: Any) -> Any:
    """Turn a value into what torch's restricted loader reads: arrays and sparse matrices become labelled tensors.

    Raises:
        TypeError: The value, or one inside it, has no plain form.
    """
    if isinstance(value, (Enum, torch.device, torch.dtype, Path)):
        return str(value)
    if isinstance(value, (bool, int, float, str)):
        return value if type(value) in _PLAIN else next(t for t in (bool, int, float, str) if isinstance(value, t))(value)
    if isinstance(value, torch.nn.Parameter):
        return value.detach()
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {_KIND: "array", "matrix": isinstance(value, np.matrix), "data": _array(value)}
    if scipy.sparse.issparse(value):
        rows = value.tocsr()
        parts = {"data": _array(rows.data), "indices": _array(rows.indices), "indptr": _array(rows.indptr)}
        return {_KIND: "sparse", "format": value.format, "shape": list(value.shape), **parts}
    if isinstance(value, OrderedDict):
        return OrderedDict((key, plain(entry)) for key, entry in value.items())
    if isinstance(value, dict):
        return {plain(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        entries = [plain(entry) for entry in value]
        return entries if isinstance(value, list) else tuple(entries)
    if isinstance(value, (set, frozenset)):
        return sorted(plain(entry) for entry in value)
    raise TypeError(f"a checkpoint cannot hold a {type(value).__module__}.{type(value).__qualname__}")


def unpacked(value: Any) -> Any:
    """Turn the labelled tensors of :func:`plain` back into arrays and sparse matrices."""
    if isinstance(value, dict) and value.get(_KIND) == "array":
        array = _numpy(value["data"])
        return np.asmatrix(array) if value["matrix"] else array
    if isinstance(value, dict) and value.get(_KIND) == "sparse":
        parts = tuple(_numpy(value[name]) for name in ("data", "indices", "indptr"))
        return scipy.sparse.csr_matrix(parts, shape=tuple(value["shape"])).asformat(value["format"])
    if isinstance(value, dict):
        return type(value)((key, unpacked(entry)) for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return type(value)(unpacked(entry) for entry in value)
    return value


def _array(array: np.ndarray) -> Any:
    """An array as a tensor, or as nested lists where torch has no such type (strings, objects)."""
    array = np.ascontiguousarray(array)
    if array.dtype == np.uint32:  # the state of numpy's generator
        return {"uint32": torch.from_numpy(array.astype(np.int64))}
    if array.dtype.kind in "biufc":
        return torch.from_numpy(array.copy())
    return {"dtype": array.dtype.str if array.dtype.kind != "O" else "O", "list": plain(array.tolist())}


def _numpy(stored: Any) -> np.ndarray:
    if isinstance(stored, torch.Tensor):
        return stored.numpy()
    if "uint32" in stored:
        return stored["uint32"].numpy().astype(np.uint32)
    return np.array(stored["list"], dtype=stored["dtype"])


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; not every system can open a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _reason(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
