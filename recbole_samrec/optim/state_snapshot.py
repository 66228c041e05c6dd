"""Snapshots of a model's state besides its parameters: random generators, buffers, counters, hidden layers.

A forward pass may change more than gradients: it draws random numbers, moves running statistics, counts steps. SAM's
second pass must see all of that as the first one did, and a resumed run as the interrupted one left it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from recbole_samrec.optim import foreach
from recbole_samrec.utils.errors import CheckpointError, flatten_message

VolatileNames = set[tuple[int, str]]
"""Names of plain tensors that a pass changes in place, each with the id of its module."""


class RandomState:
    """The random generators that a loss may draw from: Python's, numpy's, torch's on the CPU and on given devices."""

    @staticmethod
    def get(*devices: torch.device) -> dict[str, Any]:
        """Return the state of the generators, as plain data and tensors.

        Args:
            devices: Devices whose generators are included; the CPU's always is. A process includes its own device
                only, so that a run can be resumed where there are fewer devices.
        """
        return {
            "python": random.getstate(),
            "numpy": _NUMPY.get(),
            "torch": torch.get_rng_state(),
            "devices": [_find_module(device).get_rng_state(device) for device in _drop_cpu(devices)],
        }

    @staticmethod
    def set(state: dict[str, Any], *devices: torch.device) -> None:
        """Put the generators into a state that :meth:`get` returned.

        Args:
            state: The state. Generators of devices that it does not have, as it was made on others, stay as they are.
            devices: Devices as they were given to :meth:`get`.
        """
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))
        _NUMPY.set(tuple(state["numpy"]))
        torch.set_rng_state(state["torch"])
        # A state of earlier versions has "cuda", the generators of all GPUs that the process saw.
        for device, content in zip(_drop_cpu(devices), state.get("devices", state.get("cuda", [])), strict=False):
            _find_module(device).set_rng_state(content, device)


def _drop_cpu(devices: Iterable[torch.device]) -> list[torch.device]:
    """Return the devices that have a generator other than the CPU's."""
    return [device for device in devices if device.type not in ("cpu", "meta")]


def _find_module(device: torch.device) -> Any:
    return _MPS if device.type == "mps" else torch.get_device_module(device)


class _MPS:
    """The generator of Apple's GPU, of which there is one, so that torch's functions take no device."""

    @staticmethod
    def get_rng_state(device: torch.device) -> Tensor:
        return torch.mps.get_rng_state()

    @staticmethod
    def set_rng_state(state: Tensor, device: torch.device) -> None:
        torch.mps.set_rng_state(state)


class _NumpyState:
    """The state of numpy's global generator, which takes 0.1 ms to read or to write, and rarely changes.

    The memory of the generator is compared with that at the last reading. A normal number that is kept for the next
    draw is not part of it, so a state that has one is always read and written.
    """

    BYTES = 625 * 4
    """Size of the state of a Mersenne twister: 624 words and the place among them."""

    def __init__(self) -> None:
        self._memory = b""
        self._state: Any = None

    def get(self) -> Any:
        """Return what ``np.random.get_state`` returns."""
        memory = self._read_memory()
        if not memory or memory != self._memory or self._state[3]:
            self._memory, self._state = memory, np.random.get_state()
        return self._state

    def set(self, state: tuple[Any, ...]) -> None:
        """Call ``np.random.set_state`` if the state differs."""
        if self.get() is not state or state[3]:
            np.random.set_state(state)
            self._memory, self._state = self._read_memory(), state

    def _read_memory(self) -> bytes:
        generator = np.random.get_bit_generator()  # type: ignore[attr-defined]  # missing from numpy's own __all__
        if type(generator) is not np.random.MT19937:
            return b""
        return ctypes.string_at(generator.ctypes.state_address, self.BYTES)


_NUMPY = _NumpyState()


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
        self._watched = [(vars(module), name) for module in modules for name in vars(module) if _is_public(name)]
        self._types = self._read_types()
        self.buffers = list(self._model.buffers())
        self.attributes = [(module, vars(module), name) for module, name, _ in plain_attributes(self._model)]
        values = [table[name] for _, table, name in self.attributes]
        self.arrays = [i for i, value in enumerate(values) if isinstance(value, np.ndarray)]
        self.tensors = [i for i, value in enumerate(values) if isinstance(value, Tensor)]

    def _read_types(self) -> list[type]:
        return [type(table.get(name)) for table, name in self._watched]

    def update(self) -> None:
        """List again if there are more or fewer attributes, or one has another type than before."""
        if self._counts != list(map(len, self._owners)) or self._types != self._read_types():
            self._list()


class ModelState:
    """The state of a model that a forward pass may change besides its parameters: buffers, counters, plain tensors.

    Args:
        model: The model, or the places of its state.
        volatile: The plain tensors that a pass changes in place; only these are copied, since others, such as tables
            of all users' histories, may be large. None copies all.
    """

    def __init__(self, model: nn.Module | StatePlaces, volatile: VolatileNames | None = None) -> None:
        places = model if isinstance(model, StatePlaces) else StatePlaces(model)
        self._buffers = places.buffers
        self._contents = foreach.copy_all([buffer.detach() for buffer in self._buffers])
        self._attributes = places.attributes
        self._values: list[Any] = [table.get(name) for _, table, name in self._attributes]
        self._arrays = [(self._values[i], self._values[i].copy()) for i in places.arrays]
        self._tensors = [(i, self._values[i]._version, self._copy(i, volatile)) for i in places.tensors]

    def _copy(self, number: int, volatile: VolatileNames | None) -> Tensor | None:
        module, _, name = self._attributes[number]
        is_copied = volatile is None or (id(module), name) in volatile
        return self._values[number].detach().clone() if is_copied else None

    def changed_in_place(self) -> VolatileNames:
        """Return the names of the plain tensors that were written into since."""
        changed = [self._attributes[i] for i, version, _ in self._tensors if self._values[i]._version != version]
        return {(id(module), name) for module, _, name in changed}

    def restore(self) -> None:
        """Put buffers and attributes back as they were; a tensor that nobody wrote into is left alone."""
        foreach.overwrite_all(self._buffers, self._contents)
        for (_, table, name), value in zip(self._attributes, self._values, strict=True):
            table[name] = value
        for array, content in self._arrays:
            array[...] = content
        with torch.no_grad():
            for i, version, copy in self._tensors:
                if copy is not None and self._values[i]._version != version:
                    self._values[i].copy_(copy)


class Replay:
    """Runs a second pass under the random draws and the model state of the first, and leaves what the first left.

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
        """Remember the state before the first pass."""
        self._devices = list({p.device for p in self._parameters or ()})
        self._before = (RandomState.get(*self._devices), self._copy_model())

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
        else:
            self._places.update()
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
                elif isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                    yield module, name, value


def _is_public(name: str) -> bool:
    return not name.startswith("_") and name != "training"


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
