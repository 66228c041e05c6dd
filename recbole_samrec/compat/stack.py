"""Patches for features that numpy, scipy, torch and Ray have removed since RecBole 1.2.1 was written."""

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

from recbole_samrec.compat import ModuleProxy, Patcher, recbole_patch
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
"""Names that RecBole expects in numpy; it sets them from other names, which numpy 2 no longer has."""


@recbole_patch(
    "config/configurator.py 625-635", "Config sets numpy aliases from names that numpy 2 removed: every run fails"
)
def set_numpy_aliases(patch: Patcher) -> None:
    """Set the aliases once at import, so that they also exist for unpickled objects."""
    if hasattr(np, "float_"):
        return
    from recbole.config import Config

    patch(Config, "compatibility_settings", lambda self: None)
    for name, kind in ALIASES.items():
        if vars(np).get(name) is not kind:
            patch(np, name, kind)


@recbole_patch("model/general_recommender/lightgcn.py 111 and others", "scipy's dok_matrix no longer has _update")
def restore_dok_matrix_update(patch: Patcher) -> None:
    """Restore the private method with which RecBole's graph models fill the matrix."""
    if not hasattr(scipy.sparse.dok_matrix, "_update"):
        patch(scipy.sparse.dok_matrix, "_update", lambda self, entries: self._dict.update(entries))


@recbole_patch(
    "trainer/trainer.py 30, 235, 1440", "torch.cuda.amp is deprecated, and a new scaler is created every epoch", True
)
def share_grad_scaler(patch: Patcher) -> None:
    """Make RecBole's loops use the scaler of the running trainer, and autocast on its device."""
    from recbole.trainer import trainer

    def scaler(enabled: bool = True) -> torch.amp.GradScaler:
        return SCALER.get() or torch.amp.GradScaler(device(), enabled=enabled)

    def autocast(enabled: bool = True) -> torch.autocast:
        return torch.autocast(device(), enabled=enabled)

    def device() -> str:
        running = SCALER.get()  # has its device in a private attribute
        return getattr(running, "_device", "cuda" if torch.cuda.is_available() else "cpu")

    patch(trainer, "amp", SimpleNamespace(GradScaler=scaler, autocast=autocast))


@recbole_patch(
    "model/sequential_recommender/sine.py 25", "importing the models turns torch's anomaly detection on", True
)
def restore_anomaly_detection(patch: Patcher) -> None:
    """Keep the user's choice: anomaly detection is slow, and raises on an inf or nan that could be skipped."""
    before = torch.is_anomaly_enabled() and "recbole.model.sequential_recommender.sine" not in sys.modules
    from recbole.model.sequential_recommender import sine  # noqa: F401

    if torch.is_anomaly_enabled() != before:
        patch(_AnomalyDetection(), "enabled", before)


class _AnomalyDetection:
    """Torch's anomaly detection as an attribute, so that a patch can set and restore it."""

    def __init__(self) -> None:
        self.enabled = torch.is_anomaly_enabled()

    def __setattr__(self, name: str, value: bool) -> None:
        super().__setattr__(name, value)
        torch.autograd.set_detect_anomaly(value)


@recbole_patch(
    "model/sequential_recommender/ksr.py 89", "KSR's relation vectors are in double precision: every run fails"
)
def unify_ksr_precision(patch: Patcher) -> None:
    """Convert the relation vectors to the precision of the weights, as the entity vectors are."""
    from recbole.model.sequential_recommender.ksr import KSR

    build = KSR.__init__

    def build_in_one_precision(self: Any, config: Any, dataset: Any) -> None:
        build(self, config, dataset)
        self.relation_Matrix = self.relation_Matrix.to(self.entity_embedding.weight.dtype)

    patch(KSR, "__init__", build_in_one_precision)


@recbole_patch(
    "quick_start/quick_start.py 20", "importing RecBole imports Ray, which takes seconds and may not be installed"
)
def import_ray_lazily(patch: Patcher) -> None:
    """Import RecBole's quick start with a placeholder for Ray that loads the real one on first use."""
    placeholder = ModuleType("ray")
    tune = _LazyTune("ray.tune")
    vars(placeholder)["tune"] = tune
    absent = "ray" not in sys.modules
    if absent:
        sys.modules["ray"] = placeholder
    try:
        from recbole.quick_start import quick_start
    finally:
        if absent:
            del sys.modules["ray"]
    patch(quick_start, "tune", tune)


class _LazyTune(ModuleType):
    """Placeholder that imports ``ray.tune`` when an attribute is first read."""

    def __getattr__(self, name: str) -> Any:
        from ray import tune

        return getattr(tune, name)


@recbole_patch(
    "utils/utils.py 248, in every run", "thop imports distutils, gone in Python 3.12, and counts multiply-adds only"
)
def count_flops(patch: Patcher) -> None:
    """Count floating-point operations with torch's own counter, attention included."""
    from recbole.utils import utils

    patch.replace_everywhere(utils.get_flops, get_flops)


UNSUPPORTED = (AssertionError, NotImplementedError)
"""Errors of models that cannot score single pairs, or not all items."""


def get_flops(model: Any, dataset: Any, device: Any, logger: Any, transform: Callable, verbose: bool = False) -> int:
    """Count the floating-point operations of scoring one interaction with torch's counter.

    Args:
        model: RecBole model.
        dataset: RecBole data set; its second sample is scored, as in RecBole.
        device: Device to compute on.
        logger: Unused; RecBole passes it.
        transform: RecBole's batch transform.
        verbose: Unused; RecBole passes it.

    Returns:
        Number of operations; 0 where the model scores nothing.
    """
    from recbole.utils import ModelType
    from torch.utils.flop_counter import FlopCounterMode

    if model.type == ModelType.DECISIONTREE or type(model).__name__ == "Pop":
        return 1
    interaction = transform(dataset, dataset[torch.tensor([1])].to(device))
    probe = copy.deepcopy(model).eval()
    for score in (probe.predict, probe.full_sort_predict):  # GRU4RecCPR and SASRecCPR do not support the first
        with torch.no_grad(), FlopCounterMode(display=False) as counter, contextlib.suppress(*UNSUPPORTED):
            score(interaction)
            return counter.get_total_flops()
    return 0


@recbole_patch(
    "trainer/hyper_tuning.py 117", "exhaustive search passes hyperopt a random generator that it no longer accepts"
)
def give_hyperopt_a_generator(patch: Patcher) -> None:
    """Replace the ``RandomState`` of the search by a ``Generator``, which hyperopt requires since 0.2.6."""
    from recbole.trainer import hyper_tuning

    patch(hyper_tuning, "np", _NumpyWithGenerator(np))


class _NumpyWithGenerator(ModuleProxy):
    """Proxy of numpy whose ``RandomState`` is a ``Generator``."""

    random = SimpleNamespace(RandomState=np.random.default_rng)
