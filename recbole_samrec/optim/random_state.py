"""States of the random generators that a training step may use, read and written in microseconds."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor


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
            "python": _PYTHON.get(),
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
        version, numbers, normal = state["python"]
        is_tuple = type(state["python"]) is tuple and type(numbers) is tuple
        _PYTHON.set(state["python"] if is_tuple else (version, tuple(numbers), normal))
        _NUMPY.set(tuple(state["numpy"]))
        torch.set_rng_state(state["torch"])
        # A state of earlier versions has "cuda", the generators of all GPUs that the process saw.
        for device, content in zip(_drop_cpu(devices), state.get("devices", state.get("cuda", [])), strict=False):
            _find_module(device).set_rng_state(content, device)


def _drop_cpu(devices: Iterable[torch.device]) -> list[torch.device]:
    """Return the devices other than the CPU that have a generator."""
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


_TWISTER_BYTES = 625 * 4
"""Size of the state of a Mersenne twister: 624 words and the place among them."""


class _WatchedState:
    """The state of a generator that is slow to read or write, and that most training steps do not use.

    The generator's memory is compared with that at the last reading, which takes a fraction of a microsecond. A normal
    number that is kept for the next draw lies elsewhere, so a state that has one is always read and written.
    """

    NORMAL: int
    """Place in a state that tells whether a normal number is kept."""

    def __init__(self) -> None:
        self._memory = b""
        self._state: Any = None

    def get(self) -> Any:
        """Return the state, as the generator's own function does."""
        memory = self._read_memory()
        if not memory or memory != self._memory or self._state[self.NORMAL]:
            self._memory, self._state = memory, self._read()
        return self._state

    def set(self, state: tuple[Any, ...]) -> None:
        """Set the generator's state, unless it has that state already."""
        if self.get() is not state or state[self.NORMAL]:
            self._write(state)
            self._memory, self._state = self._read_memory(), state

    def _read(self) -> Any:
        raise NotImplementedError

    def _write(self, state: tuple[Any, ...]) -> None:
        raise NotImplementedError

    def _read_memory(self) -> bytes:
        """Return the memory of the generator; empty if its address is unknown."""
        raise NotImplementedError


class _NumpyState(_WatchedState):
    """The state of numpy's global generator: 0.1 ms to read or to write."""

    NORMAL = 3

    def _read(self) -> Any:
        return np.random.get_state()

    def _write(self, state: tuple[Any, ...]) -> None:
        np.random.set_state(state)

    def _read_memory(self) -> bytes:
        generator = np.random.get_bit_generator()  # type: ignore[attr-defined]  # missing from numpy's own __all__
        if type(generator) is not np.random.MT19937:
            return b""
        return ctypes.string_at(generator.ctypes.state_address, _TWISTER_BYTES)


class _PythonState(_WatchedState):
    """The state of the global generator of ``random``: 14 us to read, 5 us to write.

    CPython keeps the place and the 624 words right behind the head of the object. Whether they are there is checked
    once, so that another layout costs time only.
    """

    NORMAL = 2

    def __init__(self) -> None:
        super().__init__()
        generator = random.getstate.__self__  # type: ignore[attr-defined]  # a bound method
        self._address = id(generator) + object.__basicsize__
        self._bytes = _TWISTER_BYTES
        is_long = type(generator).__basicsize__ >= object.__basicsize__ + self._bytes
        if not is_long or self._read_numbers() != random.getstate()[1]:
            self._bytes = 0

    def _read_numbers(self) -> tuple[int, ...]:
        place, *words = np.frombuffer(self._read_memory(), np.uint32).tolist()
        return (*words, place)

    def _read(self) -> Any:
        return random.getstate()

    def _write(self, state: tuple[Any, ...]) -> None:
        random.setstate(state)

    def _read_memory(self) -> bytes:
        return ctypes.string_at(self._address, self._bytes)


_NUMPY, _PYTHON = _NumpyState(), _PythonState()
