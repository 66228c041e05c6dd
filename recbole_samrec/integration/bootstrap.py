"""Importing this module mends RecBole and makes our models known to it; the order of its imports matters."""

# ruff: noqa: E402
from recbole_samrec.utils.malloc import ask_for_large_pages

ask_for_large_pages()  # before torch makes its first tensor

from recbole_samrec import compat
from recbole_samrec.compat import stack

_ray = compat.MENDS["lazy_ray"]
_ray.apply(_ray.patcher)  # before anything imports RecBole's quick start, and Ray with it

from recbole_samrec.compat import caches, config, data, models, time_order, training

compat.apply_all()
data.silence_pandas()

from recbole_samrec.integration import hooks, registry

hooks.install(compat.Patcher())

__all__ = ["caches", "compat", "config", "data", "hooks", "models", "registry", "stack", "time_order", "training"]
