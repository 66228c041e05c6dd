"""Choose the notes of :data:`recbole_samrec.sharpness.captions.NOTES` that apply to a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recbole_samrec.sharpness.aggregate import Levels, compute_slope_share
from recbole_samrec.sharpness.entries import (
    SAMPLING,
    find_config,
    list_differing_settings,
    list_labels,
    name_loss,
    ranking_mode,
)

if TYPE_CHECKING:
    from recbole_samrec.sharpness.measure import Measured

STRAIGHT = 0.5
"""Share of the slope in a rise above which the rise is more about slope than about curvature."""


def list_notes(runs: Sequence[Measured]) -> list[str]:
    """Return the names of the notes that apply to some runs; see :data:`recbole_samrec.sharpness.captions.NOTES`."""
    levels, labels = Levels.choose(runs), list_labels(runs)
    applies = {
        "settings": any(list_differing_settings([run for run in runs if run.label == label]) for label in labels),
        "sampled": any(ranking_mode(run).startswith(("uni", "pop")) for run in runs),
        "losses": len({name_loss(run) for run in runs}) > 1,
        "targets": len({(run.targets, *(find_config(run).get(one) for one in SAMPLING)) for run in runs}) > 1,
        "sizes": len({run.record.get("parameters") for run in runs} - {None}) > 1,
        "slope": any(compute_slope_share(run, levels.rho) > STRAIGHT for run in runs),
        "single": any(sum(run.label == label for run in runs) == 1 for label in labels),
    }
    return [name for name, true in applies.items() if true]
