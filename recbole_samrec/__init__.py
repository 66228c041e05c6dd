"""A plug-in for RecBole 1.2.1: SAM for any model, fast training, fair comparisons and safe checkpoints.

Importing this package loads neither torch nor RecBole: a public name is resolved when it is first used. When RecBole is
imported, before or after this package, it is patched for current Python versions (:mod:`recbole_samrec.compat`), and
the models of this package are registered (:mod:`recbole_samrec.integration.registry`). RecBole's own functions then
accept ``model="SAMRec"``.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from recbole_samrec.integration import import_hooks
from recbole_samrec.utils.malloc import request_large_pages
from recbole_samrec.version import NEWEST_PYTHON, PYTHON, PYTHONS, RECBOLE, __version__

if TYPE_CHECKING:
    from recbole_samrec.compare.api import compare_models
    from recbole_samrec.integration.registry import register
    from recbole_samrec.model.samrec import SAMRec
    from recbole_samrec.optim.sam import SAM
    from recbole_samrec.quick_start.api import evaluate, run
    from recbole_samrec.quick_start.export import export_vectors
    from recbole_samrec.quick_start.export_split import export_split
    from recbole_samrec.quick_start.export_trec import export_trec
    from recbole_samrec.quick_start.recommend import Recommender
    from recbole_samrec.sharpness.api import measure_sharpness
    from recbole_samrec.trainer.callbacks import Callback
    from recbole_samrec.trainer.trainer import SAMTrainer
    from recbole_samrec.tune.api import search

_MODULES = {
    "SAM": "optim.sam",
    "SAMRec": "model.samrec",
    "SAMTrainer": "trainer.trainer",
    "Callback": "trainer.callbacks",
    "register": "integration.registry",
    "run": "quick_start.api",
    "evaluate": "quick_start.api",
    "Recommender": "quick_start.recommend",
    "export_split": "quick_start.export_split",
    "export_trec": "quick_start.export_trec",
    "export_vectors": "quick_start.export",
    "compare_models": "compare.api",
    "search": "tune.api",
    "measure_sharpness": "sharpness.api",
}
"""The module in which each public name is defined."""

__all__ = [
    "SAM",
    "Callback",
    "Recommender",
    "SAMRec",
    "SAMTrainer",
    "__version__",
    "compare_models",
    "evaluate",
    "export_split",
    "export_trec",
    "export_vectors",
    "measure_sharpness",
    "register",
    "run",
    "search",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "recbole":
            raise
        from recbole_samrec.utils.installer import make_recbole_command

        needs = f"recbole_samrec.{name} needs RecBole {RECBOLE}"
        raise ImportError(f"{needs}: {make_recbole_command()}", name="recbole") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, including those that have not been used yet."""
    return sorted({*globals(), *_MODULES})


def _check_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    """Raise an error on a Python version that this package does not support.

    Raises:
        ImportError: It is too old or too new.
    """
    oldest, newest = (tuple(map(int, python.split("."))) for python in (PYTHON, NEWEST_PYTHON))
    if not oldest <= version <= newest:
        found = ".".join(map(str, version))
        raise ImportError(f"{PYTHONS}, and this is Python {found}: make an environment with one of those")


_check_python()
request_large_pages()  # torch reads the variable once, before its first large tensor
import_hooks.install()
