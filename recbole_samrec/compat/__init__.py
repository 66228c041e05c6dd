"""Patches of RecBole 1.2.1 for today's Python, one small named function per defect.

A patch is a function decorated with :func:`recbole_patch`. It checks whether its defect is present and, if so, changes
RecBole through the :class:`Patcher` that is passed in; a patch that changes nothing was not needed. The changes are
recorded, so that a test can suspend one patch and observe the defect::

    with compat.suspend("fill_missing_values"):
        ...

This package and :mod:`recbole_samrec.integration` are the only places that modify RecBole's internals.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

_MISSING = object()


class Patcher:
    """Set attributes and record what was there before."""

    def __init__(self) -> None:
        self.changes: list[tuple[Any, str, Any, Any]] = []

    def __call__(self, owner: Any, name: str, new: Any) -> None:
        """Set ``owner.name`` to ``new``; :meth:`undo` deletes the attribute again if ``owner`` only inherited it."""
        self.changes.append((owner, name, vars(owner).get(name, _MISSING), new))
        setattr(owner, name, new)

    def replace_everywhere(self, old: Any, new: Any) -> None:
        """Replace ``old`` by ``new`` under every name in the loaded modules of RecBole and in the user's script."""
        theirs = ("recbole", "__main__", "__mp_main__")  # the last one is the script in a spawned process
        for module_name, module in list(sys.modules.items()):
            if not isinstance(module, ModuleType) or module_name.split(".")[0] not in theirs:
                continue
            for name, value in list(vars(module).items()):
                if value is old:
                    self(module, name, new)

    def undo(self) -> None:
        """Restore what was there before, last change first."""
        self._undone = [(owner, name, vars(owner)[name]) for owner, name, _, _ in self.changes]
        for owner, name, old, _ in reversed(self.changes):
            if old is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, old)

    def redo(self) -> None:
        """Set again what :meth:`undo` removed: the changes, and anything that has wrapped them since."""
        for owner, name, value in self._undone:
            setattr(owner, name, value)


class ModuleProxy:
    """Proxy that RecBole uses in place of a module; attributes defined by a subclass replace the module's own.

    Args:
        module: The module whose other attributes are passed through.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@dataclass
class Patch:
    """Patch of one defect: its place in RecBole, its consequence, and whether the consequence is silent."""

    name: str
    where: str
    defect: str
    silent: bool
    apply: Callable[[Patcher], None]
    patcher: Patcher = field(default_factory=Patcher)

    @property
    def is_applied(self) -> bool:
        """True if the defect was present and is patched."""
        return bool(self.patcher.changes)


PATCHES: dict[str, Patch] = {}


def recbole_patch(where: str, defect: str, silent: bool = False) -> Callable[[Callable], Callable]:
    """Register the decorated function as the patch of one defect.

    Args:
        where: File (and line) in the ``recbole`` wheel.
        defect: What goes wrong without the patch, as one short phrase.
        silent: Whether it goes wrong without any error.
    """

    def register(apply: Callable[[Patcher], None]) -> Callable[[Patcher], None]:
        PATCHES[apply.__name__] = Patch(apply.__name__, where, defect, silent, apply)
        return apply

    return register


def apply_all() -> None:
    """Apply every registered patch once, in the order of registration."""
    for one in PATCHES.values():
        if not one.is_applied:
            one.apply(one.patcher)


def list_applied() -> list[Patch]:
    """List the patches whose defect was present."""
    return [one for one in PATCHES.values() if one.is_applied]


@contextlib.contextmanager
def suspend(name: str) -> Iterator[None]:
    """Undo one patch for the duration of a ``with`` block.

    Raises:
        LookupError: The defect was not present, so there is nothing to undo.
    """
    one = PATCHES[name]
    if not one.is_applied:
        raise LookupError(f"the patch {name!r} was not needed here")
    one.patcher.undo()
    try:
        yield
    finally:
        one.patcher.redo()
