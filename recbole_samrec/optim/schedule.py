"""SAM's options, and the radius over the course of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Variant = Literal["sam", "asam", "gsam", "fsam", "msam", "looksam", "random"]
Schedule = Literal["constant", "linear", "cosine"]
ItemRho = Literal["uniform", "frequency"]

VARIANTS: tuple[str, ...] = get_args(Variant)


@dataclass(frozen=True)
class SAMSettings:
    """SAM's options.

    Args:
        rho: Radius; 0 switches SAM off.
        variant: The variant of SAM.
        eta: ASAM's stability term.
        exclude: Shell patterns of names of parameters that SAM does not perturb.
        params: Parameters that SAM perturbs: ``all``, ``norm``, ``embedding``, or shell patterns of their names.
        start: Epochs to train without SAM first, possibly a fraction.
        schedule: How rho changes after that.
        rho_from: The radius at which a schedule begins.
        rho_epochs: Epochs after which a schedule has reached ``rho``.
        item_rho: Radius for the embedding rows of items: the same for all, or proportional to the item's frequency.
        momentum: Decay of the moving average of gradients that ``fsam`` and ``msam`` keep.
        gsam_alpha: Weight of GSAM's orthogonal part.
        fsam_sigma: Factor of the average that Friendly SAM subtracts from the gradient.
        looksam_k: LookSAM computes a second gradient every ``looksam_k`` steps.
        looksam_alpha: Weight of the part of it that LookSAM reuses in the other steps.
        seed: Seed of the directions of ``random``, the same in all processes of a run.
    """

    rho: float = 0.0
    variant: Variant = "sam"
    eta: float = 0.01
    exclude: tuple[str, ...] = ()
    params: str | tuple[str, ...] = "all"
    start: float = 0.0
    schedule: Schedule = "constant"
    rho_from: float = 0.0
    rho_epochs: float = 10.0
    item_rho: ItemRho = "uniform"
    momentum: float = 0.9
    gsam_alpha: float = 0.4
    fsam_sigma: float = 1.0
    looksam_k: int = 5
    looksam_alpha: float = 0.7
    seed: int = 0

    def radius(self, epochs: float) -> float:
        """Return the radius of a step.

        It is 0 before ``start``, so that steps are plain ones (late-phase SAM, 2410.10373). Then it changes from
        ``rho_from`` to ``rho`` within ``rho_epochs``, linearly or as half a cosine wave.

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
