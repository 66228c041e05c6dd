"""SAMRec and everything to evaluate it by, as a plug-in for RecBole 1.2.1.

Importing this package loads neither torch nor RecBole: a public name is resolved when it is first used. RecBole is
patched for today's Python (:mod:`recbole_samrec.compat`), and our models become known to it
(:mod:`recbole_samrec.integration.registry`), at the moment RecBole is imported, before or after this package. RecBole's
own functions then work with ``model="SAMRec"``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from recbole_samrec.integration import import_hooks
from recbole_samrec.utils.malloc import request_large_pages
from recbole_samrec.version import INSTALL_RECBOLE, RECBOLE, __version__

if TYPE_CHECKING:
    from recbole_samrec.compare.api import compare_models
    from recbole_samrec.integration.registry import register
    from recbole_samrec.model.samrec import SAMRec
    from recbole_samrec.optim.sam import SAM
    from recbole_samrec.quick_start.api import evaluate, run
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
        raise ImportError(f"recbole_samrec.{name} needs RecBole {RECBOLE}: {INSTALL_RECBOLE}", name="recbole") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, whether they have been used or not."""
    return sorted({*globals(), *_MODULES})


request_large_pages()  # torch reads the variable once, before its first large tensor
import_hooks.install()
