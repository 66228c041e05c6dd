"""What a model holds besides its parameters, and how to keep it: random states, counters, hidden layers.

A forward pass may change more than gradients: it draws random numbers, moves running statistics, counts steps. SAM's
second pass must see all of that as the first one did, and a resumed run as the interrupted one left it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recbole_samrec.utils.errors import CheckpointError, in_one_line


class RandomState:
    """Every random generator a loss may draw from: Python's, numpy's, torch's on the CPU and on each GPU."""

    @staticmethod
    def get() -> dict[str, Any]:
        """The state of all of them, as plain data and tensors."""
        state = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state_all()
        return state

    @staticmethod
    def set(state: dict[str, Any]) -> None:
        """Put all of them back into a state that :meth:`get` returned."""
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))
        np.random.set_state(tuple(state["numpy"]))
        torch.set_rng_state(state["torch"])
        if "cuda" in state:
            torch.cuda.set_rng_state_all(state["cuda"])


class ModelState:
    """What a forward pass may change in a model besides its parameters: buffers, counters and plain tensors.

    Args:
        model: The model.
        volatile: Names of the plain tensors that a pass changes in place; only these are copied, since others, such
            as tables of all users' histories, may be large. None copies all.
    """

    def __init__(self, model: nn.Module, volatile: set[tuple[int, str]] | None = None) -> None:
        self._buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
        self._attributes = []
        for module, name, value in plain_attributes(model):
            copy, version = None, None
            if isinstance(value, np.ndarray):
                copy = value.copy()
            elif isinstance(value, Tensor):
                version = value._version
                if volatile is None or (id(module), name) in volatile:
                    copy = value.detach().clone()
            self._attributes.append((module, name, value, copy, version))

    def changed_in_place(self) -> set[tuple[int, str]]:
        """Names of the plain tensors that were written into since."""
        return {
            (id(module), name)
            for module, name, value, _, version in self._attributes
            if isinstance(value, Tensor) and value._version != version
        }

    def restore(self) -> None:
        """Put buffers and attributes back as they were; a tensor that nobody wrote into is left alone."""
        with torch.no_grad():
            for buffer, value in self._buffers:
                buffer.copy_(value)
            for module, name, value, copy, version in self._attributes:
                module.__dict__[name] = value
                if isinstance(value, np.ndarray):
                    value[...] = copy
                elif copy is not None and value._version != version:
                    value.copy_(copy)


def plain_attributes(model: nn.Module) -> Iterable[tuple[nn.Module, str, Any]]:
    """The numbers, strings and tensors that a model keeps as ordinary attributes, which no ``state_dict`` holds."""
    for module in model.modules():
        for name, value in vars(module).items():
            if not name.startswith("_") and name != "training":
                if value is None or isinstance(value, (bool, int, float, str, np.ndarray)):
                    yield module, name, value
                elif isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                    yield module, name, value


def as_built(value: Any) -> tuple[Any, Any]:
    """What :func:`unchanged` needs to tell whether an attribute was changed: tensors count their changes themselves."""
    return (value.copy(), None) if isinstance(value, np.ndarray) else (value, getattr(value, "_version", None))


def unchanged(value: Any, built: tuple[Any, Any]) -> bool:
    """Whether an attribute of a model is what it was before training."""
    before, version = built
    if isinstance(value, np.ndarray):
        return isinstance(before, np.ndarray) and np.array_equal(value, before)
    if isinstance(value, Tensor):
        return value is before and value._version == version
    return type(value) is type(before) and value == before


def load_weights(model: nn.Module, state: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Put a checkpoint's weights, and what RecBole keeps of a model beside them, into a model.

    Raises:
        CheckpointError: They are of another model or other data.
    """
    try:
        model.load_state_dict(state["state_dict"])
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        others = {k: show_hidden(v, getattr(model, k, None)) for k, v in (state["other_parameter"] or {}).items()}
        model.load_other_parameter(on_device(others, device))
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        name, reason = type(model).__name__, in_one_line(error)[:200]
        raise CheckpointError(f"{path}: its weights do not fit {name} on this data: {reason}") from error


def on_device(value: Any, device: torch.device) -> Any:
    """A value whose tensors, also those in lists and dictionaries, are on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if type(value) in (list, tuple):
        return type(value)(on_device(entry, device) for entry in value)
    if type(value) is dict:
        return {key: on_device(entry, device) for key, entry in value.items()}
    return value


def hidden_state(value: Any) -> Any:
    """A module that RecBole saves whole, as plain tensors, with the layers it hides in dictionaries from torch."""
    if not isinstance(value, nn.Module):
        return value
    layers = {name: layer.state_dict() for name, layer in hidden_layers(value)}
    return {"__module__": value.state_dict(), "layers": layers}


def show_hidden(stored: Any, module: Any) -> Any:
    """Undo :func:`hidden_state`: load the tensors into the module that is there."""
    if not (isinstance(stored, dict) and "__module__" in stored):
        return stored
    module.load_state_dict(stored["__module__"])
    for name, layer in hidden_layers(module):
        layer.load_state_dict(stored["layers"][name])
    return module


def hidden_layers(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers that a module keeps in plain dictionaries, where ``state_dict`` does not see them."""
    for attribute, table in vars(module).items():
        if isinstance(table, dict) and not attribute.startswith("_"):
            for key, layer in table.items():
                if isinstance(layer, nn.Module):
                    yield f"{attribute}.{key}", layer
