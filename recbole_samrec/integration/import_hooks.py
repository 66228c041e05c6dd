"""Patches RecBole as soon as it is imported, and before any part of this package builds on it.

Importing ``recbole_samrec`` puts a finder in front of Python's own, and loads nothing else. When any code imports
RecBole, RecBole's empty top module is loaded and :func:`recbole_samrec.integration.bootstrap.activate` runs before the
import returns, so that no code uses an unpatched RecBole. Where RecBole was imported first, it is patched at once.

The modules in :data:`AFTER_PATCHES` are themselves imported by ``bootstrap`` and derive from RecBole's classes. If one
of them is the first import of a process, it would be half loaded when ``bootstrap`` needs it; the finder therefore
imports RecBole, and with it all of them, before it continues the import.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import Any

from recbole_samrec.integration import bootstrap
from recbole_samrec.utils.installer import describe_recbole

AFTER_PATCHES = frozenset(
    f"recbole_samrec.{name}"
    for name in (
        "integration.hooks",
        "integration.known_data",
        "integration.registry",
        "compat",
        "trainer",
        "evaluator.full_ranking",
        "model",
        "data.attributes",
        "data.device_batches",
        "data.event_loader",
        "data.features",
        "data.join_batches",
        "data.known_history",
        "data.leave_one_out",
        "data.packed_dataset",
        "data.packed_loader",
        "data.s3rec_loader",
        "data.temporal_parts",
        "data.training_samples",
    )
)
"""Folders and modules that ``bootstrap`` imports and that import RecBole."""


def install() -> None:
    """Patch RecBole when it is first imported, or now if it has been."""
    if any(isinstance(finder, _PatchingFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _PatchingFinder())
    if sys.modules.get("recbole") is not None:
        _activate_or_warn()


class _PatchingFinder(MetaPathFinder):
    """Adds the patches to the import of RecBole, and leaves every other import to the finders behind it."""

    _searching = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find RecBole with its patches, or a module of this package that builds on it."""
        if name in AFTER_PATCHES:
            if problem := describe_recbole():
                raise ImportError(problem, name="recbole")
            importlib.import_module("recbole")
            module = sys.modules.pop(name, None)  # a module found there would be loaded a second time
            return spec_from_loader(name, _Loaded(module)) if module else None
        if name != "recbole" or self._searching or bootstrap.is_activated():
            return None
        self._searching = True
        try:
            spec = find_spec(name)
        finally:
            self._searching = False
        if spec is not None and spec.loader is not None:
            _patch_after_loading(spec.loader)
        return spec


def _patch_after_loading(loader: Any) -> None:
    """Replace a method of a loader, so that RecBole is patched once the loader has loaded it."""
    load = loader.exec_module

    def load_and_patch(module: ModuleType) -> None:
        load(module)
        _activate_or_warn()

    loader.exec_module = load_and_patch  # patch only this object, which loads nothing else


def _activate_or_warn() -> None:
    """Patch RecBole; another version is left unpatched, for users who need only SAM."""
    if problem := describe_recbole():
        warnings.warn(f"RecBole is not patched: {problem}", stacklevel=3)
    else:
        bootstrap.activate()


class _Loaded(Loader):
    """Loader of a module that was loaded during the search for it.

    Args:
        module: The module.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module itself."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Undo what Python has set for a module that is being loaded."""
        module.__spec__ = self._spec
