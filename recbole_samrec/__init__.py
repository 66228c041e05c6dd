"""SAMRec and everything to judge it by, as a plug-in for RecBole 1.2.1.

Importing this package mends RecBole for today's Python (:mod:`recbole_samrec.compat`) and makes our models known to
it (:mod:`recbole_samrec.plugin`); RecBole's own functions then work with ``model="SAMRec"``.
"""

import sys
from importlib.util import find_spec

from recbole_samrec.version import __version__

__all__ = ["SAMRec", "SAMRecTrainer", "SAMTrainer", "__version__"]

if find_spec("recbole") is not None:
    from recbole_samrec import activate as _activate  # noqa: F401
    from recbole_samrec.model.samrec import SAMRec
    from recbole_samrec.trainer import SAMRecTrainer, SAMTrainer
elif sys.argv[:1] != ["-m"]:  # python -m recbole_samrec doctor must be able to say what is missing
    raise ImportError(
        "recbole_samrec needs RecBole, which is not installed; install it without its outdated pins: "
        "pip install --no-deps recbole==1.2.1"
    )
