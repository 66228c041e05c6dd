"""Snapshots of a model's state besides its parameters: random generators, buffers, counters, hidden layers.

A forward pass may change more than gradients: random generators, running statistics, counters. SAM's second pass must
start from the same state as the first one, and a resumed run from the state of the interrupted one.
"""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from recbole_samrec.optim import foreach
from recbole_samrec.optim.random_state import RandomState
from recbole_samrec.utils.errors import CheckpointError, flatten_message

VolatileNames = set[tuple[int, str]]
"""Names of plain tensors that a pass changes in place, each with the id of its module."""


class StatePlaces:
    """The buffers and plain attributes of a model, listed once: going through its modules takes longer than a copy.

    Args:
        model: The model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._list()

    def _list(self) -> None:
        modules = list(self._model.modules())
        self._owners = [vars(module) for module in modules]
        self._owners += [table[part] for table in list(self._owners) for part in ("_buffers", "_modules")]
        self._counts = list(map(len, self._owners))
        self.buffers = list(self._model.buffers())
        self.attributes = [(module, name) for module in modules for name in vars(module) if _is_public(name)]
        self.tables = [(vars(module), name) for module, name in self.attributes]
        values = [table[name] for table, name in self.tables]
        self._types = list(map(type, values))
        self.arrays = [i for i, value in enumerate(values) if isinstance(value, np.ndarray)]
        self.tensors = [i for i, value in enumerate(values) if _is_plain_tensor(value)]

    def read(self) -> list[Any]:
        """Read the attributes; list them again if there are more or fewer, or one has another type than before."""
        values = [table.get(name) for table, name in self.tables]
        if self._counts != list(map(len, self._owners)) or self._types != list(map(type, values)):
            self._list()
            values = [table[name] for table, name in self.tables]
        return values


class ModelState:
    """The state of a model that a forward pass may change besides its parameters: buffers, counters, plain tensors.

    Args:
        model: The model, or the places of its state.
        volatile: The plain tensors that a pass changes in place; only these are copied, since others, such as tables
            of all users' histories, may be large. None copies all.
    """

    def __init__(self, model: nn.Module | StatePlaces, volatile: VolatileNames | None = None) -> None:
        places = model if isinstance(model, StatePlaces) else StatePlaces(model)
        self._values = places.read()
        self._attributes, self._tables, self._buffers = places.attributes, places.tables, places.buffers
        self._contents = foreach.copy_all([buffer.detach() for buffer in self._buffers]) if self._buffers else []
        self._arrays = [(self._values[i], self._values[i].copy()) for i in places.arrays]
        self._tensors = [(i, self._values[i]._version, self._copy(i, volatile)) for i in places.tensors]

    def _copy(self, number: int, volatile: VolatileNames | None) -> Tensor | None:
        module, name = self._attributes[number]
        is_copied = volatile is None or (id(module), name) in volatile
        return self._values[number].detach().clone() if is_copied else None

    def changed_in_place(self) -> VolatileNames:
        """Return the names of the plain tensors that were modified in place since then."""
        changed = [self._attributes[i] for i, version, _ in self._tensors if self._values[i]._version != version]
        return {(id(module), name) for module, name in changed}

    def restore(self) -> None:
        """Restore buffers and attributes; a tensor that was not modified is left alone."""
        if self._buffers:
            foreach.overwrite_all(self._buffers, self._contents)
        present = [table.get(name) for table, name in self._tables]
        for (table, name), value in compress(
            zip(self._tables, self._values, strict=True), map(operator.is_not, present, self._values)
        ):
            table[name] = value
        for array, content in self._arrays:
            array[...] = content
        for i, version, copy in self._tensors:
            if copy is not None and self._values[i]._version != version:
                with torch.no_grad():
                    self._values[i].copy_(copy)


class Replay:
    """Runs a second pass with the random draws and model state of the first, and restores the state after the first.

    Args:
        model: The model whose buffers and plain attributes are kept; None keeps the random draws only.
        parameters: Parameters on whose devices a pass draws; by default those of the model.
    """

    def __init__(self, model: nn.Module | None, parameters: Sequence[Tensor] | None = None) -> None:
        self._model, self._parameters = model, parameters
        if parameters is None:
            self._parameters = [] if model is None else list(model.parameters())
        self._places: StatePlaces | None = None
        self._devices: list[torch.device] = []
        self._volatile: VolatileNames | None = None
        self._before: tuple[dict[str, Any], ModelState | None] | None = None

    def record(self) -> None:
        """Store the state before the first pass."""
        self._devices = list({p.device for p in self._parameters or ()})
        self._before = (RandomState.get(*self._devices), self._copy_model())

    def forget(self) -> None:
        """Release the state that :meth:`record` stored."""
        self._before = None

    @contextlib.contextmanager
    def second_pass(self) -> Iterator[None]:
        """Set the state before the first pass for the duration of a ``with`` block, then the one after the first pass.

        Raises:
            RuntimeError: No first pass was recorded.
        """
        if self._before is None:
            raise RuntimeError("second_pass() needs record() before the first pass")
        random_before, model_before = self._before
        if model_before is not None:
            self._volatile = (self._volatile or set()) | model_before.changed_in_place()
        random_after, model_after = RandomState.get(*self._devices), self._copy_model()
        try:
            RandomState.set(random_before, *self._devices)
            if model_before is not None:
                model_before.restore()
            yield
        finally:
            RandomState.set(random_after, *self._devices)
            if model_after is not None:
                model_after.restore()

    def _copy_model(self) -> ModelState | None:
        if self._model is None:
            return None
        if self._places is None:
            self._places = StatePlaces(self._model)
        return ModelState(self._places, self._volatile)


def plain_attributes(model: nn.Module) -> Iterable[tuple[nn.Module, str, Any]]:
    """Iterate over the numbers, strings and tensors that a model keeps as ordinary attributes, outside its state dict.

    Yields:
        Module, name and value of each.
    """
    for module in model.modules():
        for name, value in vars(module).items():
            if _is_public(name):
                if value is None or isinstance(value, (bool, int, float, str, np.ndarray)):
                    yield module, name, value
                elif _is_plain_tensor(value):
                    yield module, name, value


def _is_plain_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) and not isinstance(value, nn.Parameter)


def _is_public(name: str) -> bool:
    return not name.startswith("_") and name != "training"


def snapshot_attribute(value: Any) -> tuple[Any, int | None]:
    """Return the value that :func:`is_unchanged` compares an attribute with; tensors count their changes themselves."""
    return (value.copy(), None) if isinstance(value, np.ndarray) else (value, getattr(value, "_version", None))


def is_unchanged(value: Any, snapshot: tuple[Any, int | None]) -> bool:
    """Return True if an attribute of a model equals its snapshot."""
    before, version = snapshot
    if isinstance(value, np.ndarray):
        return isinstance(before, np.ndarray) and np.array_equal(value, before)
    if isinstance(value, Tensor):
        return value is before and value._version == version
    return type(value) is type(before) and bool(value == before)


def load_weights(model: nn.Module, state: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Load a checkpoint's weights, and the other data that RecBole stores of a model, into a model.

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
