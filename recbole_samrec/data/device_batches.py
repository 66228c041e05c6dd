"""Copies of RecBole's batches on a GPU, made asynchronously and without fields that a model does not read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from recbole.data.interaction import Interaction
from torch import Tensor


class DeviceBatches:
    """A loader whose batches are copied to a device.

    The fields that were read of earlier batches are copied at once, from pinned memory, so that the host does not wait.
    Any other field is copied when it is read for the first time. RecBole's loop copies all of them, one after another,
    and waits for each.

    Args:
        loader: A loader of RecBole's interactions.
        device: The device.
        read: Names of the fields that were read so far; more are added.
        prepare: Changes a batch while it is on the CPU.
    """

    def __init__(
        self,
        loader: Any,
        device: torch.device,
        read: set[str],
        prepare: Callable[[Interaction], Interaction] | None = None,
    ) -> None:
        self._loader, self._device, self._read, self._prepare = loader, device, read, prepare

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[Interaction]:
        for batch in self._loader:
            if all(values.is_cpu for values in batch.interaction.values()):
                batch = batch if self._prepare is None else self._prepare(batch)
                batch = DeviceBatch(batch, self._device, self._read)
            yield batch


class DeviceBatch(Interaction):
    """RecBole's interaction whose fields are copied to the device when they are read.

    Args:
        batch: The interaction on the CPU.
        device: The device.
        read: Names of the fields that are copied at once; a field that is read later is added.
    """

    def __init__(self, batch: Interaction, device: torch.device, read: set[str]) -> None:
        self.device, self.length = device, batch.length
        self.interaction = _Fields(batch.interaction, device, read)

    def to(self, device: torch.device, selected_field: Any = None) -> Interaction:
        """Return the batch itself, or a copy of all fields on another device."""
        return self if torch.device(device) == self.device else super().to(device, selected_field)


class _Fields(dict[str, Tensor]):
    """Fields by name, copied to a device when they are read."""

    def __init__(self, fields: Mapping[str, Tensor], device: torch.device, read: set[str]) -> None:
        super().__init__(fields)
        self._device, self._read = device, read
        known = copy_together({name: values for name, values in fields.items() if name in read}, device)
        self.update(known)
        self._there = set(known)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._there and name in self:
            self[name] = super().__getitem__(name).to(self._device)
        return super().__getitem__(name)

    def __setitem__(self, name: str, values: Tensor) -> None:
        super().__setitem__(name, values)
        self._there.add(name)
        self._read.add(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default."""
        return self[name] if name in self else default  # noqa: SIM401 - this is get

    def values(self) -> Any:
        """Return all fields."""
        return [self[name] for name in self]

    def items(self) -> Any:
        """Return all names and fields."""
        return [(name, self[name]) for name in self]


def copy_together(fields: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Copy tensors to a device, with one asynchronous copy per dtype.

    Args:
        fields: Tensors on the CPU by name.
        device: The device.

    Returns:
        The copies by name.
    """
    copies: dict[str, Tensor] = {}
    for kind in dict.fromkeys(values.dtype for values in fields.values()):
        alike = {name: values for name, values in fields.items() if values.dtype == kind}
        sizes = [values.numel() for values in alike.values()]
        flat = torch.empty(sum(sizes), dtype=kind, device="cpu", pin_memory=device.type == "cuda")
        torch.cat([values.reshape(-1) for values in alike.values()], out=flat)
        pieces = flat.to(device, non_blocking=True).split(sizes)
        copies |= {n: piece.view(v.shape) for (n, v), piece in zip(alike.items(), pieces, strict=True)}
    return copies
