"""SAMRec and everything to judge it by, as a plug-in for RecBole 1.2.1.

Importing this package mends RecBole for today's Python (:mod:`recbole_samrec.compat`) and makes our models known to
it (:mod:`recbole_samrec.integration.registry`); RecBole's own functions then work with ``model="SAMRec"``.
"""

from recbole_samrec.cli import doctor
from recbole_samrec.version import __version__

try:
    from recbole_samrec.integration import bootstrap  # noqa: F401
    from recbole_samrec.integration.registry import register
    from recbole_samrec.model.samrec import SAMRec
    from recbole_samrec.trainer.trainer import SAMRecTrainer, SAMTrainer
except Exception as error:
    doctor.rescue(error)  # the doctor must be able to say why nothing can be imported
    raise

__all__ = ["SAMRec", "SAMRecTrainer", "SAMTrainer", "__version__", "register"]
