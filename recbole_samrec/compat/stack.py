"""Mends for what numpy, scipy, torch and Ray took away since RecBole 1.2.1 was written."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse
import torch

from recbole_samrec.compat import Patcher, StandIn, mend
from recbole_samrec.trainer.trainer import SCALER

ALIASES = {
    "bool": np.bool_,
    "int": np.int_,
    "float": np.float64,
    "complex": np.complex128,
    "object": np.object_,
    "str": np.str_,
    "long": np.int_,
    "unicode": np.str_,
}
"""Names that RecBole expects in numpy; it sets them itself, from other names that numpy 2 no longer has."""


@mend("config/configurator.py 625-635", "Config sets numpy aliases from names that numpy 2 removed: every run dies")
def numpy_aliases(patch: Patcher) -> None:
    """Set the aliases once at import, so that objects that are unpickled and never built find them too."""
    if hasattr(np, "float_"):
        return
    from recbole.config import Config

    patch(Config, "compatibility_settings", lambda self: None)
    for name, kind in ALIASES.items():
        if vars(np).get(name) is not kind:
            patch(np, name, kind)


@mend("model/general_recommender/lightgcn.py 111 and others", "scipy's dok_matrix has no _update any more")
def dok_matrix_update(patch: Patcher) -> None:
    """Give the class the one private method back that RecBole's graph models fill it with."""
    if not hasattr(scipy.sparse.dok_matrix, "_update"):
        patch(scipy.sparse.dok_matrix, "_update", lambda self, entries: self._dict.update(entries))


@mend("trainer/trainer.py 30, 235, 1440", "torch.cuda.amp is deprecated, and its scaler is made anew every epoch", True)
def grad_scaler(patch: Patcher) -> None:
    """Let RecBole's loops use the scaler of the trainer whose epoch is running, and autocast on its device."""
    from recbole.trainer import trainer

    def scaler(enabled: bool = True) -> torch.amp.GradScaler:
        return SCALER.get() or torch.amp.GradScaler("cuda" if torch.cuda.is_available() else "cpu", enabled=enabled)

    def autocast(enabled: bool = True) -> torch.autocast:
        return torch.autocast("cuda" if torch.cuda.is_available() else "cpu", enabled=enabled)

    patch(trainer, "amp", SimpleNamespace(GradScaler=scaler, autocast=autocast))


@mend("model/sequential_recommender/sine.py 25", "importing the models turns torch's anomaly detection on", True)
def anomaly_detection(patch: Patcher) -> None:
    """Leave it as the user has it: it makes training slow, and an inf or nan that could be skipped ends it."""
    before = torch.is_anomaly_enabled() and "recbole.model.sequential_recommender.sine" not in sys.modules
    from recbole.model.sequential_recommender import sine  # noqa: F401

    if torch.is_anomaly_enabled() != before:
        patch(_AnomalyDetection(), "enabled", before)


class _AnomalyDetection:
    """Torch's switch as an attribute, so that a patch can turn it and turn it back."""

    def __init__(self) -> None:
        self.enabled = torch.is_anomaly_enabled()

    def __setattr__(self, name: str, value: bool) -> None:
        super().__setattr__(name, value)
        torch.autograd.set_detect_anomaly(value)


@mend("model/sequential_recommender/ksr.py 89", "KSR's relation vectors are in double precision: every run dies")
def ksr_precision(patch: Patcher) -> None:
    """Multiply them in the precision of the weights, as its entity vectors are."""
    from recbole.model.sequential_recommender.ksr import KSR

    build = KSR.__init__

    def build_in_one_precision(self: Any, config: Any, dataset: Any) -> None:
        build(self, config, dataset)
        self.relation_Matrix = self.relation_Matrix.to(self.entity_embedding.weight.dtype)

    patch(KSR, "__init__", build_in_one_precision)


@mend("quick_start/quick_start.py 20", "importing RecBole imports Ray, which costs seconds and may not be there")
def lazy_ray(patch: Patcher) -> None:
    """Import RecBole's quick start with a stand-in for Ray that loads the real one when it is first used."""
    stand_in = ModuleType("ray")
    tune = _LazyTune("ray.tune")
    vars(stand_in)["tune"] = tune
    absent = "ray" not in sys.modules
    if absent:
        sys.modules["ray"] = stand_in
    try:
        from recbole.quick_start import quick_start
    finally:
        if absent:
            del sys.modules["ray"]
    patch(quick_start, "tune", tune)


class _LazyTune(ModuleType):
    def __getattr__(self, name: str) -> Any:
        from ray import tune

        return getattr(tune, name)


@mend("utils/utils.py 248, in every run", "thop imports distutils, gone in Python 3.12, and counts multiply-adds only")
def count_flops(patch: Patcher) -> None:
    """Count floating-point operations with torch's own counter, attention included."""
    from recbole.utils import utils

    patch.everywhere(utils.get_flops, get_flops)


REFUSALS = (AssertionError, NotImplementedError)
"""How a model says that it does not score single pairs, or not all items."""


def get_flops(model: Any, dataset: Any, device: Any, logger: Any, transform: Callable, verbose: bool = False) -> int:
    """Floating-point operations of scoring one interaction, as torch counts them; 0 where the model scores none.

    Args:
        model: RecBole model.
        dataset: RecBole data set; its second row is scored, as RecBole does.
        device: Where to compute.
        logger: Unused; RecBole passes it.
        transform: RecBole's batch transform.
        verbose: Unused; RecBole passes it.
    """
    from recbole.utils import ModelType
    from torch.utils.flop_counter import FlopCounterMode

    if model.type == ModelType.DECISIONTREE or type(model).__name__ == "Pop":
        return 1
    interaction = transform(dataset, dataset[torch.tensor([1])].to(device))
    probe = copy.deepcopy(model).eval()
    for score in (probe.predict, probe.full_sort_predict):  # GRU4RecCPR and SASRecCPR refuse the first
        with torch.no_grad(), FlopCounterMode(display=False) as counter, contextlib.suppress(*REFUSALS):
            score(interaction)
            return counter.get_total_flops()
    return 0


@mend("trainer/hyper_tuning.py 117", "exhaustive search gives hyperopt a random generator that it no longer takes")
def generator_for_hyperopt(patch: Patcher) -> None:
    """Let the one ``RandomState`` of the search be a ``Generator``, which hyperopt draws from since 0.2.6."""
    from recbole.trainer import hyper_tuning

    patch(hyper_tuning, "np", _NumpyWithGenerator(np))


class _NumpyWithGenerator(StandIn):
    """Numpy as RecBole's search sees it, but for the generator."""

    random = SimpleNamespace(RandomState=np.random.default_rng)
