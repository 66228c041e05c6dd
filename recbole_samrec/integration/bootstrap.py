"""Patches RecBole and registers our models, trainers and defaults with it, once in each process."""

from __future__ import annotations

_activated = False


def is_activated() -> bool:
    """Return True if RecBole is patched in this process, or is being patched."""
    return _activated


def activate() -> None:
    """Patch RecBole and register our models, trainers and defaults; later calls do nothing.

    The order of the imports matters. ``import_ray_lazily`` must come before RecBole's quick start is imported, which
    imports Ray. All other patches change classes and functions of modules that are loaded by then, and come before
    :mod:`~recbole_samrec.integration.hooks`, which wraps some of them once more.
    """
    global _activated
    if _activated:
        return
    _activated = True
    try:
        _apply_patches()
    except BaseException:
        _activated = False
        raise


def _apply_patches() -> None:
    from recbole_samrec import compat
    from recbole_samrec.compat import stack  # noqa: F401  registers the first patches

    lazy_ray = compat.PATCHES["import_ray_lazily"]
    lazy_ray.apply(lazy_ray.patcher)

    from recbole_samrec.compat import (  # noqa: F401
        benchmark_files,
        caches,
        case_study,
        config,
        data,
        devices,
        metrics,
        models,
        time_order,
        training,
    )

    compat.apply_all()
    data.silence_pandas()

    from recbole_samrec.integration import hooks

    hooks.install_hooks(compat.Patcher())
