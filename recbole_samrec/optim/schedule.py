"""What the configuration says about SAM, and how its radius changes over training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recbole_samrec.utils.errors import ConfigError

VARIANTS = ("sam", "asam", "gsam", "fsam", "msam", "looksam")
SCHEDULES = ("constant", "linear", "cosine")
ROW_RADII = ("uniform", "frequency")


@dataclass(frozen=True)
class SAMSettings:
    """What the configuration says about SAM.

    Args:
        rho: Radius of the neighbourhood; 0 switches SAM off.
        variant: One of :data:`VARIANTS`.
        eta: ASAM's stability term.
        leave_out: Shell patterns of names of parameters that SAM does not move.
        params: Which parameters SAM moves: ``all``, ``norm``, ``embedding``, or shell patterns of their names.
        start: So many epochs, not necessarily whole ones, are plain before SAM begins.
        schedule: How rho changes after that: one of :data:`SCHEDULES`.
        rho_from: The radius at which a schedule begins.
        rho_epochs: Epochs after which a schedule has reached ``rho``.
        row_radius: One of :data:`ROW_RADII`.
        momentum: Factor of the moving average of gradients that ``fsam`` and ``msam`` keep.
        gsam_alpha: Weight of GSAM's orthogonal part.
        fsam_sigma: How much of the average Friendly SAM takes off the gradient.
        looksam_k: Steps from one of LookSAM's second gradients to the next.
        looksam_alpha: Weight of the part of it that LookSAM uses again in between.
    """

    rho: float = 0.0
    variant: str = "sam"
    eta: float = 0.01
    leave_out: tuple[str, ...] = ()
    params: str | tuple[str, ...] = "all"
    start: float = 0.0
    schedule: str = "constant"
    rho_from: float = 0.0
    rho_epochs: float = 10.0
    row_radius: str = "uniform"
    momentum: float = 0.9
    gsam_alpha: float = 0.4
    fsam_sigma: float = 1.0
    looksam_k: int = 5
    looksam_alpha: float = 0.7

    @classmethod
    def from_config(cls, config: Any) -> SAMSettings:
        """Read the keys that begin with ``sam_``, ``gsam_``, ``fsam_`` and ``looksam_``; None is the default.

        Raises:
            ConfigError: A value is of the wrong type or out of its range.
        """
        rho = _number(config, "sam_rho", cls.rho)
        k = _number(config, "looksam_k", cls.looksam_k)
        if k < 1 or k % 1:
            raise ConfigError(f"looksam_k={config['looksam_k']}: give a whole number that is at least 1")
        rho_epochs = _number(config, "sam_rho_epochs", cls.rho_epochs)
        if not rho_epochs:
            raise ConfigError(f"sam_rho_epochs={config['sam_rho_epochs']}: give a number above 0")
        momentum = _number(config, "sam_momentum", cls.momentum)
        if momentum >= 1:
            raise ConfigError(f"sam_momentum={momentum}: give a number from 0 up to, but not, 1")
        params = _patterns(config, "sam_params", cls.params)
        return cls(
            rho=rho,
            variant=_choice(config, "sam_variant", VARIANTS),
            eta=_number(config, "sam_eta", cls.eta),
            leave_out=_patterns(config, "sam_leave_out", cls.leave_out),
            params=params[0] if params in (("all",), ("norm",), ("embedding",)) else params,
            start=_start(config) if rho else 0.0,
            schedule=_choice(config, "sam_rho_schedule", SCHEDULES),
            rho_from=_number(config, "sam_rho_from", cls.rho_from),
            rho_epochs=rho_epochs,
            row_radius=_choice(config, "sam_row_radius", ROW_RADII),
            momentum=momentum,
            gsam_alpha=_number(config, "gsam_alpha", cls.gsam_alpha),
            fsam_sigma=_number(config, "fsam_sigma", cls.fsam_sigma),
            looksam_k=int(k),
            looksam_alpha=_number(config, "looksam_alpha", cls.looksam_alpha),
        )

    def radius(self, epochs: float) -> float:
        """The radius of a step.

        It is 0 before ``start``, so that the step is a plain one (late-phase SAM, 2410.10373). After that a schedule
        takes it from ``rho_from`` to ``rho`` within ``rho_epochs``, in a straight line or as half a cosine wave.

        Args:
            epochs: Epochs trained before the step, with the share of the one under way.
        """
        if not self.rho or epochs < self.start:
            return 0.0
        share = (epochs - self.start) / self.rho_epochs
        if self.schedule == "constant" or share >= 1:
            return self.rho
        if self.schedule == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.rho_from + share * (self.rho - self.rho_from)


def _number(config: Any, key: str, default: float) -> float:
    value = default if config[key] is None else config[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ConfigError(f"{key}={value}: give a number that is at least 0")
    return float(value)


def _choice(config: Any, key: str, choices: Sequence[str]) -> str:
    value = config[key] or choices[0]
    if value not in choices:
        raise ConfigError(f"{key}={value}: choose one of {', '.join(choices)}")
    return value


def _patterns(config: Any, key: str, default: str | tuple[str, ...]) -> tuple[str, ...]:
    value = config[key] or default
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, (list, tuple)) or not all(isinstance(pattern, str) for pattern in value):
        raise ConfigError(f"{key}={value}: give a list of name patterns such as ['*LayerNorm*']")
    return tuple(value)


def _start(config: Any) -> float:
    """Plain epochs before SAM: a whole number says how many, a fraction which share of them all."""
    start = _number(config, "sam_start", 0.0)
    epochs = config["pretrain_epochs" if "pretrain" in str(config["train_stage"]) else "epochs"]
    if start >= 1 and start % 1:
        raise ConfigError(f"sam_start={start}: give a whole number of epochs, or a share of them below 1")
    if start >= 1 and epochs is not None and start >= epochs:
        raise ConfigError(f"sam_start={start:.0f}: SAM would never start, there are {epochs} epochs; lower sam_start")
    return start if start >= 1 or not start else start * epochs
