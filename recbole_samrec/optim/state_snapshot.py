"""Snapshots of a model's state besides its parameters: random generators, buffers, counters, hidden layers.

A forward pass may change more than gradients: it draws random numbers, moves running statistics, counts steps. SAM's
second pass must see all of that as the first one did, and a resumed run as the interrupted one left it.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from recbole_samrec.utils.errors import CheckpointError, flatten_message

VolatileNames = set[tuple[int, str]]
"""Names of plain tensors that a pass changes in place, each with the id of its module."""


class RandomState:
    """Every random generator a loss may draw from: Python's, numpy's, torch's on the CPU and on each GPU."""

    @staticmethod
    def get() -> dict[str, Any]:
        """Return the state of all generators, as plain data and tensors."""
        state = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state_all()
        return state

    @staticmethod
    def set(state: dict[str, Any]) -> None:
        """Put all generators into a state that :meth:`get` returned."""
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))
        np.random.set_state(tuple(state["numpy"]))
        torch.set_rng_state(state["torch"])
        if "cuda" in state:
            torch.cuda.set_rng_state_all(state["cuda"])


_Attribute = tuple[nn.Module, str, Any, Tensor | np.ndarray[Any, Any] | None, int | None]
"""A module, the name and value of its plain attribute, a copy where it may change in place, and a tensor's version."""


class ModelState:
    """The state of a model that a forward pass may change besides its parameters: buffers, counters, plain tensors.

    Args:
        model: The model.
        volatile: The plain tensors that a pass changes in place; only these are copied, since others, such as tables
            of all users' histories, may be large. None copies all.
    """

    def __init__(self, model: nn.Module, volatile: VolatileNames | None = None) -> None:
        self._buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
        self._attributes = [_copy_attribute(*each, volatile) for each in plain_attributes(model)]

    def changed_in_place(self) -> VolatileNames:
        """Return the names of the plain tensors that were written into since."""
        return {
            (id(module), name)
            for module, name, value, _, version in self._attributes
            if isinstance(value, Tensor) and value._version != version
        }

    def restore(self) -> None:
        """Put buffers and attributes back as they were; a tensor that nobody wrote into is left alone."""
        with torch.no_grad():
            for buffer, content in self._buffers:
                buffer.copy_(content)
            for module, name, value, copy, version in self._attributes:
                module.__dict__[name] = value
                if isinstance(value, np.ndarray):
                    value[...] = copy
                elif copy is not None and value._version != version:
                    value.copy_(copy)


def _copy_attribute(module: nn.Module, name: str, value: Any, volatile: VolatileNames | None) -> _Attribute:
    if isinstance(value, np.ndarray):
        return (module, name, value, value.copy(), None)
    if isinstance(value, Tensor):
        is_copied = volatile is None or (id(module), name) in volatile
        return (module, name, value, value.detach().clone() if is_copied else None, value._version)
    return (module, name, value, None, None)


class Replay:
    """Runs a second pass under the random draws and the model state of the first, and leaves what the first left.

    Args:
        model: The model whose buffers and plain attributes are kept; None keeps the random draws only.
    """

    def __init__(self, model: nn.Module | None) -> None:
        self.model = model
        self._volatile: VolatileNames | None = None
        self._before: tuple[dict[str, Any], ModelState | None] | None = None

    def record(self) -> None:
        """Remember the state before the first pass."""
        self._before = (RandomState.get(), self._copy_model())

    def forget(self) -> None:
        """Release what :meth:`record` remembered."""
        self._before = None

    @contextlib.contextmanager
    def second_pass(self) -> Iterator[None]:
        """Set the state before the first pass for the duration of a ``with`` block, then that after the first pass.

        Raises:
            RuntimeError: No first pass was recorded.
        """
        if self._before is None:
            raise RuntimeError("second_pass() needs record() before the first pass")
        random_before, model_before = self._before
        if model_before is not None:
            self._volatile = (self._volatile or set()) | model_before.changed_in_place()
        random_after, model_after = RandomState.get(), self._copy_model()
        try:
            RandomState.set(random_before)
            if model_before is not None:
                model_before.restore()
            yield
        finally:
            RandomState.set(random_after)
            if model_after is not None:
                model_after.restore()

    def _copy_model(self) -> ModelState | None:
        return None if self.model is None else ModelState(self.model, self._volatile)


def plain_attributes(model: nn.Module) -> Iterable[tuple[nn.Module, str, Any]]:
    """Iterate over the numbers, strings and tensors that a model keeps as ordinary attributes, outside its state dict.

    Yields:
        Module, name and value of each.
    """
    for module in model.modules():
        for name, value in vars(module).items():
            if not name.startswith("_") and name != "training":
                if value is None or isinstance(value, (bool, int, float, str, np.ndarray)):
                    yield module, name, value
                elif isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                    yield module, name, value


def snapshot_attribute(value: Any) -> tuple[Any, int | None]:
    """Return what :func:`is_unchanged` compares an attribute with; tensors count their changes themselves."""
    return (value.copy(), None) if isinstance(value, np.ndarray) else (value, getattr(value, "_version", None))


def is_unchanged(value: Any, snapshot: tuple[Any, int | None]) -> bool:
    """Report whether an attribute of a model is what it was at its snapshot."""
    before, version = snapshot
    if isinstance(value, np.ndarray):
        return isinstance(before, np.ndarray) and np.array_equal(value, before)
    if isinstance(value, Tensor):
        return value is before and value._version == version
    return type(value) is type(before) and bool(value == before)


def load_weights(model: nn.Module, state: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Load a checkpoint's weights, and what RecBole stores of a model beside them, into a model.

    Raises:
        CheckpointError: The checkpoint belongs to another model or other data.
    """
    try:
        model.load_state_dict(state["state_dict"])
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        others = {k: unpack_hidden(v, getattr(model, k, None)) for k, v in (state["other_parameter"] or {}).items()}
        cast(Any, model).load_other_parameter(move_to_device(others, device))
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        name, reason = type(model).__name__, flatten_message(error)[:200]
        raise CheckpointError(f"{path}: its weights do not fit {name} on this data: {reason}") from error


def move_to_device(value: Any, device: torch.device) -> Any:
    """Move a tensor, or the tensors in lists, tuples and dictionaries, to a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if type(value) in (list, tuple):
        return type(value)(move_to_device(entry, device) for entry in value)
    if type(value) is dict:
        return {key: move_to_device(entry, device) for key, entry in value.items()}
    return value


def pack_hidden(value: Any) -> Any:
    """Turn a module that RecBole saves whole into plain tensors, with layers that its dictionaries hide from torch."""
    if not isinstance(value, nn.Module):
        return value
    layers = {name: layer.state_dict() for name, layer in find_hidden_layers(value)}
    return {"__module__": value.state_dict(), "layers": layers}


def unpack_hidden(stored: Any, module: Any) -> Any:
    """Undo :func:`pack_hidden`: load the tensors into the present module."""
    if not (isinstance(stored, dict) and "__module__" in stored):
        return stored
    module.load_state_dict(stored["__module__"])
    for name, layer in find_hidden_layers(module):
        layer.load_state_dict(stored["layers"][name])
    return module


def find_hidden_layers(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Find the layers that a module keeps in plain dictionaries, where ``state_dict`` does not see them."""
    for attribute, table in vars(module).items():
        if isinstance(table, dict) and not attribute.startswith("_"):
            for key, layer in table.items():
                if isinstance(layer, nn.Module):
                    yield f"{attribute}.{key}", layer
