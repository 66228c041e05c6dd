"""Checkpoints that contain only plain weights and data, and are written atomically.

Reading never runs code: files are opened with torch's restricted loader. Files that it rejects, such as RecBole's
pickled checkpoints, raise an error with an explanation unless the caller trusts them.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import secrets
import signal
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextvars import ContextVar
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import scipy.sparse
import torch

from recbole_samrec.utils.errors import CheckpointError
from recbole_samrec.utils.settings import serialize_config

_KIND = "__kind__"
_PLAIN = (str, int, float, bool, type(None), bytes, torch.Tensor)
_trusted: ContextVar[bool] = ContextVar("trusted", default=False)
"""Setting ``trust_checkpoint`` of the model being built. It is a context variable because RecBole's constructors read
``pre_model_path`` with ``torch.load(path)``; the patched function does not receive the configuration."""


def save(path: str | os.PathLike[str], state: dict[str, Any], previous: str | os.PathLike[str] | None = None) -> None:
    """Write a state to a file atomically, so that the file always contains either the old or the new state.

    Args:
        path: The file; its folder must exist.
        state: Tensors, numbers, strings, arrays and sparse matrices in dictionaries, lists and tuples.
        previous: A second file in the same folder, which contains the old state afterwards.

    Raises:
        CheckpointError: The file could not be written; the old file is unchanged.
        TypeError: The state contains an object that could not be read again safely.
    """
    path = Path(path)
    plain_state = encode_plain(state)
    try:
        with _delay_interrupts(), open_atomically(path, previous) as file:
            torch.save(plain_state, file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise CheckpointError(
            f"{path}: the checkpoint could not be written ({_explain_error(error)}); free some space or choose another "
            "folder with --run_dir; the last good checkpoint is kept"
        ) from error


@contextlib.contextmanager
def _delay_interrupts() -> Iterator[None]:
    """Delay Ctrl-C until the ``with`` block has ended: torch's writer aborts the process when interrupted."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[tuple] = []
    signal.signal(signal.SIGINT, lambda *event: pressed.append(event))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if pressed:
            handler(*pressed[0])


@contextlib.contextmanager
def open_atomically(path: Path, previous: str | os.PathLike[str] | None = None) -> Iterator[BinaryIO]:
    """Open a file that replaces ``path`` when the ``with`` block has ended without error.

    Args:
        path: The file to replace; its folder must exist.
        previous: A second file, which is replaced by the old file.

    Yields:
        A temporary file beside ``path`` with a name that no other process uses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if previous is not None:
            _keep_previous(path, Path(previous))
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None  # the error of a write names no file
        raise
    _sync_folder(path.parent)


def _keep_previous(path: Path, previous: Path) -> None:
    """Make ``previous`` a second name of the file ``path``, which keeps its name until it is replaced."""
    link = previous.with_name(f".{previous.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    if not path.exists():
        return
    try:
        os.link(path, link)
        os.replace(link, previous)
    except OSError:  # a file system without hard links
        os.replace(path, previous)


def load(path: str | os.PathLike[str], trust: bool | None = None) -> dict[str, Any]:
    """Read a checkpoint onto the CPU without running any code from it.

    Args:
        path: A file written by :func:`save`, or any dictionary that torch's restricted loader reads.
        trust: Whether to read pickled files too, which may run code; by default as set by :func:`trust_pickles`.

    Raises:
        CheckpointError: The file is missing, damaged, or pickled and not trusted.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # our message is more specific
            state = decode_plain(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file may mislead the loader into any error
        if not (isinstance(error, pickle.UnpicklingError) and _is_pickled(path)):
            raise CheckpointError(f"{path}: not a checkpoint, or a damaged one ({_explain_error(error)})") from error
        if not (_trusted.get() if trust is None else trust):
            raise CheckpointError(
                f"{path}: this checkpoint is pickled, as RecBole's are, and could run code when it is read; "
                "if you trust its source, add --trust_checkpoint=True"
            ) from error
        state = _read_pickled(path)
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: not a checkpoint; it contains a {type(state).__name__}")
    return state


def _is_pickled(path: Path) -> bool:
    """Return True if a file that the restricted loader rejects is a pickle: an archive of torch's, or a bare pickle."""
    with open(path, "rb") as file:
        start = file.read(2)
    return start == b"PK" or (start[:1] == b"\x80" and start[1:] <= bytes([pickle.HIGHEST_PROTOCOL]))


def _read_pickled(path: Path) -> Any:
    try:
        return decode_plain(torch.load(path, map_location="cpu", weights_only=False))
    except Exception as error:  # unpickling may raise anything
        raise CheckpointError(
            f"{path}: the pickled checkpoint cannot be read here ({_explain_error(error)})"
        ) from error


def extract_run_settings(state: dict[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    """Extract the settings of the run from a checkpoint.

    ``trust_checkpoint`` is excluded, because only the user may decide it, never a file.

    Raises:
        CheckpointError: It contains no settings.
    """
    stored = state.get("config")
    if hasattr(stored, "final_config_dict"):  # RecBole's own, unpickled because the user trusts it
        stored = serialize_config(stored)
    if not isinstance(stored, dict) or not all(isinstance(stored.get(key), str) for key in ("model", "dataset")):
        raise CheckpointError(f"{path}: not a checkpoint of a run; it contains no settings")
    known = {key: value for key, value in stored.items() if isinstance(key, str) and key != "trust_checkpoint"}
    return {"recbole_metrics": True, **known}  # runs from before this setting had RecBole's values


@contextlib.contextmanager
def trust_pickles(trust: bool) -> Iterator[None]:
    """Let :func:`load` read pickled files for the duration of a ``with`` block if ``trust`` is true."""
    token = _trusted.set(bool(trust))
    try:
        yield
    finally:
        _trusted.reset(token)


def encode_plain(value: Any) -> Any:
    """Convert a value to what torch's restricted loader reads: arrays and sparse matrices become labeled tensors.

    Raises:
        TypeError: The value, or one inside it, cannot be converted.
    """
    if isinstance(value, (Enum, torch.device, torch.dtype, Path)):
        return str(value)
    if isinstance(value, (bool, int, float, str)):
        return value if type(value) in _PLAIN else next(t for t in (int, float, str) if isinstance(value, t))(value)
    if isinstance(value, torch.nn.Parameter):
        return value.detach()
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
        return encode_plain(value.item())
    if isinstance(value, np.ndarray):
        return {_KIND: "array", "matrix": isinstance(value, np.matrix), "data": _encode_array(value)}
    if scipy.sparse.issparse(value):
        return {_KIND: "sparse", **_encode_sparse(value)}
    if isinstance(value, OrderedDict):
        return OrderedDict((key, encode_plain(entry)) for key, entry in value.items())
    if isinstance(value, dict):
        return {encode_plain(key): encode_plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        entries = [encode_plain(entry) for entry in value]
        return entries if isinstance(value, list) else tuple(entries)
    if isinstance(value, (set, frozenset)):
        return sorted(encode_plain(entry) for entry in value)
    raise TypeError(f"a checkpoint cannot store a {type(value).__module__}.{type(value).__qualname__}")


def decode_plain(value: Any) -> Any:
    """Convert the labeled tensors of :func:`encode_plain` back to arrays and sparse matrices."""
    if isinstance(value, dict) and value.get(_KIND) == "array":
        array = _decode_array(value["data"])
        return np.asmatrix(array) if value["matrix"] else array
    if isinstance(value, dict) and value.get(_KIND) == "sparse":
        return _decode_sparse(value)
    if type(value) in (dict, OrderedDict):
        return type(value)((key, decode_plain(entry)) for key, entry in value.items())
    if type(value) in (list, tuple):
        return type(value)(decode_plain(entry) for entry in value)
    return value


def _encode_array(array: np.ndarray) -> Any:
    """Convert an array to a tensor, or to a list if torch has no such type (strings, objects)."""
    if array.dtype == np.uint32:  # the state of numpy's generator
        return {"uint32": torch.from_numpy(array.astype(np.int64))}
    if array.dtype.kind in "biufc" and array.dtype.itemsize <= 16 and array.dtype != np.longdouble:
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C", subok=False))
    if array.dtype.kind in "USO":
        entries = [encode_plain(entry) for entry in np.asarray(array).ravel().tolist()]
        return {"dtype": array.dtype.str, "shape": array.shape, "list": entries}
    raise TypeError(f"a checkpoint cannot store an array of {array.dtype}")


def _decode_array(stored: Any) -> np.ndarray:
    if isinstance(stored, torch.Tensor):
        return stored.numpy()
    if "uint32" in stored:
        return stored["uint32"].numpy().astype(np.uint32)
    array = np.empty(len(stored["list"]), dtype=stored["dtype"])
    for place, entry in enumerate(stored["list"]):  # one by one: lists in an array of objects stay lists
        array[place] = decode_plain(entry)
    return array.reshape(stored["shape"])


def _encode_sparse(matrix: Any) -> dict[str, Any]:
    """Convert a sparse matrix to its compressed rows or columns; other formats to compressed rows."""
    rows = matrix if matrix.format in ("csr", "csc") else matrix.tocsr()
    parts = {name: _encode_array(getattr(rows, name)) for name in ("data", "indices", "indptr")}
    is_array = isinstance(matrix, scipy.sparse.sparray)
    return {"format": matrix.format, "by": rows.format, "array": is_array, "shape": list(matrix.shape), **parts}


def _decode_sparse(stored: dict[str, Any]) -> Any:
    kind = "array" if stored["array"] else "matrix"
    build = getattr(scipy.sparse, f"csc_{kind}" if stored["by"] == "csc" else f"csr_{kind}")
    parts = tuple(_decode_array(stored[name]) for name in ("data", "indices", "indptr"))
    return build(parts, shape=tuple(stored["shape"])).asformat(stored["format"])


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power failure; not every system can open a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _explain_error(error: BaseException) -> str:
    """Return the first line of an error, or of the operating system's error behind it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
